"""Kinds of factors: how they are told, and what a regression predicts for them."""

import numpy as np
import pytest

from keras_rkm.metrics.disentanglement.factor_kinds import (
    FactorKind,
    parse_factor_kinds,
    targets,
)


def _column(*values):
    return np.array(values, dtype=float)[:, None]


@pytest.mark.parametrize("period", [360.0, 1.0, 2 * np.pi])
@pytest.mark.parametrize("start", [0.0, -0.3, 5.0])
def test_period_of_an_even_grid_is_one_step_more_than_its_range(start, period):
    grid = start + period * np.arange(8) / 8
    column = np.random.default_rng(0).choice(grid, 200)[:, None]
    (kind,) = parse_factor_kinds(["circular"], column)
    assert kind.kind == "circular"
    assert kind.period == pytest.approx(period, rel=1e-12)


def test_given_period_is_taken_as_it_is():
    column = _column(0, 1, 5)
    assert parse_factor_kinds([("circular", 24)], column) == [FactorKind("circular", 24.0)]
    assert parse_factor_kinds([["circular", np.float32(24)]], column)[0].period == 24.0


def test_without_kinds_every_factor_is_a_number():
    assert parse_factor_kinds(None, np.ones((4, 2))) == [FactorKind("continuous")] * 2


def test_constant_circular_factor_is_no_error():
    assert parse_factor_kinds(["circular"], _column(3, 3)) == [FactorKind("circular", 1.0)]


@pytest.mark.parametrize("column", [_column(0, 1, 3), _column(0, 1), _column(0, 1, 2, 2.5)])
def test_period_that_cannot_be_told_is_asked_for(column):
    with pytest.raises(ValueError, match=r"three or more values on an even.*\('circular', period"):
        parse_factor_kinds(["circular"], column)


@pytest.mark.parametrize(
    "kind", [3, None, (), "Circular", ("circular", 1, 2), ("categorical", 3), {"circular": 1}]
)
def test_unknown_kind_is_told(kind):
    with pytest.raises(ValueError, match="An entry of `factor_kinds` must be one of"):
        parse_factor_kinds([kind], _column(0, 1, 2))


@pytest.mark.parametrize("period", [0, -1.0, np.nan, np.inf, "360", None])
def test_impossible_period_is_told(period):
    with pytest.raises(ValueError, match="must be positive and finite"):
        parse_factor_kinds([("circular", period)], _column(0, 1, 2))


@pytest.mark.parametrize("kinds", ["circular", ["circular"] * 2, []])
def test_number_of_kinds_must_fit(kinds):
    with pytest.raises(ValueError, match="one entry for each column.*for 1 factors"):
        parse_factor_kinds(kinds, _column(0, 1, 2))


def test_targets_of_each_kind():
    column = np.array([0.0, 90.0, 180.0, 0.0])
    circular = targets(column, FactorKind("circular", 360.0))
    np.testing.assert_allclose(circular, [[1, 0], [0, 1], [-1, 0], [1, 0]], atol=1e-15)
    indicators = targets(column, FactorKind("categorical"))
    assert indicators.tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0]]
    assert targets(column, FactorKind("continuous")).tolist() == column[:, None].tolist()
