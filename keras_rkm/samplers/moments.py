"""Mean and covariance in one pass, and a Cholesky factor of it that dead latents do not break."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

# A variance below (1e-12)^2 would overflow float32 when a residual is divided by it and squared.
_SMALLEST_VARIANCE = 1e-24


class Moments(NamedTuple):
    """Mean `(dim,)` and maximum likelihood covariance `(dim, dim)` of `num_samples` rows."""

    num_samples: int
    mean: np.ndarray
    covariance: np.ndarray


def moments(batches: Iterable[np.ndarray]) -> Moments:
    """Reads batches `(num_samples, dim)` once, in O(dim^2) memory.

    The scatter of every batch about its own mean is merged by Chan's update [1]:
    `scatter += batch_scatter + outer(delta, delta) * count * batch_count / total`, where `delta`
    is the distance of the means. No squares of the mean are ever subtracted, so that a mean far
    from zero costs no digits.

    Raises:
        ValueError: If there are fewer than two rows.

    Example:

    >>> moments([np.array([[0.0], [2.0]]), np.array([[4.0]])]).covariance.round(3)
    array([[2.667]])

    References:
        [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
            Computing Sample Variances", COMPSTAT 1982.
    """
    count, mean, scatter = 0, 0.0, 0.0
    for batch in batches:
        total = count + len(batch)
        batch_mean = batch.mean(axis=0)
        centred = batch - batch_mean
        delta = batch_mean - mean
        mean = mean + delta * (len(batch) / total)
        scatter = scatter + centred.T @ centred
        scatter = scatter + np.outer(delta, delta) * (count * len(batch) / total)
        count = total
    check_num_samples(count)
    return Moments(count, mean, scatter / count)


def check_num_samples(count: int) -> None:
    """Raises a ValueError unless there are two samples."""
    if count < 2:
        raise ValueError(
            "`latents` must hold at least two samples, since one has no covariance. "
            f"Received: num_samples={count}."
        )


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
