"""Joint diagonalisation, against known eigenbases and brute force."""

import re

import numpy as np
import pytest

from keras_rkm.rotations import joint_diagonalization, joint_diagonalization_rotation
from tests.oracles import rotations as oracle


def _commuting(axes, num_matrices=20, seed=0):
    spectra = np.random.default_rng(seed).uniform(1, 5, (num_matrices, len(axes)))
    return np.stack([axes @ np.diag(spectrum) @ axes.T for spectrum in spectra])


def _random_grams(dim, num_matrices=10, seed=0):
    jacobians = np.random.default_rng(seed).normal(size=(num_matrices, 8, dim))
    return jacobians.transpose(0, 2, 1) @ jacobians


@pytest.mark.parametrize("dim", [2, 3, 7])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_common_eigenbasis_is_found_exactly(dim, seed):
    axes = oracle.random_orthogonal(dim, seed)
    grams = _commuting(axes, seed=seed)
    covariance = np.diag(np.linspace(2, 1, dim))
    rotation = joint_diagonalization_rotation(grams, covariance, scaled=False)
    assert oracle.mismatch(rotation.matrix, axes) < 1e-7
    assert (rotation.num_strong, rotation.converged, rotation.notes) == (dim, True, ())
    np.testing.assert_allclose(
        rotation.variances, np.diag(rotation.matrix.T @ covariance @ rotation.matrix), rtol=1e-10
    )
    assert np.all(np.diff(rotation.variances) <= 0)


def test_eigenvalues_that_tie_at_one_code_are_told_apart_by_another():
    axes = oracle.random_orthogonal(3, seed=0)
    grams = [axes @ np.diag(values) @ axes.T for values in ([1, 1, 2], [3, 1, 1])]
    found = joint_diagonalization_rotation(grams, np.eye(3)).matrix
    assert oracle.mismatch(found, axes) < 1e-7


@pytest.mark.parametrize("seed", range(5))
def test_no_angle_of_a_plane_is_better(seed):
    grams = _random_grams(2, seed=seed)
    found = joint_diagonalization_rotation(grams, np.diag([2.0, 1.0]), scaled=False).matrix
    best = oracle.least_over_angles(lambda axes: oracle.off_diagonal_sum(axes, grams))
    assert oracle.off_diagonal_sum(found, grams) <= best * (1 + 1e-9)


def test_no_rotation_of_a_pair_is_better_in_more_dimensions():
    grams = _random_grams(4)
    found = joint_diagonalization_rotation(grams, np.eye(4), scaled=False).matrix
    least = oracle.off_diagonal_sum(found, grams)
    for first in range(4):
        for second in range(first):
            for angle in (-0.5, -0.01, 0.01, 0.5):
                turn = np.eye(4)
                turn[np.ix_([first, second], [first, second])] = oracle.rotation(angle)
                assert oracle.off_diagonal_sum(found @ turn, grams) > least


def test_a_plane_takes_a_single_turn(monkeypatch):
    # In the second sweep nothing moves.
    monkeypatch.setattr(joint_diagonalization, "_MAX_SWEEPS", 2)
    assert joint_diagonalization_rotation(_random_grams(2), np.eye(2)).converged


def test_sweeps_that_do_not_suffice_are_told(monkeypatch):
    monkeypatch.setattr(joint_diagonalization, "_MAX_SWEEPS", 1)
    rotation = joint_diagonalization_rotation(_random_grams(4), np.eye(4))
    assert not rotation.converged
    assert rotation.notes == ("the search for the axes did not converge",)


def test_scaling_takes_the_matrix_nearest_to_the_directions_of_whitened_latents():
    stddevs = np.array([3.0, 2.0, 1.0])
    axes = oracle.random_orthogonal(3, seed=6)
    grams = _commuting(axes) / np.outer(stddevs, stddevs)
    expected = oracle.nearest_orthogonal(np.diag(stddevs) @ axes)
    found = joint_diagonalization_rotation(grams, np.diag(stddevs**2))
    assert oracle.mismatch(found.matrix, expected) < 1e-7
    unscaled = joint_diagonalization_rotation(grams, np.diag(stddevs**2), scaled=False)
    assert oracle.mismatch(unscaled.matrix, expected) > 0.01


def test_matrix_is_orthogonal_with_its_largest_entries_positive():
    covariance = np.cov(np.random.default_rng(0).normal(size=(4, 50)))
    matrix = joint_diagonalization_rotation(_random_grams(4), covariance).matrix
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(4), atol=1e-12)
    assert np.all(matrix[np.abs(matrix).argmax(axis=0), range(4)] > 0)


def test_order_and_signs_of_the_latents_do_not_matter():
    grams, covariance = _random_grams(3), np.diag([3.0, 2.0, 1.0])
    change = np.eye(3)[:, [2, 0, 1]] * [1, -1, -1]
    one = joint_diagonalization_rotation(grams, covariance)
    other = joint_diagonalization_rotation(
        change.T @ grams @ change, change.T @ covariance @ change
    )
    assert oracle.mismatch(change @ other.matrix, one.matrix) < 1e-7
    np.testing.assert_allclose(one.variances, other.variances, rtol=1e-7)


def test_an_isometry_leaves_the_principal_axes():
    axes = oracle.random_orthogonal(3, seed=0)
    covariance = axes @ np.diag([3.0, 2.0, 1.0]) @ axes.T
    grams = np.tile(np.eye(3), (5, 1, 1))
    rotation = joint_diagonalization_rotation(grams, covariance, scaled=False)
    assert oracle.mismatch(rotation.matrix, axes) < 1e-7
    assert rotation.converged


def test_dead_axes_stay_apart_however_steep_the_decoder_is_along_them():
    axes = oracle.random_orthogonal(3, seed=0)
    steep = np.array([[2.0, 0.0, 900.0], [0.0, 1.0, 800.0], [900.0, 800.0, 1e6]])
    covariance = axes @ np.diag([2.0, 1.0, 1e-4]) @ axes.T
    rotation = joint_diagonalization_rotation([axes @ steep @ axes.T], covariance)
    assert rotation.num_strong == 2
    assert oracle.mismatch(rotation.matrix, axes) < 1e-6


def test_it_repeats_bit_for_bit():
    found = [joint_diagonalization_rotation(_random_grams(4), np.eye(4)).matrix for _ in range(2)]
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(
    ("grams", "covariance", "message"),
    [
        (np.eye(2), np.eye(2), "Received: shape=(2, 2), latent_dim=2"),
        (np.zeros((0, 2, 2)), np.eye(2), "Received: shape=(0, 2, 2), latent_dim=2"),
        (np.ones((4, 3, 3)), np.eye(2), "Received: shape=(4, 3, 3), latent_dim=2"),
        ([[[1.0, 0.5], [0.0, 1.0]]], np.eye(2), "`grams` must be symmetric"),
        ([[[1.0, np.nan], [0.0, 1.0]]], np.eye(2), "`grams` must be finite"),
        (np.ones((4, 2, 2)), np.zeros((2, 2)), "The latents must vary"),
        (np.ones((4, 2, 2)), np.ones(2), "`covariance` must have the shape"),
    ],
)
def test_what_cannot_be_diagonalised_is_refused(grams, covariance, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        joint_diagonalization_rotation(grams, covariance)
