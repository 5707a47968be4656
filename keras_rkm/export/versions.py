"""The integer versions of a served model: folders that appear and vanish whole.

A polling server looks at the names that are integers. So a version is written under another name
beside its place and renamed when it is whole, and an old one is renamed before it is removed.
"""

import os
import shutil
import time
import uuid
from collections.abc import Callable, Collection
from pathlib import Path

from keras_rkm._files import sync_folder

_WRITING = ".exporting-"
_REMOVING = ".removing-"
_SECONDS_UNTIL_STALE = 24 * 60 * 60


def list_versions(model_dir: Path) -> list[int]:
    """The versions of a model in ascending order; none if there is no such folder."""
    if not model_dir.is_dir():
        return []
    return sorted(int(path.name) for path in model_dir.iterdir() if path.name.isdecimal())


def check_version(model_dir: Path, version: int | None) -> None:
    """Raises an error if a version cannot become a new one.

    Raises:
        ValueError: If `version` is taken, or neither None nor a positive int.
    """
    if version is None:
        return
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(
            "`version` must be a positive int, or None for the next free one. "
            f"Received: version={version!r}."
        )
    if version in (taken := list_versions(model_dir)):
        raise ValueError(
            "`version` must be a new one, since a server may be using the others. "
            f"Received: version={version}, where '{model_dir}' has {taken}. Use None for the next "
            "free one."
        )


def add_version(model_dir: Path, version: int | None, write: Callable[[Path], object]) -> Path:
    """Has `write` fill a folder and makes it a version of the model.

    What a crash at any moment can leave behind is a folder whose name is no integer; the next call
    a day later removes it.

    Args:
        model_dir: The folder of the model, made if need be.
        version: Positive int, or None for the one after the highest.
        write: Callable that gets the folder to fill.

    Returns:
        The folder of the version.

    Raises:
        ValueError: As `check_version`.
    """
    check_version(model_dir, version)
    model_dir.mkdir(parents=True, exist_ok=True)
    _remove_stale(model_dir)
    beside = model_dir / f"{_WRITING}{uuid.uuid4().hex}"
    beside.mkdir()
    try:
        write(beside)
        _sync(beside)
        return _publish(beside, model_dir, version)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def prune_versions(model_dir: Path, keep: int, protected: Collection[int] = ()) -> list[int]:
    """Removes all versions but the `keep` highest and the protected ones; returns the removed."""
    removed = [version for version in list_versions(model_dir)[:-keep] if version not in protected]
    for version in removed:
        beside = model_dir / f"{_REMOVING}{uuid.uuid4().hex}"
        (model_dir / str(version)).rename(beside)
        shutil.rmtree(beside)
    return removed


def _publish(beside: Path, model_dir: Path, version: int | None) -> Path:
    while True:
        number = version or max(list_versions(model_dir), default=0) + 1
        place = model_dir / str(number)
        try:
            beside.rename(place)
        except OSError:
            # Another export may have been faster; then there is a next free one, or an error.
            if not place.exists():
                raise
            check_version(model_dir, version)
            continue
        sync_folder(model_dir)
        return place


def _remove_stale(model_dir: Path) -> None:
    for path in model_dir.iterdir():
        if path.name.startswith((_WRITING, _REMOVING)):
            age = time.time() - path.stat().st_mtime
            if age > _SECONDS_UNTIL_STALE:
                shutil.rmtree(path, ignore_errors=True)


def _sync(folder: Path) -> None:
    for parent, _, names in os.walk(folder):
        for name in names:
            with open(os.path.join(parent, name), "rb") as file:
                os.fsync(file.fileno())
        sync_folder(parent)
