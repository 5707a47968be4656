"""NumPy archives in the layout of dSprites [1]: `imgs`, `latents_classes`, `latents_values`.

References:
    1. L. Matthey, I. Higgins, D. Hassabis, A. Lerchner, "dSprites: Disentanglement testing
       Sprites dataset", 2017, https://github.com/google-deepmind/dsprites-dataset
"""

import lzma
import math
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np

from .arrays import check_claim, distinct_values, from_arrays, naming
from .dataset import Dataset, Factor

# The columns of dSprites and which of them is not an ordinary ordered one. The original archive
# names them only in its pickled `metadata`, which is never opened: a pickle can run code.
_DSPRITES_NAMES = ("color", "shape", "scale", "orientation", "posX", "posY")
_DSPRITES_SIZES = (1, 3, 6, 40, 32, 32)
_MAX_CLASS = 2**31 - 1
_KEYS = frozenset(
    {"images", "imgs", "labels"}
    | {f"latents_{what}" for what in ("classes", "values", "names", "sizes")}
)
# What `zipfile`, its decompressors and NumPy's reader raise for files that are none of theirs.
_DAMAGES = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    ValueError,
    KeyError,
    IndexError,
    OverflowError,
    SyntaxError,
    RuntimeError,
    OSError,
)
_DSPRITES_KINDS = {"color": "categorical", "shape": "categorical", "orientation": "circular"}


def load_npz(path: str | Path) -> Dataset:
    """The images, labels and factors of an `.npz` archive.

    Reads the keys `images` or `imgs`, and where present `labels`, `latents_classes`,
    `latents_values`, `latents_names` and `latents_sizes`. Everything else in the archive is left
    alone. Factors of which there is a single value (dSprites' `color`) are left out. A factor is
    taken for continuous if the archive has its values, for categorical if it only has classes; the
    kinds of dSprites' factors are known.

    Raises:
        ValueError: If the file is no archive, is damaged, needs pickle, or lacks images.
    """
    path = Path(path)
    arrays = _read(path)
    images = arrays.get("images", arrays.get("imgs"))
    if images is None:
        raise ValueError(
            f"'{path}' must hold its images under the key 'images' or 'imgs'. "
            f"Received: the keys {sorted(arrays)}. Save it as np.savez(path, images=...)."
        )
    with naming(path):
        num_images = len(images) if images.ndim else 0
        factors = _factors(arrays, num_images, path) if num_images else {}
        return from_arrays(images, labels=arrays.get("labels"), name=path.stem, **factors)


