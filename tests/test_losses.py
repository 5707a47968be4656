"""keras_rkm.losses against hand-worked numbers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm import losses


def test_errors_are_summed_over_all_axes_but_the_first():
    images = np.zeros((2, 3, 4, 5), "float32")
    reconstructions = images + np.array([1.0, 2.0], "float32").reshape(2, 1, 1, 1)
    errors = losses.reconstruction_error(images, reconstructions, loss="mean_squared_error")
    np.testing.assert_allclose(errors, [60, 240])


def test_cross_entropy_is_in_nats():
    targets, outputs = np.array([[1.0, 0.25]]), np.array([[0.5, 0.25]])
    expected = np.log(2) - (0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    errors = losses.reconstruction_error(targets, outputs, loss="binary_crossentropy")
    np.testing.assert_allclose(errors, [expected], rtol=1e-12)


def test_cross_entropy_of_a_sigmoid_layer_does_not_overflow():
    layer = keras.layers.Dense(1, activation="sigmoid", kernel_initializer="ones")
    inputs = tf.constant([[200.0]])
    with tf.GradientTape() as tape:
        errors = losses.reconstruction_error(
            tf.zeros((1, 1)), layer(inputs), loss="binary_crossentropy"
        )
    assert float(errors[0]) == pytest.approx(200)
    assert float(tape.gradient(errors, layer.kernel)[0, 0]) == pytest.approx(200)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_is_summed_in_float32(dtype):
    images = tf.ones((1, 4096), dtype)
    errors = losses.reconstruction_error(images, 0 * images, loss="mean_squared_error")
    assert errors.dtype == tf.float32 and float(errors[0]) == 4096


def test_pca_error_is_the_squared_distance_of_each_row():
    features, projected = np.array([[1.0, 2], [0, 3]]), np.array([[1.0, 0], [1, 1]])
    errors = losses.pca_reconstruction_error(features, projected)
    np.testing.assert_allclose(errors, [4, 5])


def test_an_unknown_loss_is_named():
    with pytest.raises(ValueError, match="loss='mse'"):
        losses.reconstruction_error(np.ones((1, 1)), np.ones((1, 1)), loss="mse")
