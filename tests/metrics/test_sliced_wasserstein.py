"""The sliced Wasserstein distance of features: one dimension by SciPy, more by closed forms."""

import math

import numpy as np
import pytest
import scipy.stats

from keras_rkm.metrics import sliced_wasserstein_distance


def _normal(num_samples, dim, seed=0):
    return np.random.default_rng(seed).normal(size=(num_samples, dim))


@pytest.mark.parametrize(("num_a", "num_b"), [(50, 50), (50, 51), (12, 18), (1, 7), (40, 3)])
def test_one_dimension_agrees_with_scipy(num_a, num_b):
    a, b = _normal(num_a, 1), 2 * _normal(num_b, 1, seed=1) + 0.3
    value = sliced_wasserstein_distance(a, b, order=1, num_projections=3).value
    assert value == pytest.approx(scipy.stats.wasserstein_distance(a[:, 0], b[:, 0]), rel=1e-12)


@pytest.mark.parametrize(("num_a", "num_b"), [(6, 6), (4, 6), (5, 2)])
def test_second_order_is_optimal_transport(num_a, num_b):
    # Every sample repeated until both have equal numbers, matched in order.
    a, b = _normal(num_a, 1), _normal(num_b, 1, seed=1) - 0.7
    total = math.lcm(num_a, num_b)
    matched = zip(
        np.repeat(np.sort(a[:, 0]), total // num_a),
        np.repeat(np.sort(b[:, 0]), total // num_b),
        strict=True,
    )
    expected = np.sqrt(np.mean([(x - y) ** 2 for x, y in matched]))
    assert sliced_wasserstein_distance(a, b).value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dim", [2, 5, 50])
def test_translation_has_its_closed_form(dim):
    # A component u of a unit vector has E u^2 = 1/d and E|u| = gamma(d/2) / gamma((d+1)/2) / pi^.5.
    a = _normal(30, dim)
    shift = np.zeros(dim)
    shift[0] = 3.0
    options = {"num_projections": 20_000}
    second = sliced_wasserstein_distance(a, a + shift, **options).value
    assert second == pytest.approx(3 / np.sqrt(dim), rel=0.02)
    first = sliced_wasserstein_distance(a, a + shift, order=1, **options).value
    mean = math.gamma(dim / 2) / (math.gamma((dim + 1) / 2) * math.sqrt(math.pi))
    assert first == pytest.approx(3 * mean, rel=0.02)


def test_scaling_has_its_closed_form():
    # Along any direction the quantiles of 3a are three times those of a: the cost is |2 u.a|^2.
    a = _normal(400, 4)
    value = sliced_wasserstein_distance(a, 3 * a, num_projections=5_000).value
    assert value == pytest.approx(2 * np.sqrt(np.mean(np.square(a))), rel=0.03)


def test_sees_more_than_two_moments():
    generator = np.random.default_rng(0)
    signs = generator.choice([-1.0, 1.0], size=(4_000, 2))
    normal = generator.normal(size=(4_000, 2))
    null = sliced_wasserstein_distance(normal, generator.normal(size=(4_000, 2))).value
    assert sliced_wasserstein_distance(signs, normal).value > 5 * null


def test_is_symmetric_and_zero_of_a_set_from_itself():
    a, b = _normal(40, 6), _normal(33, 6, seed=1)
    assert sliced_wasserstein_distance(a, a[::-1]).value == pytest.approx(0, abs=1e-12)
    there, back = sliced_wasserstein_distance(a, b), sliced_wasserstein_distance(b, a)
    assert there.value == pytest.approx(back.value, rel=1e-12)


def test_seed_selects_the_directions():
    a, b = _normal(40, 6), _normal(40, 6, seed=1)
    first = sliced_wasserstein_distance(a, b, num_projections=5)
    assert first == sliced_wasserstein_distance(a, b, num_projections=5)
    assert first.value != sliced_wasserstein_distance(a, b, num_projections=5, seed=1).value


def test_unknown_order_is_refused():
    with pytest.raises(ValueError, match="`order` must be 1 or 2. Received: order=3"):
        sliced_wasserstein_distance(_normal(5, 2), _normal(5, 2), order=3)
