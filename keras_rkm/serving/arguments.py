"""The arguments of a call as arrays for the server, or an error that says what is wrong."""

import math

import numpy as np

from .errors import InvalidRequestError

# Rounding errors of a decoder or a resize may leave [0, 1] by less than half a grey level.
_MARGIN = 1e-3


def to_images(images) -> np.ndarray:
    """Images `(batch, height, width, channels)` as float32 in [0, 1]; uint8 is divided by 255.

    Raises:
        InvalidRequestError: If there are none, or they are neither floats in [0, 1] nor uint8.
    """
    images = _to_array(images, "images")
    if images.dtype == np.uint8:
        return images.astype("float32") / np.float32(255)
    if not _is_float(images):
        raise InvalidRequestError(
            "`images` must be floats in [0, 1] or uint8. Received: type "
            f"{images.dtype}. Convert them with `.astype`."
        )
    lowest, highest = images.min(), images.max()
    # Written so that NaN is refused too.
    if not (lowest >= -_MARGIN and highest <= 1 + _MARGIN):
        raise InvalidRequestError(
            "`images` of a float type must lie in [0, 1]. Received: values from "
            f"{lowest:.3g} to {highest:.3g}. Rescale them, or pass uint8."
        )
    return images.astype("float32")


def to_latents(latents) -> np.ndarray:
    """Latents `(batch, latent_dim)` as float32.

    Raises:
        InvalidRequestError: If there are none, or they are not finite numbers.
    """
    latents = _to_array(latents, "latents")
    if not _is_float(latents) and latents.dtype.kind not in "iu":
        raise InvalidRequestError(
            f"`latents` must be numbers. Received: type {latents.dtype}. Convert them with "
            "`.astype`."
        )
    latents = latents.astype("float32")
    if not np.isfinite(latents).all():
        raise InvalidRequestError("`latents` must be finite. Received: NaN or Inf among them.")
    return latents


def to_components(component, latents: np.ndarray) -> np.ndarray:
    """The numbers of axes, one per row of `latents`, as int64; a single one is for all rows.

    Raises:
        InvalidRequestError: If they are no ints, or there is no such axis.
    """
    components = np.asarray(component)
    if components.dtype.kind not in "iu" or components.ndim > 1:
        raise InvalidRequestError(
            "`component` must be an int, or one int per row of `latents`. Received: "
            f"component={component!r}."
        )
    latent_dim = latents.shape[-1]
    if ((components < 0) | (components >= latent_dim)).any():
        raise InvalidRequestError(
            f"`component` must be in [0, {latent_dim}), since there are {latent_dim} latents. "
            f"Received: component={component!r}."
        )
    if components.ndim == 0:
        components = np.full(len(latents), components)
    return components.astype("int64")


def to_seeds(num_samples, seed, seeds) -> np.ndarray:
    """The seed of every row as int64; -1 stands for fresh entropy.

    Args:
        num_samples: Positive int, or None.
        seed: Int from which the seeds of the rows follow, or None for fresh entropy.
        seeds: Ints `(batch,)`, the seeds themselves, or None.

    Raises:
        InvalidRequestError: If both or none of `num_samples` and `seeds` are given, or are no ints.
    """
    if (num_samples is None) == (seeds is None) or (seeds is not None and seed is not None):
        raise InvalidRequestError(
            "Give either `num_samples`, with a `seed` if you like, or `seeds`. Received: "
            f"num_samples={num_samples!r}, seed={seed!r}, seeds={seeds!r}."
        )
    if seeds is not None:
        seeds = _to_array(seeds, "seeds")
        # A larger one would turn into a negative one, which means fresh entropy.
        if seeds.dtype.kind not in "iu" or seeds.ndim != 1 or seeds.max() >= 2**63:
            raise InvalidRequestError(
                "`seeds` must be ints below 2**63, of the shape (batch,). Received: type "
                f"{seeds.dtype}, shape {seeds.shape}."
            )
        return seeds.astype("int64")
    # The seeds that `model.generate(num_samples, sampler, seed)` gives its rows, so that the
    # images are the same. Imported here because it needs TensorFlow.
    from keras_rkm.samplers.drawing import row_seeds

    try:
        return np.asarray(row_seeds(num_samples, seed))
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(str(error)) from error


def check_timeout(timeout) -> float:
    """A positive number of seconds.

    Raises:
        InvalidRequestError: If it is none.
    """
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout < math.inf:
        raise InvalidRequestError(
            f"`timeout` must be a positive number of seconds. Received: timeout={timeout!r}."
        )
    return float(timeout)


def _to_array(values, name: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InvalidRequestError(f"`{name}` must be an array. Received: {error}") from error
    if array.ndim == 0 or array.size == 0:
        raise InvalidRequestError(
            f"`{name}` must hold at least one row. Received: shape {array.shape}."
        )
    return array


def _is_float(array: np.ndarray) -> bool:
    # NumPy does not count bfloat16 among its floats.
    return array.dtype.kind == "f" or array.dtype.name == "bfloat16"
