"""Counting of mutual information against the sum over the joint table."""

import numpy as np
import pytest

from keras_rkm.metrics.disentanglement.information import (
    entropies,
    equal_width_bins,
    mutual_information,
)
from tests.metrics.disentanglement.cases import discrete_factors, grid, noisy_latents
from tests.oracles import disentanglement as oracle


@pytest.mark.parametrize("num_bins", [2, 20, 57])
def test_information_agrees_with_the_sum_over_the_joint_table(num_bins):
    factors = discrete_factors(500)
    latents = noisy_latents(factors)
    expected = [
        [oracle.histogram_information(code, factor, num_bins) for factor in factors.T]
        for code in latents.T
    ]
    actual = mutual_information(latents, factors, num_bins)
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-12)


def test_entropy_agrees_with_its_sum():
    factors = discrete_factors(500)
    expected = [oracle.entropy(factor) for factor in factors.T]
    np.testing.assert_allclose(entropies(factors), expected, rtol=1e-12)


def test_bins_are_of_equal_width_and_closed_below():
    latents = np.array([[0.0], [0.99], [1.0], [2.5], [3.0], [4.0]])
    assert equal_width_bins(latents, 4).ravel().tolist() == [0, 0, 1, 2, 3, 3]


def test_the_largest_value_shares_the_last_bin():
    latents = np.arange(1_001.0)[:, None]
    counts = np.bincount(equal_width_bins(latents, 20)[:, 0])
    assert counts.tolist() == [50] * 19 + [51]


def test_independent_counts_have_exactly_no_information():
    # On a grid the counts of a pair multiply; entropies would leave 1e-16, which a ratio of
    # informations, such as modularity, would take for a value.
    factors = grid(3, 5, 7)
    information = mutual_information(factors.astype(float), factors, 20)
    assert np.all(information[~np.eye(3, dtype=bool)] == 0.0)
    np.testing.assert_allclose(np.diag(information), np.log([3, 5, 7]), rtol=1e-12)


def test_a_constant_has_exactly_no_information():
    factors = discrete_factors(500)
    assert not mutual_information(np.full((500, 2), 0.1), factors, 20).any()
