"""A Cholesky factor of a covariance that dead latents do not break."""

import numpy as np

from keras_rkm._moments import Moments

# A variance below (1e-12)^2 would overflow float32 when a residual is divided by it and squared.
_SMALLEST_VARIANCE = 1e-24


def check_variance_floor(variance_floor: float) -> None:
    """Raises a ValueError unless it is in (0, 1)."""
    if not 0 < variance_floor < 1:
        raise ValueError(
            "`variance_floor` must be in (0, 1): it is relative to the largest variance, and zero "
            f"would leave a singular covariance. Received: variance_floor={variance_floor}."
        )


def smallest_variance(fitted: Moments, variance_floor: float) -> float:
    """The variance below which a direction counts as dead.

    `variance_floor` times the largest one, but no less than what rounding to float32 makes.
    """
    rounding = np.finfo("float32").eps * np.abs(fitted.mean).max()
    largest = np.linalg.eigvalsh(fitted.covariance)[-1]
    return max(variance_floor * largest, rounding**2, _SMALLEST_VARIANCE)


def floored_cholesky(fitted: Moments, variance_floor: float) -> tuple[np.ndarray, str | None]:
    """Raises eigenvalues to the smallest variance, factorises, and tells what it raised.

    A covariance without dead directions is factorised as it is.

    Returns:
        The lower triangular factor `(dim, dim)` in float64, and a message or None.
    """
    covariance = (fitted.covariance + fitted.covariance.T) / 2
    eigenvalues, vectors = np.linalg.eigh(covariance)
    floor = smallest_variance(fitted, variance_floor)
    raised = int((eigenvalues < floor).sum())
    if not raised:
        return np.linalg.cholesky(covariance), None
    covariance = (vectors * np.maximum(eigenvalues, floor)) @ vectors.T
    return np.linalg.cholesky(covariance), _report(fitted, eigenvalues, floor, raised)


def _report(fitted: Moments, eigenvalues: np.ndarray, floor: float, raised: int) -> str:
    variances = np.diag(fitted.covariance)
    dead = [f"axis {i} (variance {variances[i]:.3g})" for i in np.flatnonzero(variances < floor)]
    if dead:
        cause = f"Dead latents: {', '.join(dead)}."
    else:
        cause = (
            "No single axis is dead: the latents depend linearly on each other, or there are too "
            f"few of them (num_samples={fitted.num_samples}, latent_dim={len(variances)})."
        )
    return (
        f"The covariance of the latents is degenerate: {raised} of its {len(eigenvalues)} "
        f"eigenvalues were below {floor:.3g} and have been raised to it; the largest is "
        f"{eigenvalues[-1]:.3g}. {cause}"
    )
