"""The kernel distance: unbiased, and the sum over pairs that it stands for."""

import numpy as np
import pytest

from keras_rkm.metrics import kernel_distance
from tests.oracles import generation as oracle


def _normal(num_samples, dim=4, seed=0, mean=0.0):
    return np.random.default_rng(seed).normal(size=(num_samples, dim)) + mean


def test_equals_the_sum_over_pairs():
    a, b = _normal(13, seed=0), _normal(13, seed=1, mean=0.4)
    report = kernel_distance(a, b, num_subsets=1, subset_size=13)
    assert report.value == pytest.approx(oracle.squared_discrepancy(a, b), rel=1e-12)
    assert report.standard_deviation is None


def test_disjoint_subsets_use_every_row_once():
    a, b = _normal(40, seed=0), _normal(40, seed=1, mean=1.0)
    a[7] += 1e4  # in one subset of the four, and in that one only
    report = kernel_distance(a, b, num_subsets=None, subset_size=10)
    assert (report.num_subsets, report.subsets) == (4, "disjoint")
    # With x the outlier and k(x, y) cubic, one value dwarfs the rest: (sum, spread) of one in four.
    assert report.standard_deviation == pytest.approx(2 * abs(report.value), rel=1e-3)


def test_mean_over_redraws_of_one_distribution_is_zero():
    # The biased estimate would have the mean E k(x, x) / n * 2 = 0.5, a hundred standard errors.
    generator = np.random.default_rng(0)
    values = [
        kernel_distance(*generator.normal(size=(2, 40, 4)), num_subsets=1, subset_size=40).value
        for _ in range(1_000)
    ]
    standard_error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values)) < 3 * standard_error
    assert standard_error < 0.02
    assert min(values) < 0


def test_expectation_does_not_depend_on_the_size_of_a_subset():
    a, b = _normal(2_000, seed=0), _normal(2_000, seed=1, mean=0.5)
    small, large = (
        kernel_distance(a, b, num_subsets=2_000 // size, subset_size=size).value
        for size in (20, 1_000)
    )
    assert small == pytest.approx(large, rel=0.15)


def test_is_larger_for_what_differs_more():
    a = _normal(300)
    values = [
        kernel_distance(a, _normal(300, seed=1, mean=mean), num_subsets=5, subset_size=200).value
        for mean in (0.0, 0.5, 1.0)
    ]
    assert values[0] < 0.1 < values[1] < values[2]


def test_seed_selects_the_subsets_and_the_spread_is_over_them():
    a, b = _normal(100), _normal(80, seed=1)
    options = {"num_subsets": 8, "subset_size": 30}
    first = kernel_distance(a, b, **options)
    assert first == kernel_distance(a, b, **options)
    other = kernel_distance(a, b, seed=1, **options)
    assert other.value != first.value
    assert 0 < first.standard_deviation < 1


@pytest.mark.parametrize("size", [1, 0, 2.5])
def test_subset_of_less_than_two_is_refused(size):
    with pytest.raises(ValueError, match=f"`subset_size`.*subset_size={size}"):
        kernel_distance(_normal(10), _normal(10), subset_size=size)


def test_subset_larger_than_a_set_is_refused():
    with pytest.raises(ValueError, match="subset_size=1000, num_samples=50 and 2000.*size=50"):
        kernel_distance(_normal(50), _normal(2_000))
