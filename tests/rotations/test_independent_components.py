"""Axes of the least mutual information, against known sources and brute force."""

import re

import numpy as np
import pytest

from keras_rkm.rotations import ica_rotation
from tests.oracles import rotations as oracle


def _uniform(stddevs, num_samples=4000, seed=0):
    """Independent uniform sources, a column each, of the given standard deviations."""
    samples = np.random.default_rng(seed).uniform(-1, 1, (num_samples, len(stddevs)))
    return samples * np.sqrt(3) * stddevs


def _grid(stddevs):
    """All combinations of values -1 and 1, often enough to be a sample."""
    corners = np.stack(np.meshgrid(*[[-1.0, 1.0]] * len(stddevs)), axis=-1)
    return np.tile(corners.reshape(-1, len(stddevs)), (50, 1)) * stddevs


@pytest.mark.parametrize("stddevs", [[1, 1, 1], [2.0, 1.9, 1.0], [3.0, 2.0, 1.0, 1.0]])
@pytest.mark.parametrize(("make", "tolerance"), [(_uniform, 0.03), (_grid, 2e-3)])
def test_independent_latents_are_found_whatever_their_variances(make, tolerance, stddevs):
    axes = oracle.random_orthogonal(len(stddevs), seed=3)
    rotation = ica_rotation(make(stddevs) @ axes.T + 5)
    assert oracle.mismatch(rotation.matrix, axes) < tolerance
    np.testing.assert_allclose(rotation.variances, np.square(stddevs), rtol=0.05)
    assert (rotation.num_strong, rotation.converged, rotation.notes) == (len(stddevs), True, ())


@pytest.mark.parametrize("skewed", [False, True])
def test_no_angle_of_a_plane_is_better(skewed):
    latents = _uniform([1.0, 0.7], 2000)
    if skewed:  # sources along axes that are not orthogonal
        latents = np.exp(latents) @ [[1.0, 0.4], [0.0, 1.0]]
    found = oracle.sum_of_entropies(latents @ ica_rotation(latents).matrix)
    best = oracle.least_over_angles(lambda axes: oracle.sum_of_entropies(latents @ axes))
    worst = -oracle.least_over_angles(lambda axes: -oracle.sum_of_entropies(latents @ axes))
    assert found - best < 0.05 * (worst - best)


def test_matrix_is_orthogonal_with_its_largest_entries_positive():
    latents = _uniform([2.0, 1.0, 0.5]) @ oracle.random_orthogonal(3, seed=1)
    rotation = ica_rotation(latents)
    np.testing.assert_allclose(rotation.matrix.T @ rotation.matrix, np.eye(3), atol=1e-12)
    turned = latents @ rotation.matrix
    np.testing.assert_allclose(rotation.variances, turned.var(axis=0), rtol=1e-10)
    assert np.all(np.diff(rotation.variances) <= 0)
    largest = np.abs(rotation.matrix).argmax(axis=0)
    assert np.all(rotation.matrix[largest, range(3)] > 0)


def test_order_and_signs_of_the_latents_do_not_matter():
    latents = _uniform([1.0, 1.0, 1.0]) @ oracle.random_orthogonal(3, seed=1)
    changed = latents[:, [2, 0, 1]] * [1, -1, -1]
    one, other = ica_rotation(latents), ica_rotation(changed)
    back = (other.matrix * np.array([[1], [-1], [-1]]))[[1, 2, 0]]
    assert oracle.mismatch(back, one.matrix) < 2e-3
    np.testing.assert_allclose(one.variances, other.variances, rtol=1e-3)


def test_normal_latents_keep_their_principal_axes():
    latents = np.random.default_rng(0).normal(size=(10_000, 3)) * [3.0, 2.0, 1.0]
    axes = oracle.random_orthogonal(3, seed=2)
    assert oracle.mismatch(ica_rotation(latents @ axes.T).matrix, axes) < 0.05


