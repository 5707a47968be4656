"""A `.keras` file that carries the state of a training and a checksum of itself.

Both are in the comment at the end of the zip archive that such a file is, so that Keras still reads
the file:

    archive | JSON of the state | sha256 of all bytes before, as 64 hexadecimal digits
"""

import hashlib
import json
import os
import zipfile
from pathlib import Path

from keras_rkm._json_files import parse_json

_NUM_DIGITS = 64
_CHUNK = 2**20
_LARGEST_COMMENT = 2**16 - 1  # of a zip archive


class DamagedCheckpointError(ValueError):
    """A checkpoint has other bytes than those that were written."""


def seal(path: Path, state: dict) -> None:
    """Puts a state into a `.keras` file, and the checksum.

    Args:
        path: Path of the file that `keras.Model.save` has written.
        state: Dict that JSON can hold, of up to 64 kB.

    Raises:
        ValueError: If the state is larger.
    """
    comment = json.dumps(state).encode()
    if len(comment) + _NUM_DIGITS > _LARGEST_COMMENT:
        raise ValueError(
            f"The state of a training must fit into {_LARGEST_COMMENT} bytes. Received: "
            f"{len(comment)} of them, mostly the states of seed generators and metrics."
        )
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = comment + b"0" * _NUM_DIGITS
    with path.open("r+b") as file:
        digest = _digest(file)
        file.seek(-_NUM_DIGITS, os.SEEK_END)
        file.write(digest)


def read_state(path: Path) -> dict:
    """The state in a sealed file all of whose bytes are as they were written.

    Raises:
        DamagedCheckpointError: If they are not.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        if size < _NUM_DIGITS:
            raise DamagedCheckpointError(f"'{path}' is damaged: it has only {size} bytes.")
        digest = _digest(file)
        if file.read(_NUM_DIGITS) != digest:
            raise DamagedCheckpointError(f"'{path}' is damaged: its checksum is another.")
    return peek_state(path)


def peek_state(path: Path) -> dict:
    """The state in a sealed file, without a look at the rest; `{}` if there is none."""
    try:
        with zipfile.ZipFile(path) as archive:
            return parse_json(archive.comment[:-_NUM_DIGITS], allow_nan=True)
    except (OSError, ValueError, zipfile.BadZipFile):
        return {}


def _digest(file) -> bytes:
    """The checksum of all but the last bytes, which the file is left before."""
    rest = file.seek(0, os.SEEK_END) - _NUM_DIGITS
    file.seek(0)
    checksum = hashlib.sha256()
    while rest and (chunk := file.read(min(_CHUNK, rest))):
        checksum.update(chunk)
        rest -= len(chunk)
    return checksum.hexdigest().encode()
