"""What is asked of features before anything is computed from them."""

import operator

import numpy as np


def as_features(features, argument: str, *, min_samples: int = 2) -> np.ndarray:
    """Returns features as a float64 array `(num_samples, num_features)`.

    Args:
        features: Array or tensor.
        argument: Str, its name in messages.
        min_samples: Positive int, how many rows are needed.

    Raises:
        ValueError: If they are not a matrix of finite numbers, or have too few rows.
    """
    try:
        array = np.asarray(features)
    except ValueError:  # rows of different lengths
        array = np.empty((0,), object)
    if array.ndim != 2 or not array.shape[1]:
        raise ValueError(
            f"`{argument}` must have the shape (num_samples, num_features). "
            f"Received: shape={array.shape}. Make features of images with "
            "`keras_rkm.metrics.extract_features(images, extractor)`."
        )
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"`{argument}` must be real numbers. Received: dtype={array.dtype}. "
            "Convert it with `.astype('float64')`."
        )
    if len(array) < min_samples:
        raise ValueError(
            f"`{argument}` must have at least {min_samples} rows. "
            f"Received: shape={array.shape}. Take more samples."
        )
    array = array.astype(np.float64, copy=False)
    check_finite(array, argument)
    return array


def as_feature_pair(
    features_a, features_b, *, names: tuple[str, str], min_samples: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Returns both as by `as_features`, of one width."""
    array_a, array_b = (
        as_features(features, name, min_samples=min_samples)
        for features, name in zip((features_a, features_b), names, strict=True)
    )
    check_same_width(array_a.shape[1], array_b.shape[1], names)
    return array_a, array_b


def check_same_width(width_a: int, width_b: int, names: tuple[str, str]) -> None:
    """Raises a ValueError unless both have as many features."""
    if width_a != width_b:
        raise ValueError(
            f"`{names[0]}` and `{names[1]}` must have the same number of features. "
            f"Received: {width_a} and {width_b}. Use one extractor for both."
        )


def check_finite(array: np.ndarray, argument: str) -> None:
    """Raises a ValueError that names the first value that is NaN or infinite."""
    bad = ~np.isfinite(array)
    if bad.any():
        where = tuple(int(index[0]) for index in np.nonzero(bad))
        raise ValueError(
            f"`{argument}` must be finite. Received: {bad.sum()} values that are not, the first "
            f"{array[where]} at {where}. Look at the images and at the model that made them."
        )


def check_int(name: str, value, *, minimum: int = 1) -> int:
    """Returns `value` as an int that is at least `minimum`, or raises a ValueError."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < minimum:
        raise ValueError(
            f"`{name}` must be an int and at least {minimum}. Received: {name}={value!r}."
        )
    return number
