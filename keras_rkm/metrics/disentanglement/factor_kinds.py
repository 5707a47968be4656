"""What a factor is - ordered, circular or without order - and what a predictor is to predict."""

import numbers
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

KINDS = ("continuous", "circular", "categorical")


class FactorKind(NamedTuple):
    """`kind` is one of `KINDS`; `period` belongs to a circular one."""

    kind: str
    period: float | None = None


def parse_factor_kinds(factor_kinds: Sequence | None, factors: np.ndarray) -> list[FactorKind]:
    """One `FactorKind` for each column of `factors`; None takes every factor as a number.

    A circular factor needs its period: as `("circular", period)`, or by values on an even grid
    (such as 0, 9, ..., 351 degrees), which leave one step from the last to the first.

    Raises:
        ValueError: If a kind is unknown, their number does not fit, or a period cannot be told.

    Example:

    >>> from keras_rkm.metrics.disentanglement.factor_kinds import parse_factor_kinds
    >>> factors = np.stack([np.arange(8) * 45.0, np.arange(8) % 3], axis=1)
    >>> parse_factor_kinds(["circular", "categorical"], factors)
    [FactorKind(kind='circular', period=360.0), FactorKind(kind='categorical', period=None)]
    """
    if factor_kinds is None:
        return [FactorKind("continuous")] * factors.shape[1]
    if isinstance(factor_kinds, str) or len(factor_kinds) != factors.shape[1]:
        raise ValueError(
            "`factor_kinds` must have one entry for each column of `factors`. Received: "
            f"factor_kinds={factor_kinds!r} for {factors.shape[1]} factors."
        )
    return [_parse(kind, column) for kind, column in zip(factor_kinds, factors.T, strict=True)]


def targets(column: np.ndarray, kind: FactorKind) -> np.ndarray:
    """What stands for a factor in a regression, `(n, num_targets)`.

    The number itself; (cos, sin) of a circular one; one column per value of a categorical one.
    """
    if kind.kind == "circular":
        angle = 2 * np.pi * column / kind.period
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)
    if kind.kind == "categorical":
        return (column[:, None] == np.unique(column)).astype(np.float64)
    return column[:, None]


def _parse(kind: str | tuple, column: np.ndarray) -> FactorKind:
    name, *period = kind if isinstance(kind, list | tuple) and kind else (kind,)
    if name not in KINDS or len(period) > 1 or (period and name != "circular"):
        raise ValueError(
            f"An entry of `factor_kinds` must be one of {KINDS} or ('circular', period). "
            f"Received: {kind!r}."
        )
    if name != "circular":
        return FactorKind(name)
    if not period:
        return FactorKind(name, _period_of_grid(column))
    (period,) = period
    if not isinstance(period, numbers.Real) or not 0 < period < np.inf:
        raise ValueError(
            f"The period of a circular factor must be positive and finite. Received: {kind!r}."
        )
    return FactorKind(name, float(period))


def _period_of_grid(column: np.ndarray) -> float:
    values = np.unique(column)
    steps = np.diff(values)
    # A constant factor is left out later: any period will do.
    if not len(steps):
        return 1.0
    if not np.allclose(steps, steps.mean(), rtol=1e-3) or len(values) < 3:
        raise ValueError(
            "The period of a circular factor can only be told from three or more values on an even "
            f"grid. Received: {len(values)} values with steps from {steps.min():g} to "
            f"{steps.max():g}. Pass ('circular', period) in `factor_kinds`."
        )
    return float(values[-1] - values[0] + steps.mean())
