"""NumPy archives in the layout of dSprites [1]: `imgs`, `latents_classes`, `latents_values`.

References:
    1. L. Matthey, I. Higgins, D. Hassabis, A. Lerchner, "dSprites: Disentanglement testing
       Sprites dataset", 2017, https://github.com/google-deepmind/dsprites-dataset
"""

import zipfile
import zlib
from pathlib import Path

import numpy as np

from .arrays import MAX_BYTES, distinct_values, from_arrays
from .dataset import Dataset, Factor

# The columns of dSprites and which of them is not an ordinary ordered one. The original archive
# names them only in its pickled `metadata`, which is never opened: a pickle can run code.
_DSPRITES_NAMES = ("color", "shape", "scale", "orientation", "posX", "posY")
_DSPRITES_SIZES = (1, 3, 6, 40, 32, 32)
_KEYS = frozenset(
    {"images", "imgs", "labels"}
    | {f"latents_{what}" for what in ("classes", "values", "names", "sizes")}
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
    return from_arrays(
        images, labels=arrays.get("labels"), name=path.stem, **_factors(arrays, len(images), path)
    )


def _read(path: Path) -> dict[str, np.ndarray]:
    """The members that are understood; for all others only that they exist (None)."""
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(member.file_size for member in archive.infolist())
        if size > MAX_BYTES:
            raise ValueError(f"it claims {size} bytes, more than the limit of {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as archive:
            readable = [key for key in archive.files if key in _KEYS]
            return {**dict.fromkeys(archive.files), **{key: archive[key] for key in readable}}
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError) as error:
        raise ValueError(
            f"'{path}' cannot be read as an .npz archive of plain arrays ({error}). "
            "Fetch it again, or save it with np.savez and without objects."
        ) from error


def _factors(arrays: dict, num_images: int, path: Path) -> dict:
    """The arguments of `from_arrays` that concern factors."""
    values, classes = arrays.get("latents_values"), arrays.get("latents_classes")
    if values is None and classes is None:
        return {}
    for key, array in (("latents_values", values), ("latents_classes", classes)):
        if array is not None and (array.ndim != 2 or len(array) != num_images):
            raise ValueError(
                f"`{key}` in '{path}' must have the shape (num_images, num_factors) with "
                f"num_images={num_images}. Received: shape={array.shape}."
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
    observed = classes.max(axis=0).astype(np.int64) + 1
    sizes, names = arrays.get("latents_sizes"), arrays.get("latents_names")
    sizes = observed if sizes is None else np.asarray(sizes).astype(np.int64)
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
