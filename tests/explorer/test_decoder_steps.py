"""Steps do what the layers do that they are made of."""

import keras
import numpy as np
import pytest
from keras import layers

from keras_rkm import networks
from keras_rkm.explorer import decoder_steps
from keras_rkm.explorer.running import run_steps

from .decoders import FEATURE_DIM, strengthened, with_many_layers


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(7, FEATURE_DIM)).astype("float32")


@pytest.mark.parametrize(
    "make",
    [
        lambda: networks.convolutional_decoder(FEATURE_DIM, (16, 24, 3), capacity=2),
        lambda: networks.convolutional_decoder(FEATURE_DIM, (12, 12, 1), capacity=2),
        lambda: networks.dense_decoder(FEATURE_DIM, (4, 4, 1), output_activation=None),
        with_many_layers,
        lambda: keras.Sequential([keras.Input((FEATURE_DIM,)), layers.Dense(4)]),
    ],
    ids=["convolutional", "third_stage_of_stride_1", "dense", "many_layers", "sequential"],
)
def test_steps_give_what_the_decoder_gives(make, features):
    decoder = strengthened(make())
    expected = np.asarray(decoder(features, training=False))
    assert np.ptp(expected, axis=0).max() > 0.1
    images = run_steps(decoder_steps(decoder), features)[-1]
    # What nearly cancels is off by the rounding of the largest, here up to 300.
    np.testing.assert_allclose(images, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize(
    "layer, what",
    [
        (layers.LayerNormalization(name="odd"), "'odd', a LayerNormalization"),
        (layers.Dense(4, activation="gelu", name="odd"), "'odd', a Dense: its activation is gelu"),
        (layers.ReLU(max_value=3, name="odd"), "'odd', a ReLU"),
        (layers.Lambda(lambda x: x, name="odd"), "'odd', a Lambda"),
        (layers.UnitNormalization(name="odd"), "'odd', a UnitNormalization"),
    ],
)
def test_layer_that_no_step_stands_for_is_named(layer, what):
    decoder = keras.Sequential([keras.Input((FEATURE_DIM,)), layers.Dense(4), layer])
    with pytest.raises(ValueError, match=what):
        decoder_steps(decoder)


@pytest.mark.parametrize(
    "layer, what",
    [
        (layers.Conv2D(2, 1, groups=2, name="odd"), "groups"),
        (layers.Conv2DTranspose(2, 3, strides=2, output_padding=1, name="odd"), "output_padding"),
        (layers.Conv2DTranspose(2, 1, strides=2, name="odd"), "strides exceed"),
        (layers.UpSampling2D(interpolation="bicubic", name="odd"), "bicubic"),
        (layers.BatchNormalization(axis=1, name="odd"), "last axis"),
        (layers.UpSampling2D(data_format="channels_first", name="odd"), "channels_first"),
    ],
)
def test_unusual_option_is_named(layer, what):
    decoder = keras.Sequential([keras.Input((16,)), layers.Reshape((2, 4, 2)), layer])
    with pytest.raises(ValueError, match=f"'odd', .*{what}"):
        decoder_steps(decoder)


def test_network_that_branches_is_refused():
    inputs = keras.Input((FEATURE_DIM,))
    first = layers.Dense(4)(inputs)
    decoder = keras.Model(inputs, layers.Add(name="sum")([first, layers.Dense(4)(inputs)]))
    with pytest.raises(ValueError, match="does not follow on the layer before it alone"):
        decoder_steps(decoder)


def test_model_with_a_call_of_its_own_is_refused():
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="Own: it has a `call` of its own"):
        decoder_steps(Own())
