"""From what people have in memory to a `Dataset`: conversion, and refusal that says why."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import tensorflow as tf

from .dataset import Dataset, Factor, UnknownSplitError

MAX_BYTES = 2**34  # 16 GiB: what a file may claim to hold, so that a damaged header cannot ask more
# Deflate, in gzip and zip, makes at most 1032 bytes of one.
MAX_EXPANSION = 1032
_CHUNK = 4096  # images converted at a time, so that floats need no second array of their size


def from_arrays(
    images: np.ndarray,
    *,
    labels: np.ndarray | None = None,
    factors: np.ndarray | None = None,
    factor_classes: np.ndarray | None = None,
    factor_info: Sequence[Factor] | None = None,
    name: str = "arrays",
) -> Dataset:
    """Makes a `Dataset` of arrays.

    Args:
        images: `(num_images, height, width)` or `(num_images, height, width, channels)` with one
            to four channels: integers in [0, 255], booleans, or floats in [0, 1]. Integers that
            are nothing but 0 and 1 are taken for a binary image and become 0 and 255.
        labels: Integers `(num_images,)`, or None.
        factors: Values `(num_images, num_factors)`, or None. Derived from `factor_classes` if only
            those are given.
        factor_classes: Integers `(num_images, num_factors)`, or None. Derived from the distinct
            values of each column of `factors` if only those are given.
        factor_info: Sequence of `Factor`. By default `factor_0`, ...: continuous if `factors` are
            given, else categorical.
        name: Str, used in messages. Default `"arrays"`.

    Returns:
        A `Dataset`.

    Raises:
        ValueError: If an array has the wrong rank, dtype, length or range, or is empty.

    Example:

    >>> from_arrays(np.random.default_rng(0).random((5, 8, 8)), labels=[0, 1, 0, 1, 0])
    Dataset(name='arrays', num_images=5, image_shape=(8, 8, 1), labels=True, factors=())
    """
    images = to_uint8(images, name=name)
    if labels is not None:
        labels = _integers(labels, "labels", (len(images),))
    kind = "categorical" if factors is None else "continuous"
    if factor_classes is not None:
        factor_classes = _integers(factor_classes, "factor_classes", (len(images), None))
        factors = factor_classes if factors is None else factors
    if factors is not None:
        factors = _values(factors, (len(images), None))
        if factor_classes is None:
            factor_classes = distinct_values(factors)
        if factor_info is None:
            sizes = factor_classes.max(axis=0) + 1
            factor_info = [Factor(f"factor_{i}", int(n), kind) for i, n in enumerate(sizes)]
    return Dataset(name, images, labels, factors, factor_classes, tuple(factor_info or ()))


def to_uint8(images: np.ndarray, *, name: str = "arrays") -> np.ndarray:
    """Images as uint8 `(num_images, height, width, channels)`; see `from_arrays`."""
    images = np.asarray(images)
    # (64, 64, 3) is a single RGB image far more often than 64 images that are 3 pixels wide.
    if images.ndim == 3 and images.shape[-1] not in (3, 4):
        images = images[..., np.newaxis]
    if images.ndim != 4 or not 1 <= images.shape[-1] <= 4:
        raise ValueError(
            "`images` must have the shape (num_images, height, width) or (num_images, height, "
            f"width, channels) with 1 to 4 channels. Received: shape={images.shape} in '{name}'. "
            "Move the channels to the last axis, and give a single image a first axis of one."
        )
    if not images.size:
        raise ValueError(
            f"`images` must not be empty. Received: shape={images.shape} in '{name}'. "
            "Check the path or the selection that made it."
        )
    if images.dtype.kind not in "buif":
        raise ValueError(
            "`images` must be integers, booleans or floats. "
            f"Received: dtype={images.dtype} in '{name}'. Convert it with `astype`."
        )
    if images.dtype.kind == "f":
        return _from_floats(images, name)
    low, high = int(images.min()), int(images.max())
    if low < 0 or high > 255:
        raise ValueError(
            "`images` of integers must lie in [0, 255]. "
            f"Received: values in [{low}, {high}] in '{name}'. Rescale them."
        )
    images = images.astype(np.uint8, copy=False)
    return images * np.uint8(255) if high <= 1 else images


def _from_floats(images: np.ndarray, name: str) -> np.ndarray:
    low, high = images.min(), images.max()  # NaN if there is one
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ValueError(
            f"`images` must be finite. Received: NaN or infinite values in '{name}'. "
            "Remove those images or replace the values (`np.nan_to_num`)."
        )
    if low < 0 or high > 1:
        hint = "Divide them by 255." if low >= 0 and high <= 255 else "Rescale them."
        raise ValueError(
            "`images` of floats must lie in [0, 1]. "
            f"Received: values in [{low:g}, {high:g}] in '{name}'. {hint}"
        )
    result = np.empty(images.shape, np.uint8)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK].astype(np.float32)
        result[start : start + _CHUNK] = np.rint(chunk * 255)
    return result


def check_claim(path: str | Path, claimed: int, *, stored: int, compressed: bool = False) -> None:
    """Compares what a file claims to hold with what it can hold, before memory is taken.

    Args:
        path: The file, for the message.
        claimed: Int, bytes that are asked for.
        stored: Int, bytes that are there.
        compressed: Bool, whether `stored` counts deflated bytes. Default False.

    Raises:
        ValueError: If too much is claimed.

    Example:

    >>> check_claim("a.idx", 10**10, stored=100)
    Traceback (most recent call last):
    ValueError: 'a.idx' claims to hold 10000000000 bytes, and at most 100 can be in it. ...
    """
    most = stored * MAX_EXPANSION if compressed else stored
    if claimed > most:
        raise ValueError(
            f"'{path}' claims to hold {claimed} bytes, and at most {most} can be in it. "
            "It is damaged or cut short. Fetch it again."
        )
    limit = min(MAX_BYTES, _physical_memory())
    if claimed > limit:
        raise ValueError(
            f"'{path}' claims to hold {claimed} bytes, more than the limit of {limit}. If that is "
            "true, write it by `write_tfrecords` in parts, and train on it by `stream`."
        )


def _physical_memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # not on every system
        return MAX_BYTES


@contextlib.contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Puts `path` into a ValueError that does not name it.

    Example:

    >>> with naming("a.npz"):
    ...     raise ValueError("`images` must not be empty.")
    Traceback (most recent call last):
    ValueError: `images` must not be empty. It was read from 'a.npz'.
    """
    try:
        yield
    except UnknownSplitError:
        raise
    except ValueError as error:
        if str(path) in str(error):
            raise
        raise ValueError(f"{error} It was read from '{path}'.") from error


