"""The Fréchet distance against closed forms and against SciPy's root of a matrix."""

import re

import numpy as np
import pytest

from keras_rkm.metrics import FeatureStatistics, frechet_distance
from tests.oracles import generation as oracle


def _features(num_samples, dim, seed, scale=1.0):
    """Correlated, with a mean of its own."""
    generator = np.random.default_rng(seed)
    mixing = generator.normal(size=(dim, dim)) / np.sqrt(dim)
    return scale * (generator.normal(size=(num_samples, dim)) @ mixing) + generator.normal(size=dim)


def _random_rotation(dim, seed=0):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(dim, dim)))[0]


@pytest.mark.parametrize(("num_a", "num_b", "dim"), [(200, 300, 5), (50, 400, 16), (500, 90, 64)])
def test_agrees_with_the_root_of_the_product(num_a, num_b, dim):
    a, b = _features(num_a, dim, seed=0), _features(num_b, dim, seed=1, scale=1.5)
    value = frechet_distance(a, b).value
    assert value == pytest.approx(oracle.frechet_of_features(a, b), rel=1e-9)


@pytest.mark.slow
def test_agrees_with_the_root_of_the_product_at_2048_features():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(2, 2_500, 2_048)) * [
        [np.ones(2_048)],
        [np.linspace(0.1, 2, 2_048)],
    ]
    value = frechet_distance(a, b).value
    assert value == pytest.approx(oracle.frechet_of_features(a, b), rel=1e-6)


def test_commuting_covariances_have_their_closed_form():
    # With common eigenvectors the trace is that of (sqrt(A) - sqrt(B))^2.
    dim = 300
    rotation = _random_rotation(dim)
    a, b = np.linspace(0.1, 4, dim), np.linspace(3, 0.5, dim) ** 2
    mean = np.arange(dim) / dim
    value = frechet_distance(
        (mean, (rotation * a) @ rotation.T), (np.zeros(dim), (rotation * b) @ rotation.T)
    ).value
    expected = np.sum(mean**2) + np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    assert value == pytest.approx(expected, rel=1e-12)


def test_singular_covariances_have_their_closed_form():
    # One normal lives in the first half of the axes, the other in the whole space.
    rotation = _random_rotation(40)
    a, b = np.repeat([2.0, 0.0], 20), np.linspace(1, 9, 40)
    pair = [(np.zeros(40), (rotation * spectrum) @ rotation.T) for spectrum in (a, b)]
    expected = np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)
    assert frechet_distance(*pair).value == pytest.approx(expected, rel=1e-10)


def test_points_have_the_squared_distance_of_their_means():
    nothing = np.zeros((3, 3))
    report = frechet_distance((np.array([1.0, 2.0, 2.0]), nothing), (np.zeros(3), nothing))
    assert (report.value, report.mean_term, report.covariance_term) == (9.0, 9.0, 0.0)


@pytest.mark.parametrize("num_samples", [20, 400])
def test_translation_adds_its_squared_length(num_samples):
    a = _features(num_samples, 30, seed=0)
    shift = np.linspace(0, 1, 30)
    report = frechet_distance(a, a + shift)
    assert report.value == pytest.approx(np.sum(shift**2), rel=1e-9)
    assert report.covariance_term == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("num_samples", [2, 20, 400])
def test_of_a_set_from_itself_is_zero_and_never_below(num_samples):
    a = _features(num_samples, 30, seed=0, scale=100.0)
    assert 0 <= frechet_distance(a, a).value < 1e-9
    assert 0 <= frechet_distance(a, a[::-1].copy()).value < 1e-9


@pytest.mark.parametrize("num_samples", [20, 400])
def test_is_symmetric(num_samples):
    a, b = _features(num_samples, 30, seed=0), _features(num_samples + 7, 30, seed=1)
    assert frechet_distance(a, b).value == pytest.approx(frechet_distance(b, a).value, rel=1e-12)


def test_fewer_samples_than_features_agree_with_their_statistics():
    # Once by the features as factors of the covariance, once by its eigenvalues.
    a, b = _features(20, 50, seed=0), _features(30, 50, seed=1)
    by_statistics = frechet_distance(
        FeatureStatistics.from_batches([a]), FeatureStatistics.from_batches([b])
    )
    by_features = frechet_distance(a, b)
    assert by_features.value == pytest.approx(by_statistics.value, rel=1e-9)
    # They live in a space of 48 dimensions, where the covariances of the oracle are singular, too.
    basis = np.linalg.qr(np.vstack([a - a.mean(0), b - b.mean(0), [a.mean(0) - b.mean(0)]]).T)[0]
    assert by_features.value == pytest.approx(
        oracle.frechet_of_features(a @ basis, b @ basis), rel=1e-5
    )
    assert "20 samples cannot fill 50 dimensions" in by_features.notes[0]


def test_rotation_of_both_sets_changes_nothing():
    a, b = _features(100, 12, seed=0), _features(100, 12, seed=1)
    rotation = _random_rotation(12)
    rotated = frechet_distance(a @ rotation, b @ rotation).value
    assert rotated == pytest.approx(frechet_distance(a, b).value, rel=1e-11)


def test_statistics_bring_their_protocol_along():
    a = FeatureStatistics.from_batches([_features(50, 3, seed=0)], protocol="resized")
    report = frechet_distance(a, _features(40, 3, seed=1))
    assert (report.protocol, report.num_samples_a, report.num_samples_b) == ("resized", 50, 40)
    assert "protocol: resized" in str(report)
    other = FeatureStatistics.from_batches([_features(50, 3, seed=0)], protocol="cropped")
    with pytest.raises(ValueError, match="protocol='cropped' and protocol='resized'"):
        frechet_distance(a, other)
    with pytest.raises(ValueError, match="protocol='as it was' and protocol='resized'"):
        frechet_distance(a, _features(40, 3, seed=1), protocol="as it was")


@pytest.mark.parametrize(
    ("moments", "message"),
    [
        ((np.zeros(2), np.diag([1.0, -0.5])), "smallest eigenvalue of -0.5, a largest of 1"),
        ((np.zeros(2), np.array([[1.0, 0.5], [0.0, 1.0]])), "differ by 0.5"),
        ((np.zeros(2), np.eye(3)), "Received: (2,) and (3, 3)"),
        ((np.zeros(2), np.array([[np.nan, 0], [0, 1]])), "`covariance` must be finite"),
        ((np.zeros(2), np.eye(2), 7), "a tuple of length 3"),
    ],
)
def test_impossible_moments_are_refused(moments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        frechet_distance(moments, np.random.default_rng(0).normal(size=(10, 2)))
