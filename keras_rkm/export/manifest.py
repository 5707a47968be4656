"""What an exported version says about itself, and how to see that it is whole."""

import datetime
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

import keras
import tensorflow as tf

from keras_rkm._json_files import read_json
from keras_rkm._version import __version__

_FILE = "assets.extra/manifest.json"  # the server leaves assets.extra alone


def write_manifest(folder: Path, content: Mapping) -> None:
    """Writes `content` with the versions, the time and a checksum of every other file.

    Args:
        folder: The folder of the version, otherwise complete.
        content: What else to say; must be fit for JSON.
    """
    manifest = {
        "versions": {
            "keras_rkm": __version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
        },
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **content,
        "sha256": _checksums(folder),
    }
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    path = folder / _FILE
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")


def verify_export(path: str | os.PathLike) -> dict:
    """Compares the files of an exported version with its manifest, and returns the manifest.

    Args:
        path: The folder of the version.

    Raises:
        ValueError: If a file is missing, has changed or was added, is no plain file inside the
            folder, or there is no manifest.
    """
    folder = Path(path)
    try:
        manifest = read_json(folder / _FILE)
        expected = manifest["sha256"]
        if not isinstance(expected, dict):
            raise TypeError(f"'sha256' holds a {type(expected).__name__}")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"`path` must be the folder of an exported version. Received: path='{folder}', where "
            f"'{_FILE}' cannot be read ({type(error).__name__}: {error})."
        ) from error
    found = _checksums(folder, only=expected)
    wrong = sorted(
        name
        for name in expected.keys() | found.keys()
        if not found.get(name) or expected.get(name) != found[name]
    )
    if wrong:
        raise ValueError(
            "`path` must be an exported version as it was written. Received: "
            f"path='{folder}', where these files are missing, changed or new: {', '.join(wrong)}. "
            "Export the model again."
        )
    return manifest


def _checksums(folder: Path, *, only: Mapping | None = None) -> dict[str, str]:
    """The SHA-256 of every file; empty for links, pipes and what `only` does not name.

    The names come from the folder, never from the manifest, so that none leads out of it.
    """
    checksums = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        is_plain = path.is_file() and not path.is_symlink()
        if name == _FILE or (path.is_dir() and not path.is_symlink()):
            continue
        if not is_plain or (only is not None and name not in only):
            checksums[name] = ""
            continue
        with path.open("rb") as file:
            checksums[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return checksums