def test_weak_axes_stay_apart():
    axes = oracle.random_orthogonal(4, seed=4)
    # The two weak ones are far from independent of the others in their own units.
    latents = _uniform([1.0, 1.0, 0.1, 0.01])
    latents[:, 2] = 0.1 * np.sign(latents[:, 0])
    rotation = ica_rotation(latents @ axes.T)
    assert rotation.num_strong == 2
    covariance = np.cov((latents @ axes.T).T)
    weak = np.linalg.eigh(covariance)[1][:, [1, 0]]
    np.testing.assert_allclose(np.abs(np.sum(weak * rotation.matrix[:, 2:], axis=0)), 1, atol=1e-9)
    assert ica_rotation(latents @ axes.T, min_relative_variance=1e-3).num_strong == 3
    assert ica_rotation(latents @ axes.T, min_relative_variance=0).num_strong == 4


def test_latents_without_any_variance_are_no_axes():
    latents = np.concatenate([_uniform([1.0, 1.0]), np.zeros((4000, 2))], axis=1)
    rotation = ica_rotation(latents, min_relative_variance=0)
    assert rotation.num_strong == 2
    np.testing.assert_array_equal(rotation.variances[2:], 0)


@pytest.mark.parametrize("latent_dim", [1, 2])
def test_a_single_strong_axis_is_the_principal_one(latent_dim):
    latents = _uniform([1.0, 1e-3][:latent_dim])
    rotation = ica_rotation(latents)
    assert rotation.num_strong == 1
    np.testing.assert_allclose(np.abs(rotation.matrix), np.eye(latent_dim), atol=1e-3)


def test_heavy_tails_are_borne():
    latents = np.random.default_rng(0).laplace(size=(4000, 3)) ** 3
    axes = oracle.random_orthogonal(3, seed=5)
    assert oracle.mismatch(ica_rotation(latents @ axes.T).matrix, axes) < 0.05


def test_scale_and_place_of_the_latents_do_not_matter():
    latents = _uniform([1.0, 0.9])
    expected = ica_rotation(latents).matrix
    for scale, shift in ((1e-6, 0), (1e6, 1e8)):
        np.testing.assert_allclose(
            ica_rotation(latents * scale + shift).matrix, expected, atol=1e-3
        )


def test_covariance_of_all_tells_the_variances_where_latents_are_a_part():
    latents = _uniform([1.0, 1.0, 0.1])
    rotation = ica_rotation(latents, covariance=np.diag([4.0, 1.0, 9.0]), min_relative_variance=0.4)
    np.testing.assert_allclose(rotation.variances, [9.0, 4.0, 1.0], rtol=1e-3)
    assert rotation.num_strong == 2


def test_it_repeats_bit_for_bit_and_seed_selects_the_sample():
    latents = _uniform([1.0, 0.9, 0.8])
    first = ica_rotation(latents, max_samples=500).matrix
    np.testing.assert_array_equal(ica_rotation(latents, max_samples=500).matrix, first)
    other = ica_rotation(latents, max_samples=500, seed=1).matrix
    assert 0 < oracle.mismatch(other, first) < 0.2
    whole = [ica_rotation(latents, seed=seed).matrix for seed in (0, 1)]
    np.testing.assert_array_equal(*whole)


@pytest.mark.parametrize(
    ("latents", "arguments", "message"),
    [
        (np.zeros(5), {}, "must have the shape (num_samples, latent_dim). Received: shape=(5,)"),
        (np.zeros((5, 0)), {}, "Received: shape=(5, 0)"),
        ([[1.0, np.nan], [0.0, 1.0]], {}, "NaN or Inf in 1 of 2 rows"),
        (np.ones((5, 2)), {}, "must vary, or no axis is better than others. Received: 2 latents"),
        (np.ones((1, 2)), {}, "num_samples=1"),
        (np.eye(3), {"covariance": np.eye(2)}, "covariance.shape=(2, 2), latents.shape=(3, 3)"),
        (np.eye(3), {"covariance": np.ones((3, 2))}, "Received: shape=(3, 2)"),
        (np.eye(2), {"covariance": [[1.0, 0.5], [0.0, 1.0]]}, "entries that differ by 0.5"),
        (np.eye(2), {"covariance": [[1.0, np.inf], [0.0, 1.0]]}, "`covariance` must be finite"),
        (np.eye(3), {"min_relative_variance": 1.5}, "min_relative_variance=1.5"),
        (np.eye(3), {"min_relative_variance": float("nan")}, "min_relative_variance=nan"),
        (np.eye(3), {"max_samples": 1}, "max_samples=1"),
    ],
)
def test_what_cannot_be_rotated_is_refused(latents, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        ica_rotation(latents, **arguments)
