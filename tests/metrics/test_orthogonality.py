"""Orthogonality of variation, where the Jacobian is known by hand."""

import re

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm._decoder_gram import decoder_grams
from keras_rkm.metrics import orthogonality_of_variation


def _latents(num_samples=7, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(num_samples, dim)).astype(np.float32)


def _linear(weights):
    """A decoder to images `(batch, 2, 3, 1)` whose Jacobian is the transpose of `weights`."""
    weights = tf.constant(weights, tf.float32)
    return lambda latents: tf.reshape(latents @ weights, (-1, 2, 3, 1))


def _curved(latents):
    """Pixels (a b, a^2, c): their derivatives by (a, b, c) are (b, 2a, 0), (a, 0, 0), (0, 0, 1)."""
    a, b, c = tf.unstack(latents, axis=1)
    return tf.stack([a * b, a * a, c], axis=1)


def test_numbers_of_a_curved_decoder_by_hand():
    report = orthogonality_of_variation(_curved, np.array([[2.0, 3.0, 5.0], [1.0, 0.0, 0.0]]))
    shares = [2 * 36 / (25**2 + 4**2 + 1 + 2 * 36), 0]
    assert report.off_diagonal_share == pytest.approx(np.mean(shares), rel=1e-6)
    # Of six pairs at either code only the two of the first axes are not orthogonal.
    assert report.mean_squared_cosine == pytest.approx(2 * 36 / (25 * 4) / 12, rel=1e-6)
    np.testing.assert_allclose(report.axis_lengths, np.sqrt([29 / 2, 5 / 2, 1]), rtol=1e-6)
    # The eigenvectors of the mean [[14.5, 3], [3, 2.5]], in the plane of the first two axes.
    angle = np.arctan2(2 * 3, 14.5 - 2.5) / 2
    assert report.alignment == pytest.approx((2 * np.cos(angle) ** 2 + 1) / 3, rel=1e-6)


def test_orthogonal_linear_decoder_is_ideal_and_its_rotation_is_not():
    weights = np.zeros((3, 6))
    weights[[0, 1, 2], [4, 0, 3]] = [3.0, 2.0, 1.0]
    report = orthogonality_of_variation(_linear(weights), _latents())
    assert report.off_diagonal_share == pytest.approx(0, abs=1e-12)
    assert report.mean_squared_cosine == pytest.approx(0, abs=1e-12)
    assert report.alignment == pytest.approx(1, abs=1e-12)
    assert report.rotated_off_diagonal_share > 0.1
    assert report.rotated_mean_squared_cosine > 0.1
    assert report.rotated_alignment < 0.9
    assert not report.notes


def test_rotating_the_decoder_gives_what_the_control_expects():
    # A decoder that is fed rotated latents is no better than the control of one that is not.
    weights = np.diag([3.0, 2.0, 1.0]) @ np.eye(3, 6)
    ideal = orthogonality_of_variation(_linear(weights), _latents(), num_rotations=200)
    values = []
    for seed in range(200):
        q, r = np.linalg.qr(np.random.default_rng(100 + seed).normal(size=(3, 3)))
        rotated = q * np.sign(np.diag(r))
        gram = rotated.T @ np.diag([9.0, 4.0, 1.0]) @ rotated
        values.append(1 - np.sum(np.diag(gram) ** 2) / np.sum(gram**2))
    assert ideal.rotated_off_diagonal_share == pytest.approx(np.mean(values), rel=0.1)


def test_duplicated_axes_reach_the_upper_end():
    report = orthogonality_of_variation(_linear(np.ones((3, 6))), _latents())
    assert report.off_diagonal_share == pytest.approx(1 - 1 / 3, rel=1e-6)
    assert report.mean_squared_cosine == pytest.approx(1, rel=1e-6)


