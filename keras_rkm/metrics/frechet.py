"""The Fréchet distance between two normal distributions that are fitted to features."""

import dataclasses
from typing import ClassVar

import numpy as np

from .feature_checks import as_features, check_same_width
from .feature_statistics import FeatureStatistics, check_mean_and_covariance, common_protocol
from .reports import Report

_NAMES = ("features_a", "features_b")


@dataclasses.dataclass(frozen=True, kw_only=True)
class FrechetReport(Report):
    """What `frechet_distance` returns.

    Attributes:
        value: Float >= 0, the squared distance, in squared units of the features.
        mean_term: Float, `||mean_a - mean_b||^2`.
        covariance_term: Float, the rest.
        num_samples_a: Int; None if only a mean and a covariance were given.
        num_samples_b: As `num_samples_a`.
        num_features: Int.
        protocol: Str, how the features were made, or None.
    """

    value: float
    mean_term: float
    covariance_term: float
    num_samples_a: int | None
    num_samples_b: int | None
    num_features: int
    protocol: str | None = None

    metric: ClassVar[str] = "frechet_distance"
    directions: ClassVar[dict[str, str]] = {"value": "lower is better"}


@dataclasses.dataclass(frozen=True)
class _Normal:
    """A normal distribution; its covariance is `factor @ factor.T`, with `trace` its trace."""

    mean: np.ndarray
    factor: np.ndarray
    trace: float
    num_samples: int | None = None
    protocol: str | None = None


def frechet_distance(features_a, features_b, *, protocol: str | None = None) -> FrechetReport:
    """Computes the squared Fréchet distance of two sets of features, FID on Inception's [1].

    It is the squared 2-Wasserstein distance between the normal distributions N(m_a, A), N(m_b, B)
    that have the means and covariances of the features [2]:

        ||m_a - m_b||^2 + trace(A) + trace(B) - 2 trace((A B)^(1/2))

    With `A = F F'` and `B = G G'` the last trace is the sum of the singular values of `F' G`. So
    nothing is ever the root of a matrix that is not symmetric: singular covariances are no special
    case, and the result is real and never negative. The factors are the centred features
    themselves where there are fewer of them than dimensions, else roots by eigenvalues.

    The distance of two finite samples of ONE distribution is positive, about in proportion to
    1 / num_samples: compare at equal numbers only.

    Args:
        features_a: `(num_samples, num_features)`, a `FeatureStatistics`, or a tuple of a mean
            `(num_features,)` and a covariance `(num_features, num_features)`.
        features_b: As `features_a`; the two may be exchanged.
        protocol: Str for the report, how the features were made. Defaults to that of the
            `FeatureStatistics`, if any.

    Returns:
        A `FrechetReport`.

    Raises:
        ValueError: If features are not finite, differ in width or protocol, have fewer than two
            rows, or a covariance is not symmetric and positive semi-definite.

    Example:

    >>> ours = np.zeros(2), np.eye(2)
    >>> theirs = np.array([3.0, 0.0]), np.diag([4.0, 1.0])
    >>> keras_rkm.metrics.frechet_distance(ours, theirs).value  # 3^2 + (2 - 1)^2
    10.0

    References:
        [1] M. Heusel, H. Ramsauer, T. Unterthiner, B. Nessler, S. Hochreiter, "GANs Trained by a
            Two Time-Scale Update Rule Converge to a Local Nash Equilibrium", NeurIPS 2017.
        [2] D. C. Dowson, B. V. Landau, "The Frechet Distance between Multivariate Normal
            Distributions", Journal of Multivariate Analysis 12, 1982.
    """
    a, b = _normal(features_a, _NAMES[0]), _normal(features_b, _NAMES[1])
    check_same_width(len(a.mean), len(b.mean), _NAMES)
    protocol = common_protocol(protocol, a.protocol, b.protocol)
    mean_term = float(np.sum(np.square(a.mean - b.mean)))
    # Rounding can leave a few units of the traces' last digit below zero.
    covariance_term = max(a.trace + b.trace - 2 * _trace_of_root(a.factor, b.factor), 0.0)
    return FrechetReport(
        value=mean_term + covariance_term,
        mean_term=mean_term,
        covariance_term=covariance_term,
        num_samples_a=a.num_samples,
        num_samples_b=b.num_samples,
        num_features=len(a.mean),
        protocol=protocol,
        notes=_notes(a, b),
    )


def _normal(features, argument: str) -> _Normal:
    if isinstance(features, FeatureStatistics):
        return _of_statistics(features, argument)
    if isinstance(features, tuple):
        return _of_moments(features, argument)
    array = as_features(features, argument)
    if len(array) > array.shape[1]:
        return _of_statistics(FeatureStatistics.from_batches([array]), argument)
    mean = array.mean(axis=0)
    factor = (array - mean).T / np.sqrt(len(array) - 1)
    return _Normal(mean, factor, float(np.sum(np.square(factor))), len(array))


def _of_statistics(statistics: FeatureStatistics, argument: str) -> _Normal:
    normal = _of_moments((statistics.mean, statistics.covariance), argument)
    return dataclasses.replace(
        normal, num_samples=statistics.num_samples, protocol=statistics.protocol
    )


def _of_moments(mean_and_covariance: tuple, argument: str) -> _Normal:
    if len(mean_and_covariance) != 2:
        raise ValueError(
            f"`{argument}` must be a pair (mean, covariance) if it is a tuple. "
            f"Received: a tuple of length {len(mean_and_covariance)}. Make rows an array."
        )
    mean, covariance = (np.asarray(part, np.float64) for part in mean_and_covariance)
    check_mean_and_covariance(mean, covariance)
    return _Normal(mean, _root(covariance, argument), float(np.trace(covariance)))


def _root(covariance: np.ndarray, argument: str) -> np.ndarray:
    """A matrix F with `F F' = covariance`, with a column for each eigenvalue that is not zero."""
    from scipy.linalg import eigh

    eigenvalues, vectors = eigh((covariance + covariance.T) / 2)
    largest = np.abs(eigenvalues).max()
    if eigenvalues[0] < -1e-6 * largest:
        raise ValueError(
            f"The covariance of `{argument}` must be positive semi-definite. "
            f"Received: a smallest eigenvalue of {eigenvalues[0]:g}, a largest of {largest:g}."
        )
    # Below this an eigenvalue is rounding, whose root would be a millionth of the largest root.
    kept = eigenvalues > len(eigenvalues) * np.finfo(np.float64).eps * largest
    return vectors[:, kept] * np.sqrt(eigenvalues[kept])


def _trace_of_root(factor_a: np.ndarray, factor_b: np.ndarray) -> float:
    """`trace((A B)^(1/2))` of two covariances by their factors."""
    from scipy.linalg import svdvals

    product = factor_a.T @ factor_b
    return float(svdvals(product).sum()) if product.size else 0.0


def _notes(*normals: _Normal) -> tuple[str, ...]:
    known = [n.num_samples for n in normals if n.num_samples is not None]
    num_features = len(normals[0].mean)
    if known and min(known) <= num_features:
        return (
            f"{min(known)} samples cannot fill {num_features} dimensions: the covariance is "
            "singular and the distance biased upwards",
        )
    return ()
