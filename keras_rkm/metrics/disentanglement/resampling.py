"""How far a score moves by chance: with other samples of the same kind, and with other seeds."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from keras_rkm.metrics.reports import Report

from .inputs import as_matrix, check_count, check_seed
from .parallel import parallel_map
from .reports import DisentanglementReport

RESAMPLING = ("half_samples", "rows")


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpreadReport(Report):
    """Where to expect the scores: what `bootstrap_interval` and `spread_over_seeds` return.

    Attributes:
        metric: Str, the function and what it was applied to, with the variant.
        scores: Dict of floats, of all samples, or the mean over the seeds.
        low: Dict of floats, the lower ends, by the name of the score.
        high: Dict of floats, the upper ends.
        stddevs: Dict of floats, the standard deviation of the score.
        directions: As of the metric.
        method: Str, how `low` and `high` were found.
    """

    metric: str
    scores: Mapping[str, float]
    low: Mapping[str, float]
    high: Mapping[str, float]
    stddevs: Mapping[str, float]
    directions: Mapping[str, str]
    method: str

    def __str__(self) -> str:
        lines = [
            f"{name} {self.scores[name]:.4f} [{self.low[name]:.4f}, {self.high[name]:.4f}]  "
            f"{direction}"
            for name, direction in self.directions.items()
        ]
        return "\n  ".join([f"{self.metric}: {self.method}", *lines])


def bootstrap_interval(
    metric: Callable,
    latents,
    factors=None,
    *,
    num_resamples: int = 100,
    confidence: float = 0.95,
    method: str = "half_samples",
    seed: int = 0,
    n_jobs: int | None = 1,
) -> SpreadReport:
    """Tells how far a score may be off because the samples are what they are.

    The interval is over other samples for the SAME latents and factors. Training another model
    moves scores about ten times as far: report several training seeds besides.

    The bootstrap that draws n of n rows with replacement is wrong for most of these metrics: copies
    of a row end up in the train and in the test part, so that a forest scores on samples that it
    has learned by heart; and copies are their own nearest neighbours. So the default draws HALF of
    the rows without replacement. The variance of the score of a half-sample, given the set, is
    that of the score of the set itself (the delete-d jackknife with d = n/2, [1]), so that the
    deviations from their mean can be taken as they are:

        low, high = score + quantiles of (score of a half-sample - mean over half-samples)

    Taking the mean off removes the bias of training on half as much. `method="rows"` is the plain
    bootstrap [2], centred in the same way, for metrics that neither split nor count neighbours.

    Args:
        metric: As of `random_rotation_control`.
        latents: `(num_samples, num_latents)`, or a list of them for `udr`.
        factors: `(num_samples, num_factors)`, or None.
        num_resamples: Int of at least 2. Defaults to 100.
        confidence: Float in (0, 1). Defaults to 0.95.
        method: `"half_samples"` or `"rows"`. Defaults to `"half_samples"`.
        seed: Int, of the resamples. Defaults to 0.
        n_jobs: Int, threads over the resamples; the values do not depend on it. Defaults to 1.

    Returns:
        A `SpreadReport`. An interval may reach beyond the range of a score.

    Raises:
        ValueError: If an argument is out of range, and what the metric raises, such as too few
            samples in a half.

    Example:

    >>> factors = np.random.default_rng(0).integers(0, 4, size=(1_000, 2))
    >>> noisy = factors + np.random.default_rng(1).normal(size=factors.shape)
    >>> print(keras_rkm.metrics.bootstrap_interval(
    ...     keras_rkm.metrics.mutual_information_gap, noisy, factors))
    bootstrap_interval of mutual_information_gap, equal_width_bins: 95 % of 100 half_samples, seed 0
      mutual_information_gap 0.2... [0.2..., 0.3...]  higher is better

    References:
        [1] J. Shao, C. F. J. Wu, "A General Theory for Jackknife Variance Estimation", Annals of
            Statistics 17, 1989.
        [2] B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7,
            1979.
    """
    check_count(num_resamples, "num_resamples", smallest=2)
    _check(confidence, method)
    several = isinstance(latents, list | tuple)
    runs = [as_matrix(run, "latents") for run in (latents if several else [latents])]
    factors = None if factors is None else np.asarray(factors)
    draws = _draws(len(runs[0]), num_resamples, method, check_seed(seed))

    def measure(rows):
        drawn = [run[rows] for run in runs]
        argument = drawn if several else drawn[0]
        return metric(argument) if factors is None else metric(argument, factors[rows])

    original, *resampled = parallel_map(measure, [np.arange(len(runs[0])), *draws], n_jobs)
    ends = (1 - confidence) / 2, (1 + confidence) / 2
    deviations = {
        name: values - values.mean() for name, values in _by_score(original, resampled).items()
    }
    return SpreadReport(
        metric=f"bootstrap_interval of {original.metric}, {original.variant}",
        scores=dict(original.scores),
        low={n: original[n] + float(np.quantile(d, ends[0])) for n, d in deviations.items()},
        high={n: original[n] + float(np.quantile(d, ends[1])) for n, d in deviations.items()},
        stddevs={n: float(d.std(ddof=1)) for n, d in deviations.items()},
        directions=dict(original.directions),
        method=f"{100 * confidence:g} % of {num_resamples} {method}, seed {seed}",
    )


def spread_over_seeds(
    metric: Callable,
    latents,
    factors,
    *,
    seeds: Sequence[int] = (0, 1, 2, 3, 4),
    n_jobs: int | None = 1,
) -> SpreadReport:
    """Repeats a metric that draws - splits, trees, batches - with several seeds.

    Args:
        metric: Callable of `(latents, factors, seed=...)` that returns a `DisentanglementReport`.
        latents: `(num_samples, num_latents)`.
        factors: `(num_samples, num_factors)`.
        seeds: Two ints or more. Defaults to 0 ... 4.
        n_jobs: Int, threads over the seeds; the values do not depend on it. Defaults to 1.

    Returns:
        A `SpreadReport`: means, and the least and the largest value as its ends.

    Raises:
        ValueError: If there are not two different seeds or more, and what the metric raises.

    Example:

    >>> factors = np.random.default_rng(0).normal(size=(300, 2))
    >>> print(keras_rkm.metrics.spread_over_seeds(keras_rkm.metrics.dci, factors, factors))
    spread_over_seeds of dci, lasso_2018: mean and range over 5 seeds
      disentanglement 1.0000 [1.0000, 1.0000]  higher is better
      ...
    """
    seeds = _check_seeds(seeds)
    reports = parallel_map(lambda seed: metric(latents, factors, seed=seed), seeds, n_jobs)
    values = _by_score(reports[0], reports)
    return SpreadReport(
        metric=f"spread_over_seeds of {reports[0].metric}, {reports[0].variant}",
        scores={name: float(v.mean()) for name, v in values.items()},
        low={name: float(v.min()) for name, v in values.items()},
        high={name: float(v.max()) for name, v in values.items()},
        stddevs={name: float(v.std(ddof=1)) for name, v in values.items()},
        directions=dict(reports[0].directions),
        method=f"mean and range over {len(seeds)} seeds",
    )


def _by_score(first: DisentanglementReport, reports: Sequence) -> dict[str, np.ndarray]:
    return {name: np.array([report[name] for report in reports]) for name in first.scores}


def _draws(num_samples: int, num_resamples: int, method: str, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    if method == "rows":
        return [generator.integers(num_samples, size=num_samples) for _ in range(num_resamples)]
    return [generator.permutation(num_samples)[: num_samples // 2] for _ in range(num_resamples)]


def _check_seeds(seeds: Sequence[int]) -> list[int]:
    checked = [check_seed(seed) for seed in seeds] if np.ndim(seeds) == 1 else []
    if len(checked) < 2 or len(set(checked)) < len(checked):
        raise ValueError(f"`seeds` must be two different ints or more. Received: seeds={seeds!r}.")
    return checked


def _check(confidence: float, method: str) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must be in (0, 1). Received: confidence={confidence}.")
    if method not in RESAMPLING:
        raise ValueError(f"`method` must be one of {RESAMPLING}. Received: method={method!r}.")