def test_isometry_owes_nothing_to_its_axes():
    report = orthogonality_of_variation(_linear(np.eye(3, 6)), _latents())
    assert report.off_diagonal_share == pytest.approx(0, abs=1e-12)
    assert report.rotated_off_diagonal_share == pytest.approx(0, abs=1e-12)
    assert "nearly tie" in report.notes[0]


def test_axes_are_directions_in_the_space_of_latents():
    weights = np.diag([3.0, 2.0, 1.0]) @ np.eye(3, 6)
    axes = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    gram = decoder_grams(_linear(weights), _latents(2), axes)
    np.testing.assert_allclose(gram, [[[9, 0], [0, 5]]] * 2, rtol=1e-6)
    # Rotated axes of a decoder are the axes of a decoder that is rotated.
    rotation = np.linalg.qr(_latents(3))[0]
    one = orthogonality_of_variation(_linear(weights), _latents(), axes=rotation)
    other = orthogonality_of_variation(_linear(rotation.T @ weights), _latents())
    assert one.off_diagonal_share == pytest.approx(other.off_diagonal_share, rel=1e-4)
    assert one.off_diagonal_share > 0.01


def test_dead_axes_and_codes_are_named_and_left_out():
    weights = np.diag([3.0, 2.0, 0.0]) @ np.eye(3, 6)

    def decode(latents):
        # Nothing moves where the first latent is negative.
        return _linear(weights)(tf.where(latents[:, :1] < 0, tf.stop_gradient(latents), latents))

    latents = np.array([[1.0, 0, 0], [-1.0, 0, 0], [2.0, 0, 0]])
    report = orthogonality_of_variation(decode, latents)
    assert (report.dead_axes, report.num_dead_codes) == ((2,), 1)
    assert report.off_diagonal_share == pytest.approx(0, abs=1e-12)
    assert report.mean_squared_cosine == pytest.approx(0, abs=1e-12)
    assert report.axis_lengths[2] == 0
    assert all(np.isfinite(value) for value in report.as_dict()["axis_lengths"])


def test_seed_selects_the_rotations():
    decode = _linear(np.diag([3.0, 2.0, 1.0]) @ np.eye(3, 6))
    first = orthogonality_of_variation(decode, _latents())
    assert first == orthogonality_of_variation(decode, _latents())
    other = orthogonality_of_variation(decode, _latents(), seed=1)
    assert first.off_diagonal_share == other.off_diagonal_share
    assert first.rotated_off_diagonal_share != other.rotated_off_diagonal_share


@pytest.mark.parametrize(
    ("decode", "options", "message"),
    [
        (lambda h: h.numpy(), {}, "must be made of TensorFlow operations"),
        (lambda h: np.asarray(h), {}, "must be made of TensorFlow operations"),
        (lambda h: tf.ones((7, 4)), {}, "must be made of TensorFlow operations"),
        (lambda h: tf.math.log(h - h), {}, "must be finite. Received: NaN or Inf in those of 7 of"),
        (_linear(np.eye(3, 6) * [1, 0, 0, 0, 0, 0]), {}, "change nothing: [1, 2] of 3"),
        (_linear(np.zeros((3, 6))), {}, "change nothing: [0, 1, 2] of 3"),
        (_curved, {"axes": np.eye(2)}, "Received: shape=(2, 2), latent_dim=3"),
        (_curved, {"axes": np.ones((3, 1))}, "two axes at least. Received: shape=(3, 1)"),
        (_curved, {"num_rotations": 0}, "num_rotations=0"),
        (_curved, {"batch_size": -1}, "batch_size=-1"),
    ],
)
def test_wrong_input_is_refused(decode, options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        orthogonality_of_variation(decode, _latents(), **options)


def test_latents_have_to_be_a_finite_matrix():
    with pytest.raises(ValueError, match=r"`latents` must have the shape.*\(7,\)"):
        orthogonality_of_variation(_curved, _latents()[:, 0])
    with pytest.raises(ValueError, match="`latents` must be finite"):
        orthogonality_of_variation(_curved, _latents() * np.nan)
