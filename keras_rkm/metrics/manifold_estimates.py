"""Fidelity and diversity apart: improved precision and recall, density and coverage."""

import dataclasses
from typing import ClassVar

import numpy as np

from .feature_checks import as_feature_pair
from .neighbours import Balls
from .reports import Report

_NAMES = ("real_features", "generated_features")


@dataclasses.dataclass(frozen=True, kw_only=True)
class _ManifoldReport(Report):
    num_neighbours: int
    num_real: int
    num_generated: int
    num_features: int
    protocol: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrecisionRecallReport(_ManifoldReport):
    """What `precision_recall` returns.

    Attributes:
        precision: Float in [0, 1], the share of generated samples that look real.
        recall: Float in [0, 1], the share of real samples that could have been generated.
        num_neighbours: Int.
        num_real: Int, the number of real samples.
        num_generated: Int, the number of generated ones.
        num_features: Int.
        protocol: Str, how the features were made, or None.
    """

    precision: float
    recall: float

    metric: ClassVar[str] = "precision_recall"
    directions: ClassVar[dict[str, str]] = {
        "precision": "higher is better",
        "recall": "higher is better",
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class DensityCoverageReport(_ManifoldReport):
    """What `density_coverage` returns.

    Attributes:
        density: Float >= 0, about 1 for generated samples as real as the real ones; it can exceed
            1 where they crowd together in the middle of the real ones.
        coverage: Float in [0, 1], the share of real samples with a generated one nearby.
        expected_coverage: Float, what two samples of one distribution have on the average.
        num_neighbours: Int.
        num_real: Int, the number of real samples.
        num_generated: Int, the number of generated ones.
        num_features: Int.
        protocol: Str, how the features were made, or None.
    """

    density: float
    coverage: float
    expected_coverage: float

    metric: ClassVar[str] = "density_coverage"
    directions: ClassVar[dict[str, str]] = {
        "density": "higher is better, 1 is ideal",
        "coverage": "higher is better",
    }


def precision_recall(
    real_features, generated_features, *, num_neighbours: int = 3, protocol: str | None = None
) -> PrecisionRecallReport:
    """Computes improved precision and recall [1].

    The manifold of a set of samples is taken to be the closed balls around them that reach to
    their k-th nearest neighbour in the set. Precision is the share of the generated samples on
    the manifold of the real ones, recall the share of the real ones on that of the generated ones.
    A single outlier among the real samples has a large ball, which flatters precision: see
    `density_coverage`.

    Args:
        real_features: `(num_real, num_features)`.
        generated_features: `(num_generated, num_features)`; as many as real ones, by the paper.
        num_neighbours: Positive int k. Defaults to 3.
        protocol: Str for the report, how the features were made.

    Returns:
        A `PrecisionRecallReport`.

    Raises:
        ValueError: If features are not finite or differ in width, or a set has no more than
            `num_neighbours` rows.

    Example:

    >>> one_cluster, another = np.random.default_rng(0).normal(size=(2, 50, 4))
    >>> real = np.concatenate([one_cluster, another + 100])
    >>> report = keras_rkm.metrics.precision_recall(real, one_cluster)
    >>> report.precision, report.recall
    (1.0, 0.5)

    References:
        [1] T. Kynkäänniemi, T. Karras, S. Laine, J. Lehtinen, T. Aila, "Improved Precision and
            Recall Metric for Assessing Generative Models", NeurIPS 2019.
    """
    real, generated = as_feature_pair(real_features, generated_features, names=_NAMES)
    return PrecisionRecallReport(
        precision=_share_on_manifold(generated, Balls(real, num_neighbours)),
        recall=_share_on_manifold(real, Balls(generated, num_neighbours)),
        **_counts(real, generated, num_neighbours, protocol),
    )


def density_coverage(
    real_features, generated_features, *, num_neighbours: int = 5, protocol: str | None = None
) -> DensityCoverageReport:
    """Computes density and coverage, which an outlier cannot sway [1].

    With the open balls of the real samples up to their k-th nearest neighbour, density is the mean
    number of balls that a generated sample lies in, divided by k; coverage is the share of balls
    that hold a generated sample. If both sets come from one distribution the expectation of
    density is 1 and that of coverage is

        1 - product over i = 1..k of (num_real - i) / (num_real + num_generated - i)

    Args:
        real_features: `(num_real, num_features)`.
        generated_features: `(num_generated, num_features)`.
        num_neighbours: Positive int k. Defaults to 5.
        protocol: Str for the report, how the features were made.

    Returns:
        A `DensityCoverageReport`.

    Raises:
        ValueError: If features are not finite or differ in width, or there are no more than
            `num_neighbours` real ones.

    Example:

    >>> real = np.random.default_rng(0).normal(size=(200, 4))
    >>> report = keras_rkm.metrics.density_coverage(real, real)
    >>> report.density, report.coverage
    (1.0, 1.0)

    References:
        [1] M. F. Naeem, S. J. Oh, Y. Uh, Y. Choi, J. Yoo, "Reliable Fidelity and Diversity Metrics
            for Generative Models", ICML 2020.
    """
    real, generated = as_feature_pair(real_features, generated_features, names=_NAMES)
    balls = Balls(real, num_neighbours)
    memberships, covered = 0, np.zeros(len(real), bool)
    for inside in balls.membership(generated, closed=False):
        memberships += int(inside.sum())
        covered |= inside.any(axis=0)
    return DensityCoverageReport(
        density=memberships / (num_neighbours * len(generated)),
        coverage=float(covered.mean()),
        expected_coverage=_expected_coverage(len(real), len(generated), num_neighbours),
        **_counts(real, generated, num_neighbours, protocol),
    )


def _share_on_manifold(points: np.ndarray, balls: Balls) -> float:
    found = [inside.any(axis=1) for inside in balls.membership(points, closed=True)]
    return float(np.concatenate(found).mean())


def _expected_coverage(num_real: int, num_generated: int, num_neighbours: int) -> float:
    ranks = np.arange(1, num_neighbours + 1)
    return float(1 - np.prod((num_real - ranks) / (num_real + num_generated - ranks)))


def _counts(real, generated, num_neighbours, protocol):
    return {
        "num_neighbours": num_neighbours,
        "num_real": len(real),
        "num_generated": len(generated),
        "num_features": real.shape[1],
        "protocol": protocol,
    }