def distinct_values(factors: np.ndarray) -> np.ndarray:
    """Which of the ascending distinct values of its column each entry is, int64.

    Example:

    >>> distinct_values(np.array([[0.5, 7], [1.5, 7], [0.5, 3]])).tolist()
    [[0, 1], [1, 1], [0, 0]]
    """
    classes = [np.unique(column, return_inverse=True)[1] for column in np.transpose(factors)]
    return np.stack(classes, axis=1).astype(np.int64)


def choose(num_available: int, *, num_images: int | None, seed: int, name: str) -> np.ndarray:
    """Ascending indices of a seeded random choice without replacement; all of them for None.

    Raises:
        ValueError: If there are not as many.
    """
    if num_images is None:
        return np.arange(num_available)
    if not isinstance(num_images, int | np.integer) or not 1 <= num_images <= num_available:
        raise ValueError(
            "`num_images` must be an int, at least 1 and at most the "
            f"{num_available} images of '{name}'. Received: num_images={num_images}. "
            "Use None to take all of them."
        )
    chosen = np.random.default_rng(seed).choice(num_available, num_images, replace=False)
    return np.sort(chosen)


def resize(images: np.ndarray, image_size: int) -> np.ndarray:
    """Square uint8 images of `image_size`, bilinear with antialiasing; cut to the middle square."""
    height, width = images.shape[1:3]
    if (height, width) == (image_size, image_size):
        return images
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    result = np.empty((len(images), image_size, image_size, images.shape[-1]), np.uint8)
    for start in range(0, len(images), _CHUNK):
        chunk = images[start : start + _CHUNK, top : top + side, left : left + side]
        chunk = tf.image.resize(chunk, (image_size, image_size), antialias=True)
        result[start : start + _CHUNK] = np.clip(np.rint(chunk), 0, 255)
    return result


def _integers(array, name: str, shape: tuple) -> np.ndarray:
    array = np.asarray(array)
    if array.dtype.kind not in "bui" or not _fits(array.shape, shape):
        raise ValueError(
            f"`{name}` must be integers of the shape {shape}, one row per image. "
            f"Received: dtype={array.dtype}, shape={array.shape}."
        )
    return array.astype(np.int64)


def _values(array, shape: tuple) -> np.ndarray:
    array = np.asarray(array)
    fits = array.dtype.kind in "buif" and _fits(array.shape, shape)
    if not fits or not np.isfinite(array).all():
        raise ValueError(
            f"`factors` must be finite numbers of the shape {shape}, one row per image. "
            f"Received: dtype={array.dtype}, shape={array.shape}."
        )
    return array.astype(np.float64)


def _fits(shape: tuple, expected: tuple) -> bool:
    return len(shape) == len(expected) and all(
        wanted is None or size == wanted for size, wanted in zip(shape, expected, strict=True)
    )
