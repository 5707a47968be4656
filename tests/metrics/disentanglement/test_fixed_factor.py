"""Draws of batches and pairs that share the value of one factor."""

import numpy as np
import pytest
from scipy import stats

from keras_rkm.metrics.disentanglement.fixed_factor import (
    FixedFactorSampler,
    half_and_half,
    notes_on_samples,
)
from keras_rkm.metrics.disentanglement.inputs import check_inputs
from tests.metrics.disentanglement.cases import discrete_factors


def _sampler(factors, rows=None):
    rows = np.arange(len(factors)) if rows is None else rows
    return FixedFactorSampler(check_inputs(factors, factors), rows)


def _uneven(num_samples=400):
    """One value three times as frequent as the other."""
    factors = discrete_factors(num_samples, (4, 3))
    factors[:, 0] = factors[:, 0] == 0
    return factors


def test_a_batch_shares_the_value_of_its_factor_only():
    factors = discrete_factors(300)
    fixed, rows = _sampler(factors).batches(200, 16, np.random.default_rng(0))
    values = factors[rows]
    assert rows.shape == (200, 16)
    same = np.ptp(values, axis=1) == 0
    assert same[np.arange(200), fixed].all()
    same[np.arange(200), fixed] = False
    assert not same.any()


def test_factors_are_drawn_evenly_and_values_as_often_as_they_occur():
    factors = _uneven()
    fixed, rows = _sampler(factors).batches(20_000, 1, np.random.default_rng(0))
    assert stats.binomtest(int(np.sum(fixed == 0)), 20_000).pvalue > 1e-3
    values = factors[rows[fixed == 0, 0], 0]
    share = np.mean(factors[:, 0])
    assert stats.binomtest(int(values.sum()), len(values), share).pvalue > 1e-3


def test_rows_of_a_value_are_drawn_evenly():
    factors = _uneven(60)
    fixed, rows = _sampler(factors).batches(2_000, 30, np.random.default_rng(0))
    chosen = rows[(fixed == 0) & (factors[rows[:, 0], 0] == 1)]
    counts = np.bincount(chosen.ravel(), minlength=60)[factors[:, 0] == 1]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_two_of_a_pair_differ_and_share_the_value_while_pairs_do_not():
    factors = discrete_factors(300)
    fixed, first, second = _sampler(factors).pairs(200, 32, np.random.default_rng(0))
    values = factors[np.stack([first, second])]
    assert np.all(first != second)
    for point, factor in enumerate(fixed):
        assert np.array_equal(*values[:, point, :, factor])
        assert np.ptp(values[0, point, :, factor]) > 0
        for other in set(range(3)) - {factor}:
            assert not np.array_equal(*values[:, point, :, other])


def test_the_first_of_pairs_is_any_row_and_the_second_any_other_of_the_value():
    factors = _uneven(40)
    fixed, first, second = _sampler(factors).pairs(3_000, 20, np.random.default_rng(0))
    first, second = first[fixed == 0].ravel(), second[fixed == 0].ravel()
    assert stats.chisquare(np.bincount(first, minlength=40)).pvalue > 1e-3
    row = np.flatnonzero(factors[:, 0] == 1)[2]
    others = np.setdiff1d(np.flatnonzero(factors[:, 0] == 1), row)
    counts = np.bincount(second[first == row], minlength=40)
    assert counts.sum() == counts[others].sum()
    assert stats.chisquare(counts[others]).pvalue > 1e-3


def test_a_value_of_a_single_row_forms_no_pair_yet_a_batch():
    factors = discrete_factors(100, (3, 3))
    factors[5, 0] = 7
    sampler = _sampler(factors)
    fixed, first, second = sampler.pairs(500, 20, np.random.default_rng(0))
    pairs = np.stack([first, second])[:, fixed == 0]
    assert not np.any(pairs == 5)
    fixed, rows = sampler.batches(2_000, 3, np.random.default_rng(0))
    assert np.any(np.all(rows[fixed == 0] == 5, axis=1))


def test_only_the_given_rows_are_drawn():
    factors = discrete_factors(300)
    allowed = np.arange(100, 200)
    sampler = _sampler(factors, allowed)
    _, rows = sampler.batches(300, 8, np.random.default_rng(0))
    _, first, second = sampler.pairs(300, 8, np.random.default_rng(0))
    for drawn in (rows, first, second):
        assert set(np.unique(drawn)) <= set(allowed)


def test_halves_share_no_row_and_are_shuffled():
    factors = discrete_factors(101)
    train, test = half_and_half(check_inputs(factors, factors), np.random.default_rng(0))
    assert (len(train.rows), len(test.rows)) == (50, 51)
    assert sorted([*train.rows, *test.rows]) == list(range(101))
    assert sorted(train.rows) != list(range(50))


def test_factors_of_few_samples_per_value_are_told():
    factors = np.stack([np.arange(40) % 10, np.arange(40) % 2], axis=1)
    inputs = check_inputs(factors, factors)
    FixedFactorSampler(inputs, np.arange(40))
    with pytest.raises(ValueError, match="4 samples or more.*10 values of factor_0 in 39 samples"):
        FixedFactorSampler(inputs, np.arange(39))


def test_values_with_fewer_samples_than_a_batch_are_noted():
    factors = np.stack([np.arange(120) % 12, np.arange(120) % 2], axis=1)
    samplers = (_sampler(factors), _sampler(factors))
    assert notes_on_samples(samplers, 10) == ()
    (note,) = notes_on_samples(samplers, 11)
    assert note.startswith("12 values of factors have fewer than 11 samples")