def _read(path: Path) -> dict[str, np.ndarray]:
    """The members that are understood; for all others only that they exist (None)."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = {
                member.filename.removesuffix(".npy"): member for member in archive.infolist()
            }
            if len(members) < len(archive.infolist()):
                raise ValueError("two members have one name")
            readable = {key: member for key, member in members.items() if key in _KEYS}
            for member in readable.values():
                _check_member(path, member)
            # All of them before the first is read, so that they are not many small bombs.
            claimed = sum(member.file_size for member in readable.values())
            check_claim(path, claimed, stored=path.stat().st_size, compressed=True)
            arrays = {key: _read_member(archive, member) for key, member in readable.items()}
            return {**dict.fromkeys(members), **arrays}
    except _DAMAGES as error:
        raise ValueError(
            f"'{path}' cannot be read as an .npz archive of plain arrays ({error}). "
            "Fetch it again, or save it with np.savez and without objects."
        ) from error


def _check_member(path: Path, member: zipfile.ZipInfo) -> None:
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"'{member.filename}' is compressed otherwise than by np.savez")
    check_claim(
        f"{path}/{member.filename}",
        member.file_size,
        stored=member.compress_size,
        compressed=member.compress_type == zipfile.ZIP_DEFLATED,
    )


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """The array of a member whose header claims just what the member has."""
    with archive.open(member) as file:
        shape, _, dtype = _read_header(file)
        claimed = math.prod(shape) * dtype.itemsize
        if claimed != member.file_size - file.tell():
            raise ValueError(
                f"'{member.filename}' claims {claimed} bytes for shape={shape}, dtype={dtype}, and "
                f"has {member.file_size - file.tell()}"
            )
    if dtype.hasobject:
        raise ValueError(f"'{member.filename}' holds objects, which only pickle could read")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_header(file) -> tuple[tuple[int, ...], bool, np.dtype]:
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }.get(version)
    if read is None:
        raise ValueError(f"version {version} of .npy is not known")
    try:
        shape, fortran_order, dtype = read(file)
    except Exception as error:  # of any kind: it is tokenized and parsed as a Python literal
        raise ValueError(f"a header is no .npy header: {error}") from error
    if any(size < 0 for size in shape):
        raise ValueError(f"a header claims shape={shape}")
    return shape, fortran_order, dtype


def _factors(arrays: dict, num_images: int, path: Path) -> dict:
    """The arguments of `from_arrays` that concern factors."""
    values, classes = arrays.get("latents_values"), arrays.get("latents_classes")
    if values is None and classes is None:
        return {}
    for key, array in (("latents_values", values), ("latents_classes", classes)):
        if array is not None and (
            array.ndim != 2 or len(array) != num_images or array.dtype.kind not in "buif"
        ):
            raise ValueError(
                f"`{key}` in '{path}' must be numbers of the shape (num_images, num_factors) with "
                f"num_images={num_images}. Received: shape={array.shape}, dtype={array.dtype}."
            )
    if classes is None:
        classes = distinct_values(values)
    names, sizes = _names_and_sizes(arrays, classes, path)
    kinds = _DSPRITES_KINDS if names == _DSPRITES_NAMES else {}
    default_kind = "categorical" if values is None else "continuous"
    varies = sizes > 1
    if not varies.any():
        return {}
    info = [
        Factor(name, int(size), kinds.get(name, default_kind))
        for name, size in zip(names, sizes, strict=True)
        if size > 1
    ]
    return {
        "factors": None if values is None else values[:, varies],
        "factor_classes": classes[:, varies],
        "factor_info": info,
    }


def _names_and_sizes(arrays: dict, classes: np.ndarray, path: Path) -> tuple:
    """What the archive says of the columns of its factors, or what can be seen of them."""
    if classes.dtype.kind not in "bui" or (classes > _MAX_CLASS).any():
        raise ValueError(
            f"`latents_classes` in '{path}' must be integers up to {_MAX_CLASS}. "
            f"Received: dtype={classes.dtype}."
        )
    observed = classes.max(axis=0).astype(np.int64) + 1
    sizes, names = arrays.get("latents_sizes"), arrays.get("latents_names")
    if sizes is None:
        sizes = observed
    elif sizes.ndim != 1 or sizes.dtype.kind not in "ui" or (sizes > _MAX_CLASS + 1).any():
        raise ValueError(
            f"`latents_sizes` in '{path}' must be a vector of integers up to {_MAX_CLASS + 1}. "
            f"Received: dtype={sizes.dtype}, shape={sizes.shape}."
        )
    sizes = sizes.astype(np.int64)
    if names is not None and names.ndim != 1:
        raise ValueError(
            f"`latents_names` in '{path}' must be a vector of texts. Received: shape={names.shape}."
        )
    if names is None and tuple(observed) == _DSPRITES_SIZES:
        names = _DSPRITES_NAMES
    names = [f"factor_{i}" for i in range(classes.shape[1])] if names is None else names
    names = tuple(str(name) for name in names)
    if not len(names) == len(sizes) == classes.shape[1] or (observed > sizes).any():
        raise ValueError(
            f"`latents_names` and `latents_sizes` in '{path}' must describe the "
            f"{classes.shape[1]} columns of the factors, whose sizes are at least "
            f"{observed.tolist()}. Received: names={names}, sizes={sizes.tolist()}."
        )
    return names, sizes
