"""The same model in other coordinates of its latents."""

import types

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm import datasets
from keras_rkm.comparison.axes import rotated_models
from keras_rkm.comparison.study import ROTATIONS


@pytest.fixture(scope="module")
def found():
    """A model with two of three latents on a ring, its images, and it in each of the axes."""
    mixing = tf.constant([[0.8, 0.6, 0.0], [-0.6, 0.8, 0.0], [0.0, 0.0, 1.0]], tf.float32)

    def encode(images):
        turn, size = (tf.cast(images[:, 0, i, 0], tf.float32) for i in (0, 1))
        angle = turn * 255 / 250 * 2 * np.pi
        return tf.stack([2 * tf.cos(angle), tf.sin(angle), size], axis=1) @ mixing

    model = types.SimpleNamespace(
        encode=encode, decode=lambda latents: tf.stack([latents, latents**2], axis=1)
    )
    images = np.random.default_rng(0).integers(0, 250, (3000, 2, 2, 1), "uint8")
    train = datasets.Dataset("rings", images)
    return model, train, rotated_models(model, train, ROTATIONS, seed=0)


@pytest.mark.parametrize("name", ROTATIONS)
def test_images_of_the_codes_are_those_of_the_latents(found, name):
    model, train, subjects = found
    images = train.images[:50] / 255
    decoded = subjects[name].decode(subjects[name].encode(images))
    np.testing.assert_allclose(decoded, model.decode(model.encode(images)), rtol=0, atol=2e-5)
    codes = subjects[name].encode((train.images / 255).astype("float32"))
    np.testing.assert_allclose(subjects[name].latents, codes, rtol=0, atol=1e-4)


def test_polar_alone_has_an_angle_which_is_where_a_latent_is_on_its_ring(found):
    _, train, subjects = found
    assert {name for name in ROTATIONS if subjects[name].angles} == {"polar"}
    (column,) = subjects["polar"].angles
    angle = subjects["polar"].latents[:, column]
    turn = train.images[:, 0, 0, 0] / 250 * 2 * np.pi
    found = max(abs(np.mean(np.exp(1j * (angle + sign * turn)))) for sign in (-1, 1))
    assert found > 0.99
