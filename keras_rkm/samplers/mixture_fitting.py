"""Mixtures of normal distributions by scikit-learn, and how many components to take."""

import operator
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from keras_rkm._moments import check_num_samples, moments

from .batches import latent_batches
from .covariance import floored_cholesky, smallest_variance

CRITERIA = ("bic", "held_out")
_HELD_OUT_FRACTION = 0.2
_MAX_ITERATIONS = 300  # scikit-learn's 100 are too few for ten components that overlap


class Mixture(NamedTuple):
    """`weights` (k,), `means` (k, dim) and lower triangular `scale_trils` (k, dim, dim)."""

    weights: np.ndarray
    means: np.ndarray
    scale_trils: np.ndarray


class _Standardisation(NamedTuple):
    """`(latents - mean) / scale` has mean zero and a largest variance of one."""

    mean: np.ndarray
    scale: float
    report: str | None


def fit_mixture(
    latents: np.ndarray, num_components: int, *, variance_floor: float = 1e-6, seed: int = 0
) -> tuple[Mixture, list[str]]:
    """Fits a mixture with full covariances by expectation maximisation.

    Args:
        latents: Float64 array `(num_samples, latent_dim)`.
        num_components: Positive int, at most `num_samples`.
        variance_floor: Float, added to the variances, relative to the largest of all latents.
        seed: Int, of the initialisation.

    Returns:
        The `Mixture`, and messages about what is degenerate, if anything.

    Raises:
        ValueError: If there are more components than samples.
    """
    mean, scale, report = _standardisation(latents, variance_floor)
    fitted = _fit((latents - mean) / scale, num_components, variance_floor, seed)
    reports = [report] if report else _collapsed(fitted.covariances_, variance_floor)
    scale_trils = scale * np.linalg.cholesky(fitted.covariances_)
    return Mixture(fitted.weights_, mean + scale * fitted.means_, scale_trils), reports


def select_num_components(
    latents: np.ndarray,
    candidates: Sequence[int],
    *,
    criterion: str = "bic",
    variance_floor: float = 1e-6,
    seed: int = 0,
) -> tuple[int, dict[int, float]]:
    """Chooses the number of components of a mixture.

    `"bic"` takes the smallest Bayesian information criterion,
    `num_parameters * log(num_samples) - 2 * log_likelihood`, of a fit to all samples. `"held_out"`
    takes the largest mean `log_prob` of a fifth of the samples, drawn with `seed`, under a fit to
    the others; it asks for more samples and supposes less.

    Args:
        latents: What `adapt` takes, such as an array `(num_samples, latent_dim)`.
        candidates: Positive ints.
        criterion: `"bic"` or `"held_out"`. Defaults to `"bic"`.
        variance_floor: As of `GaussianMixtureSampler`. Defaults to 1e-6.
        seed: Int, of the fits and of the held-out samples. Defaults to 0.

    Returns:
        The chosen number of components and the score of every candidate, by candidate.

    Raises:
        ValueError: If `criterion` is unknown, there are no candidates, or one of them exceeds the
            number of samples that are fitted.

    Example:

    >>> latents = np.random.default_rng(0).normal(size=(300, 2))
    >>> choice, scores = select_num_components(latents, [1, 2, 3])
    >>> choice, sorted(scores)
    (1, [1, 2, 3])
    """
    if criterion not in CRITERIA:
        raise ValueError(
            f"`criterion` must be one of {CRITERIA}. Received: criterion={criterion!r}."
        )
    if not len(candidates):
        raise ValueError(
            "`candidates` must hold a number of components that does not exceed the number of "
            f"samples. Received: candidates={list(candidates)}."
        )
    latents = gather(latent_batches(latents))
    score = _bic if criterion == "bic" else _held_out
    scores = {k: score(latents, k, variance_floor, seed) for k in candidates}
    best = min(scores, key=scores.get) if criterion == "bic" else max(scores, key=scores.get)
    return best, scores


def gather(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Stacks batches to `(num_samples, latent_dim)`, and raises if it has fewer than two rows."""
    batches = list(batches)
    check_num_samples(sum(map(len, batches)))
    return np.concatenate(batches)


def max_num_components(num_samples: int, criterion: str) -> int:
    """How many components `criterion` can still fit to `num_samples`."""
    return num_samples if criterion == "bic" else num_samples - _num_held_out(num_samples)


def check_num_components(num_components: int) -> None:
    """Raises unless it is a positive int."""
    try:
        number = operator.index(num_components)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(
            f"`num_components` must be a positive int or one of {CRITERIA}. "
            f"Received: num_components={num_components!r}."
        )


def _standardisation(latents: np.ndarray, variance_floor: float) -> _Standardisation:
    fitted = moments([latents])
    _, report = floored_cholesky(fitted, variance_floor)
    largest = np.linalg.eigvalsh(fitted.covariance)[-1]
    # Of latents that are all the same it is the floor that stands in for their variance.
    variance = max(largest, smallest_variance(fitted, variance_floor))
    return _Standardisation(fitted.mean, float(np.sqrt(variance)), report)


def _fit(latents: np.ndarray, num_components: int, variance_floor: float, seed: int):
    from sklearn.mixture import GaussianMixture

    check_num_components(num_components)
    if num_components > len(latents):
        raise ValueError(
            "`num_components` must not exceed the number of samples, since every component needs "
            f"one. Received: num_components={num_components}, num_samples={len(latents)}."
        )
    mixture = GaussianMixture(
        num_components, reg_covar=variance_floor, random_state=seed, max_iter=_MAX_ITERATIONS
    )
    return mixture.fit(latents)


def _collapsed(covariances: np.ndarray, variance_floor: float) -> list[str]:
    """Tells which components have no variance but the floor in some direction."""
    smallest = np.linalg.eigvalsh(covariances)[:, 0]
    collapsed = np.flatnonzero(smallest < 2 * variance_floor)
    if not len(collapsed):
        return []
    return [
        f"The covariances of {len(collapsed)} of {len(covariances)} components of the mixture are "
        f"degenerate (components {', '.join(map(str, collapsed))}) and rest on `variance_floor`="
        f"{variance_floor:g}: they hold too few distinct samples. Use fewer components."
    ]


def _bic(latents: np.ndarray, num_components: int, variance_floor: float, seed: int) -> float:
    mean, scale, _ = _standardisation(latents, variance_floor)
    standardised = (latents - mean) / scale
    bic = _fit(standardised, num_components, variance_floor, seed).bic(standardised)
    return float(bic + 2 * latents.size * np.log(scale))


def _held_out(latents: np.ndarray, num_components: int, variance_floor: float, seed: int) -> float:
    order = np.random.default_rng(seed).permutation(len(latents))
    held_out, fitted = np.split(latents[order], [_num_held_out(len(latents))])
    mean, scale, _ = _standardisation(fitted, variance_floor)
    mixture = _fit((fitted - mean) / scale, num_components, variance_floor, seed)
    return float(mixture.score((held_out - mean) / scale) - latents.shape[1] * np.log(scale))


def _num_held_out(num_samples: int) -> int:
    return max(1, int(_HELD_OUT_FRACTION * num_samples))
