"""Gram matrices of a decoder, where the Jacobian is known by hand or by finite differences."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm._decoder_gram import decoder_grams
from keras_rkm.models import StiefelRKM
from keras_rkm.networks import dense_decoder, dense_encoder


def _latents(num_samples=7, dim=3, seed=0):
    return np.random.default_rng(seed).normal(size=(num_samples, dim)).astype(np.float32)


def _curved(latents):
    """Pixels (a b, a^2, c): their derivatives by (a, b, c) are (b, 2a, 0), (a, 0, 0), (0, 0, 1)."""
    a, b, c = tf.unstack(latents, axis=1)
    return tf.stack([a * b, a * a, c], axis=1)


def test_gram_of_a_curved_decoder_by_hand():
    found = decoder_grams(_curved, np.array([[2.0, 3.0, 5.0], [1.0, 0.0, 0.0]]), np.eye(3))
    expected = [
        [[3 * 3 + 4 * 4, 3 * 2, 0], [3 * 2, 2 * 2, 0], [0, 0, 1]],
        [[4, 0, 0], [0, 1, 0], [0, 0, 1]],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_agrees_with_finite_differences_on_a_trained_kind_of_model():
    keras.utils.set_random_seed(0)
    encoder = dense_encoder((4, 4, 1), 6, hidden_dims=(8,))
    model = StiefelRKM(encoder, dense_decoder(6, (4, 4, 1), hidden_dims=(8,)), latent_dim=3, seed=0)
    latents = 3 * _latents(5)
    step = 1e-2
    grams = []
    for code in latents:
        sides = [code + sign * step * np.eye(3, dtype=np.float32) for sign in (1, -1)]
        images = [model.decode(side).numpy().reshape(3, -1).astype(float) for side in sides]
        rows = (images[0] - images[1]) / (2 * step)
        grams.append(rows @ rows.T)
    found = decoder_grams(model.decode, latents, np.eye(3), batch_size=2)
    np.testing.assert_allclose(found, grams, rtol=0.01, atol=1e-4 * np.max(grams))


@pytest.mark.parametrize("batch_size", [1, 3, 7, 100])
def test_batches_change_nothing(batch_size):
    whole = decoder_grams(_curved, _latents(), np.eye(3), batch_size=7)
    found = decoder_grams(_curved, _latents(), np.eye(3), batch_size=batch_size)
    np.testing.assert_allclose(found, whole, rtol=1e-6)


def test_double_precision_is_there_on_request():
    weights = tf.constant(np.random.default_rng(0).normal(size=(3, 5)))
    found = decoder_grams(lambda h: h @ weights, np.zeros((1, 3)), np.eye(3), dtype="float64")
    np.testing.assert_allclose(found[0], weights.numpy() @ weights.numpy().T, rtol=1e-14)
