"""What a score is worth: how much of it is left if the axes are turned at random."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from keras_rkm.metrics.reports import Report

from .inputs import (
    as_matrix,
    check_count,
    check_seed,
    check_standardisation,
    find_dead,
    standardise,
)
from .parallel import parallel_map
from .reports import LOWER


@dataclasses.dataclass(frozen=True, kw_only=True)
class RotationControlReport(Report):
    """What `random_rotation_control` returns; all dicts have the names of the scores as keys.

    Attributes:
        metric: Str, `"random_rotation_control of ..."`, with the variant of the metric.
        scores: Dict of floats, of the latents as they are.
        rotated_means: Dict of floats, the mean over the rotations.
        rotated_stddevs: Dict of floats, the standard deviation over the rotations; 0 for one.
        shares_as_good: Dict of floats, how many rotations did at least as well.
        directions: As of the metric.
        num_rotations: Int.
        seed: Int.
        standardisation: Str, what was done to the latents before they were rotated.
    """

    metric: str
    scores: Mapping[str, float]
    rotated_means: Mapping[str, float]
    rotated_stddevs: Mapping[str, float]
    shares_as_good: Mapping[str, float]
    directions: Mapping[str, str]
    num_rotations: int
    seed: int
    standardisation: str

    def __str__(self) -> str:
        lines = [
            f"{name} {self.scores[name]:.4f}, rotated {self.rotated_means[name]:.4f} "
            f"+- {self.rotated_stddevs[name]:.4f}  {direction}"
            for name, direction in self.directions.items()
        ]
        heading = f"{self.metric}: {self.num_rotations} rotations, seed {self.seed}"
        return "\n  ".join([heading, *lines])


def random_rotation_control(
    metric: Callable,
    latents,
    factors=None,
    *,
    num_rotations: int = 10,
    standardisation: str = "unit_variance",
    seed: int = 0,
    n_jobs: int | None = 1,
) -> RotationControlReport:
    """Compares a score with that of the same latents in randomly rotated axes.

    A rotation keeps everything that the latents know and everything a decoder can use; only the
    axes are lost. So what the rotated latents still score is no merit of the axes. For St-RKM it
    is also what it would score had training stopped at another basis of the same subspace.

    Args:
        metric: Callable of `(latents, factors)` that returns a `DisentanglementReport`, such as
            `keras_rkm.metrics.dci` or a `functools.partial` of it; of `(latents)` if there are no
            factors, as `udr`.
        latents: `(num_samples, num_latents)`; a list of them for `udr`, each rotated for itself.
        factors: `(num_samples, num_factors)`, or None.
        num_rotations: Int, drawn evenly from all rotations. Defaults to 10.
        standardisation: `"unit_variance"` rotates standardised latents, so that each axis gets as
            much of every latent; `"none"` rotates them as they are. Dead latents stay dead.
            Defaults to `"unit_variance"`.
        seed: Int, of the rotations. Defaults to 0.
        n_jobs: Int, threads over the rotations; the values do not depend on it. Defaults to 1.

    Returns:
        A `RotationControlReport`.

    Raises:
        ValueError: If an argument is out of range, and what the metric raises.

    Example:

    >>> factors = np.random.default_rng(0).normal(size=(500, 3))
    >>> control = keras_rkm.metrics.random_rotation_control(
    ...     keras_rkm.metrics.dci, factors, factors, num_rotations=4)
    >>> print(control)
    random_rotation_control of dci, lasso_2018: 4 rotations, seed 0
      disentanglement 1.0000, rotated 0... +- 0...  higher is better
      completeness 1.0000, rotated 0... +- 0...  higher is better
      informativeness 0.02..., rotated 0.0... +- 0...  NRMSE, lower is better
    """
    check_count(num_rotations, "num_rotations")
    check_standardisation(standardisation)
    generator = np.random.default_rng(check_seed(seed))
    several = isinstance(latents, list | tuple)
    runs = [as_matrix(run, "latents") for run in (latents if several else [latents])]
    draws = [
        [_rotated(run, standardisation, generator) for run in runs] for _ in range(num_rotations)
    ]

    def measure(drawn):
        argument = drawn if several else drawn[0]
        return metric(argument) if factors is None else metric(argument, factors)

    original, *rotated = parallel_map(measure, [runs, *draws], n_jobs)
    values = {name: np.array([report[name] for report in rotated]) for name in original.scores}
    return RotationControlReport(
        metric=f"random_rotation_control of {original.metric}, {original.variant}",
        scores=dict(original.scores),
        rotated_means={name: float(v.mean()) for name, v in values.items()},
        rotated_stddevs={
            name: float(v.std(ddof=1)) if num_rotations > 1 else 0.0 for name, v in values.items()
        },
        shares_as_good={
            name: _share_as_good(v, original[name], original.directions[name])
            for name, v in values.items()
        },
        directions=dict(original.directions),
        num_rotations=num_rotations,
        seed=seed,
        standardisation=standardisation,
    )


def random_rotation(dim: int, generator: np.random.Generator) -> np.ndarray:
    """An orthogonal matrix `(dim, dim)`, evenly from all of them."""
    basis, triangle = np.linalg.qr(generator.normal(size=(dim, dim)))
    # Without the signs the distribution is that of the algorithm, not the even one.
    return basis * np.sign(np.diag(triangle))


def _rotated(latents: np.ndarray, standardisation: str, generator) -> np.ndarray:
    live = ~find_dead(latents)
    rotated = latents if standardisation == "none" else standardise(latents)
    rotated = np.where(live, rotated, 0.0)
    rotated[:, live] = rotated[:, live] @ random_rotation(int(live.sum()), generator)
    return rotated


def _share_as_good(values: np.ndarray, reference: float, direction: str) -> float:
    gains = reference - values if direction.endswith(LOWER) else values - reference
    # What no rotation changes differs by rounding, and counts as equal.
    return float(np.mean(gains >= -1e-9))
