"""The two arrays that every score takes: checked once, dead and constant columns named."""

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .factor_kinds import FactorKind, parse_factor_kinds

STANDARDISATIONS = ("unit_variance", "none")

# Above what float32 holds; from about 1e60 the solvers of predictors fail or never end.
_LARGEST_MAGNITUDE = 1e40


@dataclasses.dataclass(frozen=True, eq=False)
class Inputs:
    """Checked latents `(n, num_latents)` and factors `(n, num_factors)` in float64.

    Dead latents are columns of zeros. Only factors that vary are kept.
    """

    latents: np.ndarray
    factors: np.ndarray
    kinds: list[FactorKind]
    latent_names: tuple[str, ...]
    factor_names: tuple[str, ...]
    is_dead: np.ndarray
    constant_factors: tuple[str, ...]

    @property
    def num_samples(self) -> int:
        return len(self.latents)

    @functools.cached_property
    def classes(self) -> np.ndarray:
        """Int array `(n, num_factors)`: which of its values each factor takes.

        Raises:
            ValueError: If a factor has hardly two samples per value.
        """
        columns = [np.unique(column, return_inverse=True)[1] for column in self.factors.T]
        for name, column in zip(self.factor_names, columns, strict=True):
            if 2 * (column.max() + 1) > self.num_samples:
                raise ValueError(
                    "`factors` must take few values here, each in many samples. Received: "
                    f"{column.max() + 1} values of {name} in {self.num_samples} samples. Sort a "
                    "continuous factor into bins first, for example by `np.digitize`."
                )
        return np.stack(columns, axis=1)

    @property
    def dead_latents(self) -> tuple[str, ...]:
        return tuple(np.array(self.latent_names)[self.is_dead].tolist())

    def standardised(self, standardisation: str) -> np.ndarray:
        """The latents, each brought to mean 0 and variance 1 for `"unit_variance"`."""
        check_standardisation(standardisation)
        return self.latents if standardisation == "none" else standardise(self.latents)

    def described(self) -> dict[str, Any]:
        """The fields of a report that follow from the inputs."""
        return {
            "factor_kinds": tuple(kind.kind for kind in self.kinds),
            "row_names": self.latent_names,
            "column_names": self.factor_names,
            "dead_latents": self.dead_latents,
            "constant_factors": self.constant_factors,
        }


def check_inputs(
    latents, factors, *, factor_kinds: Sequence | None = None, factor_names: Sequence | None = None
) -> Inputs:
    """Checks two arrays, or what NumPy makes an array of, and names what is degenerate in them.

    Raises:
        ValueError: If one is not a finite matrix of numbers up to 1e40, if their rows differ, or
            if there are fewer than two samples, two latents, or two factors that vary.
    """
    latents, factors = as_matrix(latents, "latents"), as_matrix(factors, "factors")
    _check_rows(latents, factors)
    if latents.shape[1] < 2:
        raise ValueError(
            "`latents` must have two columns or more, since every score compares latents. "
            f"Received: latents.shape={latents.shape}."
        )
    names = check_factor_names(factor_names, factors.shape[1])
    kinds = parse_factor_kinds(factor_kinds, factors)
    varies = np.ptp(factors, axis=0) > 0
    if varies.sum() < 2:
        raise ValueError(
            "`factors` must have two columns or more that vary, since every score compares "
            f"factors. Received: factors.shape={factors.shape}, of which {varies.sum()} vary."
        )
    is_dead = find_dead(latents)
    return Inputs(
        latents=np.where(is_dead, 0.0, latents),
        factors=factors[:, varies],
        kinds=[kind for kind, keep in zip(kinds, varies, strict=True) if keep],
        latent_names=tuple(f"latent_{index}" for index in range(latents.shape[1])),
        factor_names=tuple(name for name, keep in zip(names, varies, strict=True) if keep),
        is_dead=is_dead,
        constant_factors=tuple(n for n, keep in zip(names, varies, strict=True) if not keep),
    )


