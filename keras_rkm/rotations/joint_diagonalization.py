"""Axes along which a decoder changes its images in orthogonal directions, at all codes at once."""

import numpy as np

from .jacobi import jacobi_rotation
from .rotation import (
    MIN_RELATIVE_VARIANCE,
    Rotation,
    check_symmetric,
    checked_covariance,
    rotate_strong_axes,
)

_TOLERANCE = 1e-8  # radians
_MAX_SWEEPS = 100
_ROUNDING = 1e-20  # share of the squares of all entries


def joint_diagonalization_rotation(
    grams,
    covariance,
    *,
    scaled: bool = True,
    min_relative_variance: float = MIN_RELATIVE_VARIANCE,
) -> Rotation:
    """Turns latents to the axes that change images in the most orthogonal directions.

    Of the principal axes whose variance is at least `min_relative_variance` of the largest, it is
    the orthogonal R that minimises the off-diagonal entries of the Gram matrices of the decoder,

        sum_k sum_{i != j} (R' G_k R)_ij^2,   G_k = J(h_k)' J(h_k),

    with J(h) the Jacobian of the images by the latents, by rotations of pairs of axes with the
    angles of [1], until no pair turns any more. Axes that are nearly dead are left out, since a
    decoder may do anything along them.

    Args:
        grams: `(num_codes, latent_dim, latent_dim)`, symmetric, at codes like those of images.
        covariance: `(latent_dim, latent_dim)`, of the latents.
        scaled: Bool. True weighs the axes by what they vary: the G_k are those of whitened latents.
            Their R then turns the principal axes themselves: of all orthogonal matrices it is the
            nearest to the directions D R that belong to it, with D the standard deviations.
        min_relative_variance: Float in [0, 1]. Defaults to 0.05.

    Returns:
        A `Rotation`. Where all axes are alike, as for a decoder that is an isometry, it leaves the
        principal axes.

    Raises:
        ValueError: If matrices are not finite and symmetric or do not fit together, the latents do
            not vary, or `min_relative_variance` is out of range.

    Example:

    >>> mixing = np.array([[0.8, -0.6], [0.6, 0.8]])
    >>> grams = [mixing @ np.diag(squares) @ mixing.T for squares in ([4, 1], [1, 9])]
    >>> rotation = joint_diagonalization_rotation(grams, np.diag([1.0, 0.5]), scaled=False)
    >>> rotation.matrix.round(6)
    array([[ 0.8, -0.6],
           [ 0.6,  0.8]])

    References:
        [1] J.-F. Cardoso, A. Souloumiac, "Jacobi Angles for Simultaneous Diagonalization", SIAM
            Journal on Matrix Analysis and Applications 17(1), 1996.
    """
    covariance = checked_covariance(covariance)
    grams = _checked_grams(grams, len(covariance))

    def find(axes, stddevs):
        scales = stddevs[:, np.newaxis] if scaled else np.ones((len(stddevs), 1))
        return _jointly_diagonalize(scales * (axes.T @ grams @ axes) * scales.T)

    return rotate_strong_axes(covariance, find, min_relative_variance=min_relative_variance)


def _jointly_diagonalize(matrices: np.ndarray) -> tuple[np.ndarray, bool]:
    """The orthogonal R for which the `R' matrices R` are most diagonal; whether it converged."""

    def best_angle(axes):
        pairs = axes.T @ matrices @ axes
        difference, twice = pairs[:, 0, 0] - pairs[:, 1, 1], 2 * pairs[:, 0, 1]
        on, off = difference @ difference - twice @ twice, 2 * difference @ twice
        if np.hypot(on, off) <= _ROUNDING * np.sum(np.square(pairs)):
            return 0.0  # all angles are alike
        return np.arctan2(off, on + np.hypot(on, off)) / 2

    return jacobi_rotation(
        matrices.shape[1], best_angle, tolerance=_TOLERANCE, max_sweeps=_MAX_SWEEPS
    )


def _checked_grams(grams, latent_dim: int) -> np.ndarray:
    grams = np.asarray(grams, np.float64)
    if grams.shape[1:] != (latent_dim, latent_dim) or not len(grams):
        raise ValueError(
            "`grams` must have the shape (num_codes, latent_dim, latent_dim). "
            f"Received: shape={grams.shape}, latent_dim={latent_dim}."
        )
    check_symmetric(grams, "grams")
    return grams
