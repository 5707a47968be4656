"""`find_rotation` for latents and decoders of any kind."""

import re

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.rotations import (
    find_rotation,
    ica_rotation,
    joint_diagonalization_rotation,
    principal_axes_rotation,
)
from tests.oracles import rotations as oracle

_AXES = oracle.random_orthogonal(3, seed=0)


def _latents(num_samples=2000):
    sources = np.random.default_rng(0).uniform(-1, 1, (num_samples, 3)) * [2.0, 1.9, 1.0]
    return sources @ _AXES.T


def _decode(latents):
    """Images whose Jacobian has orthogonal columns along `_AXES`, of lengths that differ."""
    sources = latents @ tf.constant(_AXES, latents.dtype)
    return tf.concat([sources**3, 2 * sources[:, :2]], axis=1)


def test_each_method_is_the_function_of_its_name():
    latents = _latents()
    covariance = np.cov(latents.T, bias=True)
    rotated = find_rotation(latents, "rotate")
    np.testing.assert_allclose(
        rotated.matrix, principal_axes_rotation(covariance).matrix, atol=1e-10
    )
    found = find_rotation(latents, "ica", seed=1)
    np.testing.assert_array_equal(found.matrix, ica_rotation(latents, seed=1).matrix)
    squares = np.square(3 * np.square(latents @ _AXES))
    squares[:, :2] += 4
    grams = np.einsum("ij,nj,kj->nik", _AXES, squares, _AXES)
    expected = joint_diagonalization_rotation(grams, covariance)
    found = find_rotation(latents[:250], "joint_diagonalization", decode=_decode)
    assert oracle.mismatch(found.matrix, expected.matrix) < 0.05


def test_principal_axes_are_those_of_the_singular_value_decomposition():
    latents = _latents() + 5
    rotation = find_rotation(latents, "rotate")
    centred = latents - latents.mean(axis=0)
    _, values, right = np.linalg.svd(centred, full_matrices=False)
    assert oracle.mismatch(rotation.matrix, right.T) < 1e-10
    np.testing.assert_allclose(rotation.variances, values**2 / len(latents), rtol=1e-10)


@pytest.mark.parametrize("method", ["rotate", "ica", "joint_diagonalization"])
def test_covariance_of_all_latents_is_taken_if_it_is_given(method):
    covariance = _AXES @ np.diag([1.0, 5.0, 9.0]) @ _AXES.T
    rotation = find_rotation(_latents(), method, decode=_decode, covariance=covariance)
    variances = np.diag(rotation.matrix.T @ covariance @ rotation.matrix)
    np.testing.assert_allclose(rotation.variances, variances, rtol=1e-10)
    np.testing.assert_allclose(variances, [9.0, 5.0, 1.0], rtol=0.05)


def test_seed_selects_the_codes_that_the_decoder_is_looked_at():
    found = [
        find_rotation(_latents(), "joint_diagonalization", decode=_decode, seed=seed).matrix
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(found[0], found[1])
    assert np.any(found[0] != found[2])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "pca"}, "method='pca'"),
        ({"method": "joint_diagonalization"}, "Received: decode=None"),
        (
            {"method": "joint_diagonalization", "decode": lambda latents: latents.numpy()},
            "must be made of TensorFlow operations",
        ),
        ({"method": "rotate", "covariance": np.ones(3)}, "`covariance` must have the shape"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        find_rotation(_latents(10), **arguments)
