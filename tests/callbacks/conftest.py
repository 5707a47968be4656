"""A small model and its images."""

import keras
import numpy as np
import pytest

from keras_rkm import models, networks

_SHAPE = (4, 4, 1)


@pytest.fixture
def images():
    return np.random.default_rng(0).random((32, *_SHAPE), "float32")


@pytest.fixture
def model():
    return make_model(models.StiefelRKM)


def make_model(kind):
    """A compiled model of the same networks each time."""
    model = kind(
        networks.dense_encoder(_SHAPE, 6, hidden_dims=(8,), seed=0),
        networks.dense_decoder(6, _SHAPE, hidden_dims=(8,), seed=1),
        latent_dim=3,
        seed=0,
    )
    # By default Keras counts its optimizers, and so its tags: adam, adam_1, ...
    model.compile(keras.optimizers.Adam(name="adam"))
    return model
