"""One door to all rotations: `find_rotation`."""

from collections.abc import Callable

import numpy as np

from keras_rkm._decoder_gram import decoder_grams

from .independent_components import ica_rotation
from .joint_diagonalization import joint_diagonalization_rotation
from .rotation import (
    Rotation,
    checked_covariance,
    checked_latents,
    covariance_of,
    draw_rows,
    principal_axes_rotation,
)

METHODS = ("rotate", "ica", "joint_diagonalization")
_NUM_CODES = 256


def find_rotation(
    latents,
    method: str,
    *,
    decode: Callable | None = None,
    covariance=None,
    dtype: str = "float32",
    seed: int = 0,
) -> Rotation:
    """Finds better axes for the latents of any model, without labels.

    Args:
        latents: `(num_samples, latent_dim)`, such as those of the training images.
        method: `"rotate"`, to the principal axes; `"ica"`, see `ica_rotation`; or
            `"joint_diagonalization"`, see `joint_diagonalization_rotation`, of the Gram matrices of
            `decode` at 256 of the latents.
        decode: Callable of TensorFlow operations from latents to images, such as `model.decode`;
            for `"joint_diagonalization"` only.
        covariance: `(latent_dim, latent_dim)`. Defaults to None: that of these latents; give it if
            they are a part of more.
        dtype: That of the codes that `decode` gets. Defaults to `"float32"`.
        seed: Int, selects the latents that are looked at. Defaults to 0.

    Returns:
        A `Rotation`; `latents @ rotation.matrix` are the coordinates along the new axes, and
        `decode(coordinates @ rotation.matrix.T)` are their images.

    Raises:
        ValueError: If `method` is unknown, `decode` is missing, cannot be differentiated or has no
            finite derivatives, or the latents are not finite, do not vary or do not fit.

    Example:

    >>> latents = np.random.default_rng(0).uniform(size=(5000, 2)) @ [[0.8, 0.6], [-0.6, 0.8]]
    >>> rotation = find_rotation(latents, "ica")
    >>> (latents @ rotation.matrix).std(axis=0).round(2)
    array([0.29, 0.29])
    """
    if method not in METHODS:
        raise ValueError(
            f"`method` must be one of {', '.join(METHODS)}. Received: method={method!r}"
        )
    latents = checked_latents(latents)
    if method == "ica":
        return ica_rotation(latents, covariance=covariance, seed=seed)
    covariance = covariance_of(latents) if covariance is None else checked_covariance(covariance)
    if method == "rotate":
        return principal_axes_rotation(covariance)
    if decode is None:
        raise ValueError(
            "`decode` must be given for joint diagonalization, which looks at its derivatives. "
            "Received: decode=None. Pass `model.decode`."
        )
    codes = draw_rows(latents, _NUM_CODES, seed)
    grams = decoder_grams(decode, codes, np.eye(codes.shape[1]), dtype=dtype)
    return joint_diagonalization_rotation(grams, covariance)
