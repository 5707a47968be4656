"""The IDX format of MNIST and its relatives, plain or compressed with gzip [1].

References:
    1. Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits",
       http://yann.lecun.com/exdb/mnist/
"""

import gzip
import math
import os
import zlib
from pathlib import Path

import numpy as np

from .arrays import check_claim, from_arrays, naming
from .dataset import Dataset, UnknownSplitError

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_PREFIXES = {"train": "train", "test": "t10k"}
_MAX_NDIM = 32  # of NumPy before 2.0
_PART_BYTES = 2**20
_GZIP_MAGIC = b"\x1f\x8b"


def read_idx(path: str | Path) -> np.ndarray:
    """The array in an IDX file.

    Args:
        path: The file. Whether it is compressed is told from its first bytes, not from its name.

    Returns:
        An array of the file's shape and type, in native byte order.

    Raises:
        ValueError: If the file is not IDX, is damaged, or is shorter or longer than it says.
    """
    path = Path(path)
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
    try:
        with gzip.open(path) if compressed else path.open("rb") as file:
            return _read(file, path, compressed)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(
            f"The gzip file '{path}' is damaged or cut short ({error}). Fetch it again."
        ) from error


def _read(file, path: Path, compressed: bool) -> np.ndarray:
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _DTYPES:
        raise ValueError(
            f"'{path}' is not an IDX file: it must begin with two zero bytes and a type code of "
            f"{[hex(code) for code in _DTYPES]}. Received: {magic.hex(' ') or 'an empty file'}."
        )
    dtype, ndim = np.dtype(_DTYPES[magic[2]]), magic[3]
    header = file.read(4 * ndim)
    if len(header) < 4 * ndim:
        raise ValueError(
            f"'{path}' ends inside its header: {ndim} sizes of 4 bytes are expected. "
            f"Received: {len(header)} bytes. Fetch it again."
        )
    shape = tuple(np.frombuffer(header, ">u4").tolist())
    if len(shape) > _MAX_NDIM:
        raise ValueError(
            f"The header of '{path}' is damaged: at most {_MAX_NDIM} axes are known. "
            f"Received: {len(shape)}."
        )
    expected = math.prod(shape) * dtype.itemsize
    check_claim(path, expected, stored=os.path.getsize(path), compressed=compressed)
    data = _read_at_most(file, expected + 1)  # one more, to notice a file that is too long
    if len(data) != expected:
        received = "more" if len(data) > expected else f"{len(data)} bytes"
        raise ValueError(
            f"'{path}' does not have the length its header announces: shape={shape} needs "
            f"{expected} bytes. Received: {received}. Fetch it again."
        )
    return np.frombuffer(data, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _read_at_most(file, size: int) -> bytearray:
    """Takes the memory that the file fills; `file.read(size)` would ask for all of it first."""
    data = bytearray()
    while len(data) < size and (part := file.read(min(size - len(data), _PART_BYTES))):
        data += part
    return data


def is_idx_folder(folder: Path) -> bool:
    return any(_find(folder, prefix, "images") for prefix in _PREFIXES.values())


def load_idx_folder(folder: str | Path, *, split: str = "train") -> Dataset:
    """The `train` or `test` images of a folder with the files of MNIST or of a relative.

    Args:
        folder: Holds `train-images-idx3-ubyte` and so on, with or without `.gz`.
        split: `"train"` or `"test"` (the `t10k` files). Default `"train"`.

    Raises:
        ValueError: If `split` is another, its images are missing, or a file is damaged.
    """
    folder = Path(folder)
    if split not in _PREFIXES:
        raise UnknownSplitError(
            f"`split` must be one of {list(_PREFIXES)} for the IDX files in '{folder}'. "
            f"Received: split={split!r}."
        )
    images = _find(folder, _PREFIXES[split], "images")
    if images is None:
        raise UnknownSplitError(
            f"'{folder}' holds no images of the split {split!r}: expected "
            f"{_PREFIXES[split]}-images-idx3-ubyte, with or without .gz. "
            f"Received: {sorted(path.name for path in folder.iterdir())[:10]}."
        )
    return _with_labels(images, _find(folder, _PREFIXES[split], "labels"), folder.name)


def load_idx_file(path: str | Path) -> Dataset:
    """The images of one IDX file, with the labels of the file beside it named accordingly."""
    path = Path(path)
    prefix = path.name.split("-images")[0] if "-images" in path.name else None
    labels = _find(path.parent, prefix, "labels") if prefix else None
    return _with_labels(path, labels, path.name)


def _with_labels(images: Path, labels: Path | None, name: str) -> Dataset:
    with naming(images):
        return from_arrays(read_idx(images), labels=labels and read_idx(labels), name=name)


def _find(folder: Path, prefix: str, what: str) -> Path | None:
    ndim = {"images": 3, "labels": 1}[what]
    names = [f"{prefix}-{what}{separator}idx{ndim}-ubyte" for separator in "-."]
    candidates = [folder / (name + suffix) for suffix in ("", ".gz") for name in names]
    return next((path for path in candidates if path.is_file()), None)
