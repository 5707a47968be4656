"""Precision, recall, density and coverage against loops, and in the cases of the textbooks."""

import numpy as np
import pytest

from keras_rkm.metrics import density_coverage, neighbours, precision_recall
from tests.oracles import generation as oracle


def _normal(num_samples, dim=3, seed=0, mean=0.0):
    return np.random.default_rng(seed).normal(size=(num_samples, dim)) + mean


def _two_modes(num_samples, seed=0):
    """Half of the samples here, half of them far away."""
    rows = _normal(num_samples, seed=seed)
    rows[num_samples // 2 :] += 100.0
    return rows


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize("mean", [0.0, 1.0])
def test_agrees_with_loops(k, mean, monkeypatch):
    monkeypatch.setattr(neighbours, "_CHUNK", 17)  # several blocks, and a smaller one at the end
    real, generated = _normal(60), _normal(45, seed=1, mean=mean)
    report = precision_recall(real, generated, num_neighbours=k)
    assert report.precision == pytest.approx(oracle.share_on_manifold(generated, real, k))
    assert report.recall == pytest.approx(oracle.share_on_manifold(real, generated, k))
    other = density_coverage(real, generated, num_neighbours=k)
    density, coverage = oracle.density_and_coverage(real, generated, k)
    assert other.density == pytest.approx(density)
    assert other.coverage == pytest.approx(coverage)
    assert 0 < other.coverage < 1 and report.precision != report.recall


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_ties_are_decided_by_definition_and_not_by_rounding(offset):
    # The k-th neighbour itself lies on the sphere: in the closed ball, not in the open one.
    real = np.array([[0.0], [1.0], [3.0]]) + offset + 0.1
    generated = np.array([[1.0], [-1.0]]) + offset + 0.1
    report = precision_recall(real, generated, num_neighbours=1)
    # Radii 1, 1, 2: both lie in the ball of the first. Radii 2, 2: 0 and 1, and 3 on the sphere.
    assert (report.precision, report.recall) == (1.0, 1.0)
    other = density_coverage(real, generated, num_neighbours=1)
    # 1.0 lies in its own ball; not inside those of 0.0 and 3.0. -1.0 in none.
    assert (other.density, other.coverage) == (0.5, pytest.approx(1 / 3))


@pytest.mark.parametrize("dim", [2, 64])
def test_same_set_is_ideal(dim):
    rows = _normal(200, dim=dim)
    report = precision_recall(rows, rows.copy())
    assert (report.precision, report.recall) == (1.0, 1.0)
    # A row lies in its own ball and in those of k - 1 others, on the average.
    other = density_coverage(rows, rows[::-1].copy())
    assert (other.density, other.coverage) == (1.0, 1.0)


def test_disjoint_sets_have_nothing_in_common():
    real, generated = _normal(50), _normal(50, mean=1_000.0)
    report = precision_recall(real, generated)
    assert (report.precision, report.recall) == (0.0, 0.0)
    other = density_coverage(real, generated)
    assert (other.density, other.coverage) == (0.0, 0.0)


def test_dropped_mode_costs_recall_and_coverage_only():
    real = _two_modes(400)
    generated = _normal(400, seed=1)
    report = precision_recall(real, generated)
    assert report.precision > 0.9 and report.recall <= 0.5
    other = density_coverage(real, generated)
    assert other.density > 0.9 and other.coverage <= 0.5


def test_invented_mode_costs_precision_and_density_only():
    real, generated = _normal(400), _two_modes(400, seed=1)
    report = precision_recall(real, generated)
    assert report.precision <= 0.5 and report.recall > 0.9
    other = density_coverage(real, generated)
    assert other.density < 0.6 and other.coverage > 0.8


def test_outliers_flatter_precision_but_not_density():
    # Five real outliers far apart: their balls reach over everything that is generated around.
    generator = np.random.default_rng(0)
    real = np.concatenate([_normal(200), generator.normal(size=(5, 3)) * 100])
    generated = generator.uniform(-30, 30, size=(300, 3))
    assert precision_recall(real, generated).precision > 0.9
    assert density_coverage(real, generated).density < 0.8


def test_means_over_one_distribution_are_those_of_the_paper():
    reports = [
        density_coverage(*np.random.default_rng(seed).normal(size=(2, 60, 3)), num_neighbours=4)
        for seed in range(150)
    ]
    for values, expected in (
        ([report.density for report in reports], 1.0),
        ([report.coverage for report in reports], reports[0].expected_coverage),
    ):
        standard_error = np.std(values) / np.sqrt(len(values))
        assert abs(np.mean(values) - expected) < 3.5 * standard_error
        assert standard_error < 0.01


def test_expected_coverage_of_two_and_two_by_hand():
    report = density_coverage(_normal(2), _normal(2, seed=1), num_neighbours=1)
    # The nearest of three others is the real one with probability 1/3.
    assert report.expected_coverage == pytest.approx(2 / 3)


def test_expected_coverage_of_equal_numbers_is_near_its_limit():
    # For many samples, as many of either, k of 2k have to be real: 1 - 2^-k.
    rows = _normal(2_000, dim=2)
    assert density_coverage(rows, rows).expected_coverage == pytest.approx(1 - 2**-5, abs=1e-3)


def test_too_many_neighbours_are_refused():
    with pytest.raises(ValueError, match="num_neighbours=3, num_samples=3"):
        precision_recall(_normal(10), _normal(3))
    with pytest.raises(ValueError, match="num_neighbours=5, num_samples=5"):
        density_coverage(_normal(5), _normal(3))
    with pytest.raises(ValueError, match="`num_neighbours`.*num_neighbours=0"):
        precision_recall(_normal(10), _normal(10), num_neighbours=0)