def as_matrix(array, argument: str) -> np.ndarray:
    """A float64 copy of a finite matrix of numbers with two rows or more."""
    array = np.asarray(array)
    if array.ndim != 2 or array.dtype.kind not in "buif":
        raise ValueError(
            f"`{argument}` must be numbers in two dimensions, samples by columns. Received: "
            f"shape={array.shape}, dtype={array.dtype}. Encode categories as integers."
        )
    if len(array) < 2 or not array.shape[1]:
        raise ValueError(
            f"`{argument}` must have two samples or more, and a column. "
            f"Received: shape={array.shape}."
        )
    array = array.astype(np.float64)
    finite = np.isfinite(array).all(axis=0)
    if not finite.all():
        raise ValueError(
            f"`{argument}` must be finite. Received: NaN or infinity in column(s) "
            f"{np.flatnonzero(~finite).tolist()}. Remove those rows, the same ones everywhere."
        )
    largest = np.abs(array).max()
    if largest > _LARGEST_MAGNITUDE:
        raise ValueError(
            f"`{argument}` must be at most {_LARGEST_MAGNITUDE:g} in magnitude. "
            f"Received: {largest:g}. Divide it by a constant, or look for overflows."
        )
    return array


def find_dead(latents: np.ndarray) -> np.ndarray:
    """Which columns have no more than the noise of float32, of themselves or of the largest.

    That is a standard deviation of at most 1.2e-7 of their largest magnitude, or 1e-6 of the
    largest deviation.
    """
    stddev = latents.std(axis=0)
    rounding = np.finfo(np.float32).eps * np.abs(latents).max(axis=0)
    return stddev <= np.maximum(rounding, 1e-6 * stddev.max())


def standardise(array: np.ndarray, reference: np.ndarray | None = None) -> np.ndarray:
    """Columns less the mean and over the deviation of `reference`; zeros where that is zero."""
    reference = array if reference is None else reference
    stddev = reference.std(axis=0)
    # The deviation of equal numbers need not come out as zero, that of tiny ones may.
    varies = (np.ptp(reference, axis=0) > 0) & (stddev > 0)
    return np.where(varies, (array - reference.mean(axis=0)) / np.where(varies, stddev, 1), 0.0)


def check_standardisation(standardisation: str) -> None:
    if standardisation not in STANDARDISATIONS:
        raise ValueError(
            f"`standardisation` must be one of {STANDARDISATIONS}. "
            f"Received: standardisation={standardisation!r}."
        )


def check_count(value: int, argument: str, smallest: int = 1) -> int:
    """`value` as an int; raises unless it is one and at least `smallest`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = smallest - 1
    if number < smallest or isinstance(value, bool):
        raise ValueError(
            f"`{argument}` must be an int of at least {smallest}. Received: {argument}={value!r}."
        )
    return number


def check_seed(seed: int) -> int:
    if check_count(seed, "seed", smallest=0) >= 2**32:
        raise ValueError(f"`seed` must be below 2**32. Received: seed={seed}.")
    return operator.index(seed)


def _check_rows(latents: np.ndarray, factors: np.ndarray) -> None:
    if len(latents) != len(factors):
        raise ValueError(
            "`latents` and `factors` must describe the same samples, one row each. Received: "
            f"latents.shape={latents.shape}, factors.shape={factors.shape}."
        )


def check_factor_names(names: Sequence | None, num_factors: int) -> tuple[str, ...]:
    """The names, `factor_0` and so on by default; raises unless there is one for each factor."""
    if names is None:
        return tuple(f"factor_{index}" for index in range(num_factors))
    if isinstance(names, str) or len(names) != num_factors or len(set(names)) != num_factors:
        raise ValueError(
            "`factor_names` must have a different name for each column of `factors`. Received: "
            f"factor_names={names!r} for {num_factors} factors."
        )
    return tuple(map(str, names))
