"""The kernel distance (KID): an unbiased maximum mean discrepancy of features."""

import dataclasses
from collections.abc import Iterator
from typing import ClassVar

import numpy as np

from .feature_checks import as_feature_pair, check_int
from .reports import Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class KernelReport(Report):
    """What `kernel_distance` returns.

    Attributes:
        value: Float, the mean over the subsets; it can be slightly negative.
        standard_deviation: Float, over the subsets; None of a single one.
        num_subsets: Int.
        subset_size: Int, rows of either set in a subset.
        subsets: `"drawn"` or `"disjoint"`.
        num_samples_a: Int.
        num_samples_b: Int.
        num_features: Int.
        seed: Int that selects the subsets.
        protocol: Str, how the features were made, or None.
    """

    value: float
    standard_deviation: float | None
    num_subsets: int
    subset_size: int
    subsets: str
    num_samples_a: int
    num_samples_b: int
    num_features: int
    seed: int
    protocol: str | None = None

    metric: ClassVar[str] = "kernel_distance"
    directions: ClassVar[dict[str, str]] = {"value": "lower is better"}


def kernel_distance(
    features_a,
    features_b,
    *,
    num_subsets: int | None = 100,
    subset_size: int = 1_000,
    seed: int = 0,
    protocol: str | None = None,
) -> KernelReport:
    """Computes the squared maximum mean discrepancy with a cubic kernel, KID on Inception's [1].

    With `k(x, y) = (x.y / num_features + 1)^3`, for x, x' of one set and y, y' of the other,

        E k(x, x') + E k(y, y') - 2 E k(x, y)

    over pairs of different rows. That estimate is unbiased: two samples of one distribution have
    the expectation 0 at any size, so values at different sizes can be compared, which those of
    `frechet_distance` cannot. The mean over subsets is as unbiased, at a bounded cost.

    Args:
        features_a: `(num_samples, num_features)`.
        features_b: As `features_a`, possibly with another number of rows.
        num_subsets: Positive int, how often `subset_size` rows of either set are drawn without
            replacement. None: the rows are shuffled and cut into as many disjoint subsets as
            there are, whose values are independent of each other. Defaults to 100.
        subset_size: Int >= 2. Defaults to 1,000.
        seed: Int, selects the subsets. Defaults to 0.
        protocol: Str for the report, how the features were made.

    Returns:
        A `KernelReport`.

    Raises:
        ValueError: If features are not finite or differ in width, or a set has fewer than
            `subset_size` rows.

    Example:

    >>> features = np.random.default_rng(0).normal(size=(2, 400, 8))
    >>> report = keras_rkm.metrics.kernel_distance(*features, num_subsets=None, subset_size=100)
    >>> report.num_subsets, abs(report.value) < 0.1
    (4, True)

    References:
        [1] M. Bińkowski, D. J. Sutherland, M. Arbel, A. Gretton, "Demystifying MMD GANs",
            ICLR 2018.
    """
    a, b = as_feature_pair(features_a, features_b, names=("features_a", "features_b"))
    check_int("subset_size", subset_size, minimum=2)
    if subset_size > min(len(a), len(b)):
        raise ValueError(
            "`subset_size` must not exceed the number of samples of either set. "
            f"Received: subset_size={subset_size}, num_samples={len(a)} and {len(b)}. "
            f"Take more samples or subset_size={min(len(a), len(b))}."
        )
    disjoint = num_subsets is None
    if disjoint:
        num_subsets = min(len(a), len(b)) // subset_size
    check_int("num_subsets", num_subsets)
    generator = np.random.default_rng(seed)
    make = _disjoint if disjoint else _drawn
    pairs = zip(
        *(make(len(rows), num_subsets, subset_size, generator) for rows in (a, b)), strict=True
    )
    values = [squared_discrepancy(a[in_a], b[in_b]) for in_a, in_b in pairs]
    return KernelReport(
        value=float(np.mean(values)),
        standard_deviation=float(np.std(values, ddof=1)) if num_subsets > 1 else None,
        num_subsets=num_subsets,
        subset_size=subset_size,
        subsets="disjoint" if disjoint else "drawn",
        num_samples_a=len(a),
        num_samples_b=len(b),
        num_features=a.shape[1],
        seed=seed,
        protocol=protocol,
    )


def squared_discrepancy(a: np.ndarray, b: np.ndarray) -> float:
    """The unbiased estimate for `a` (n, num_features) and `b` (n, num_features), in one product."""
    size = len(a)
    stacked = np.concatenate([a, b])
    kernel = stacked @ stacked.T
    kernel /= stacked.shape[1]
    kernel += 1
    kernel **= 3
    within = [
        (block.sum() - np.trace(block)) / (size * (size - 1))
        for block in (kernel[:size, :size], kernel[size:, size:])
    ]
    return float(sum(within) - 2 * kernel[:size, size:].mean())


def _drawn(num_rows, num_subsets, subset_size, generator) -> Iterator[np.ndarray]:
    for _ in range(num_subsets):
        yield generator.choice(num_rows, subset_size, replace=False)


def _disjoint(num_rows, num_subsets, subset_size, generator) -> Iterator[np.ndarray]:
    order = generator.permutation(num_rows)
    yield from order[: num_subsets * subset_size].reshape(num_subsets, subset_size)
