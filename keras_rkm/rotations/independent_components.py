"""The axes along which latents are as independent as a rotation can make them."""

import numpy as np

from .jacobi import jacobi_rotation, plane_rotation
from .rotation import (
    MIN_RELATIVE_VARIANCE,
    Rotation,
    checked_covariance,
    checked_latents,
    covariance_of,
    draw_rows,
    rotate_strong_axes,
)

# Densities of standardised coordinates on a grid, smoothed by a normal kernel.
_BANDWIDTH = 0.1
_NUM_BINS = 512
_RANGE = 6.0  # standard deviations to either side; what is further out counts as there
_BIN = 2 * _RANGE / _NUM_BINS
_SMALLEST = 1e-150  # standard deviation

_NUM_ANGLES = 36  # of the quarter turn after which a pair of axes is itself again
_TOLERANCE = 1e-3  # radians
_MAX_SWEEPS = 30


def ica_rotation(
    latents,
    *,
    covariance=None,
    min_relative_variance: float = MIN_RELATIVE_VARIANCE,
    max_samples: int = 10_000,
    seed: int = 0,
) -> Rotation:
    """Turns latents to the axes along which they depend on each other the least.

    Independent component analysis [1] in the units of the latents: of the strong axes, those whose
    variance is at least `min_relative_variance` of the largest, the orthogonal R that minimises the
    mutual information of the coordinates y = R'h,

        I(y) = sum_j H(y_j) - H(y),

    where H(y) does not depend on R, so that the entropies of single coordinates are all there is to
    compute. The others stay principal axes. It starts from the principal axes and turns pairs of
    axes, each by a search over all angles, as in [2]; the entropies are those of kernel densities.

    Usual ICA whitens first and then looks for an orthogonal matrix there, which makes an oblique
    one of the latents. Here R is orthogonal as it stands. `H(y_j)` is the logarithm of the standard
    deviation of y_j plus what depends on its shape: the first part alone is least for principal
    axes, so they are what normal latents keep, and the shape decides where variances nearly tie.
    Only if they tie AND are normal, no axes are better than others.

    The latents of a variational auto-encoder are in units of its prior, and this serves them as it
    is. To rotate standardised latents instead, divide them by their standard deviations, but leave
    out the dead ones before, which would grow as strong as the others.

    Args:
        latents: `(num_samples, latent_dim)`.
        covariance: `(latent_dim, latent_dim)`, from which the principal axes and the variances are
            taken. Defaults to None: that of these latents; give it if they are a part of more.
        min_relative_variance: Float in [0, 1]. Defaults to 0.05.
        max_samples: Int, at least two: of more latents so many are drawn. Defaults to 10,000.
        seed: Int, selects them. Defaults to 0.

    Returns:
        A `Rotation`.

    Raises:
        ValueError: If the latents are not finite or do not vary, or an argument is out of range.

    Example:

    >>> mixing = np.array([[0.8, -0.6], [0.6, 0.8]])
    >>> sources = np.random.default_rng(0).uniform(size=(5000, 2))
    >>> rotation = ica_rotation(sources @ mixing.T)
    >>> np.sort(np.abs(mixing.T @ rotation.matrix), axis=None).round(2)
    array([0., 0., 1., 1.])

    References:
        [1] P. Comon, "Independent component analysis, a new concept?", Signal Processing 36(3),
            1994.
        [2] E. G. Learned-Miller, J. W. Fisher III, "ICA Using Spacings Estimates of Entropy",
            Journal of Machine Learning Research 4, 2003.
    """
    latents = checked_latents(latents)
    covariance = covariance_of(latents) if covariance is None else checked_covariance(covariance)
    if len(covariance) != latents.shape[1]:
        raise ValueError(
            "`covariance` must be that of the latents. "
            f"Received: covariance.shape={covariance.shape}, latents.shape={latents.shape}."
        )
    sample = draw_rows(latents, max_samples, seed)
    return rotate_strong_axes(
        covariance,
        lambda axes, _: _least_dependent(sample @ axes),
        min_relative_variance=min_relative_variance,
    )


def _least_dependent(coordinates: np.ndarray) -> tuple[np.ndarray, bool]:
    """The orthogonal matrix of the least sum of entropies, and whether the search has ended."""
    return jacobi_rotation(
        coordinates.shape[1],
        lambda axes: _best_angle(coordinates @ axes),
        tolerance=_TOLERANCE,
        max_sweeps=_MAX_SWEEPS,
    )


def _best_angle(pair: np.ndarray) -> float:
    """The angle that turns two coordinates, `(num_samples, 2)`, to the least sum of entropies.

    Zero unless another angle is better: at the end nothing moves.
    """
    from scipy.optimize import minimize_scalar

    def cost(angle):
        return sum(map(_entropy, (pair @ plane_rotation(angle)).T))

    step = np.pi / 2 / _NUM_ANGLES
    angles = step * np.arange(-(_NUM_ANGLES // 2), _NUM_ANGLES // 2)
    costs = [cost(angle) for angle in angles]
    best = angles[np.argmin(costs)]
    found = minimize_scalar(
        cost,
        bounds=(best - step, best + step),
        method="bounded",
        options={"xatol": _TOLERANCE / 10},
    )
    return float(found.x) if found.fun < min(costs) else float(best)


def _entropy(coordinate: np.ndarray) -> float:
    """The differential entropy of numbers `(num_samples,)`, from a kernel density."""
    from scipy.ndimage import gaussian_filter1d

    stddev = max(coordinate.std(), _SMALLEST)
    positions = ((coordinate - coordinate.mean()) / stddev + _RANGE) / _BIN
    positions = np.clip(positions, 0, _NUM_BINS - 1 - 1e-6)
    lower = positions.astype(int)
    # Shared among the two neighbours, so that the entropy is a continuous function of the angle.
    upper_share = positions - lower
    masses = np.bincount(lower, 1 - upper_share, minlength=_NUM_BINS)
    masses += np.bincount(lower + 1, upper_share, minlength=_NUM_BINS)
    masses = gaussian_filter1d(masses / len(coordinate), _BANDWIDTH / _BIN, mode="constant")
    masses = masses[masses > 0]
    return float(-np.sum(masses * np.log(masses / _BIN)) + np.log(stddev))
