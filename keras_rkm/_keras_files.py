"""`.keras` files that may be damaged, or come from a stranger.

Keras itself runs no code of a file in safe mode. But it makes all variables that the configuration
asks for before it looks at the weights, so that a few kB can take gigabytes; here the file has to
store what it claims.
"""

import contextlib
import io
import stat
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import h5py
import keras
import tensorflow as tf

from keras_rkm._json_files import MAX_BYTES, parse_json

_CONFIG = "config.json"
_WEIGHTS = "model.weights.h5"
# Optimizers keep two or three numbers per weight, which a file may leave out.
_VARIABLES_PER_WEIGHT = 4
_SLACK_BYTES = 2**24  # counters, seeds, metrics
_LOCAL_HEADER_BYTES = 30


def load_keras_file(path: str | Path):
    """What a `.keras` file holds, loaded without running code that it brings.

    Args:
        path: Str or path of the file.

    Raises:
        ValueError: If the file is not as Keras writes it: no archive, compressed or overlapping
            members, members with paths out of the archive, weights that are not stored in it or
            claim more than is stored, or a configuration that needs more weights than there are.
        Whatever `keras.saving.load_model` raises for what else is wrong.
    """
    stored = check_keras_file(path)
    limit = _VARIABLES_PER_WEIGHT * stored + _SLACK_BYTES
    with _limited_variables(limit, stored):
        return keras.saving.load_model(path, safe_mode=True)


def check_keras_file(path: str | Path) -> int:
    """Checks the structure of a `.keras` file, and returns how many bytes its weights have.

    Nothing of the size that the file claims is read or allocated.

    Raises:
        ValueError, OSError: See `load_keras_file`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = {member.filename: member for member in archive.infolist()}
            _check_members(archive.infolist(), path.stat().st_size)
            for name in (_CONFIG, "metadata.json"):
                parse_json(archive.read(name)) if name in members else _refuse(f"no {name}")
            if _WEIGHTS not in members:
                _refuse(f"no {_WEIGHTS}")
            with h5py.File(_member_file(file, members[_WEIGHTS]), "r") as weights:
                return sum(_stored_bytes(weights))
    except (zipfile.BadZipFile, KeyError, RuntimeError, NotImplementedError) as error:
        raise ValueError(str(error)) from error


def _check_members(members: list[zipfile.ZipInfo], size: int) -> None:
    for member in members:
        name = PurePosixPath(member.filename.replace("\\", "/"))
        is_link = stat.S_ISLNK(member.external_attr >> 16)
        if name.is_absolute() or ".." in name.parts or ":" in name.parts[:1] or is_link:
            _refuse(f"the member {member.filename!r} points out of the archive")
        if member.compress_type != zipfile.ZIP_STORED:
            _refuse(f"the member {member.filename!r} is compressed")
        if member.filename.endswith(".json") and member.file_size > MAX_BYTES:
            _refuse(f"the member {member.filename!r} claims {member.file_size} bytes")
    if len({member.filename for member in members}) < len(members):
        _refuse("two members have one name")
    claimed = sum(member.file_size for member in members)
    if claimed > size:
        _refuse(f"its members claim {claimed} bytes, and the file has {size}")


def _member_file(file, member: zipfile.ZipInfo) -> io.BufferedReader:
    """An uncompressed member as a file of its own; that of `zipfile` is slow to go back in."""
    file.seek(member.header_offset)
    header = file.read(_LOCAL_HEADER_BYTES)
    if len(header) < _LOCAL_HEADER_BYTES:
        _refuse("it is cut short")
    lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
    start = member.header_offset + _LOCAL_HEADER_BYTES + lengths
    return io.BufferedReader(_Part(file, start, member.file_size))


class _Part(io.RawIOBase):
    """`size` bytes of a file from `start` on."""

    def __init__(self, file, start: int, size: int):
        super().__init__()
        self._file, self._start, self._size, self._position = file, start, size, 0

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=io.SEEK_SET):
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def readinto(self, buffer):
        number = max(min(len(buffer), self._size - self._position), 0)
        self._file.seek(self._start + self._position)
        data = self._file.read(number)
        buffer[: len(data)] = data
        self._position += len(data)
        return len(data)


def _stored_bytes(weights: h5py.File) -> Iterator[int]:
    """The size of every array, each of which has to be in the file itself."""
    pending, seen = [weights["/"]], set()
    while pending:
        group = pending.pop()
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                _refuse(f"its weights hold a link, {group.name}/{name}")
            item = group[name]
            place = h5py.h5o.get_info(item.id).addr
            if place in seen:
                _refuse(f"its weights hold {item.name} twice")
            seen.add(place)
            if isinstance(item, h5py.Group):
                pending.append(item)
            else:
                yield _array_bytes(item)


def _array_bytes(array: h5py.Dataset) -> int:
    if array.external or array.is_virtual or array.dtype.hasobject:
        _refuse(f"the weights {array.name} are not stored in it as numbers")
    stored = array.id.get_storage_size()
    if array.nbytes > stored:
        _refuse(f"the weights {array.name} claim {array.nbytes} bytes, and {stored} are stored")
    return array.nbytes


@contextlib.contextmanager
def _limited_variables(limit: int, stored: int) -> Iterator[None]:
    """Refuses to make variables of more than `limit` bytes in all, before they take memory."""
    total = 0

    def create(next_creator, **arguments):
        nonlocal total
        total += _num_bytes(arguments)
        if total > limit:
            _refuse(
                f"its configuration needs more than {limit} bytes of weights and state, and it "
                f"stores {stored}"
            )
        return next_creator(**arguments)

    with tf.variable_creator_scope(create):
        yield


def _num_bytes(arguments: dict) -> int:
    value = arguments["initial_value"]
    if callable(value):
        # In a graph that is never run, so that only the shape comes into being.
        with tf.Graph().as_default():
            value = value()
    value = tf.TensorSpec.from_tensor(value) if tf.is_tensor(value) else tf.constant(value)
    return (value.shape.num_elements() or 0) * value.dtype.size


def _refuse(why: str):
    raise ValueError(f"it is not as Keras writes it: {why}")
