"""A small model with its sampler, and an exported version of it."""

import keras
import numpy as np
import pytest

from keras_rkm import export, models, networks, samplers
from tests.serving.c_api import Session

IMAGE_SHAPE = (8, 8, 3)
LATENT_DIM = 3


def make_model(dtype="float32", image_shape=IMAGE_SHAPE):
    """A model with known axes, after a few steps of training."""
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy(dtype)
    try:
        model = models.StiefelRKM(
            networks.convolutional_encoder(image_shape, 16, capacity=4, seed=0),
            networks.convolutional_decoder(16, image_shape, capacity=4, seed=1),
            latent_dim=LATENT_DIM,
            seed=2,
        )
        model.compile()
        images = make_images(256, image_shape)
        model.fit(images, epochs=2, verbose=0)
        model.fit_principal_axes(images)
    finally:
        keras.config.set_dtype_policy(policy)
    return model


def make_images(num_images, image_shape=IMAGE_SHAPE, seed=0):
    return np.random.default_rng(seed).random((num_images, *image_shape), "float32")


@pytest.fixture(scope="session")
def model():
    return make_model()


@pytest.fixture(scope="session")
def sampler(model):
    return samplers.GaussianMixtureSampler(2).adapt(model.encode(make_images(256)))


@pytest.fixture(scope="session")
def exported(model, sampler, tmp_path_factory):
    """The folder of a version. Tests leave it as it is."""
    return export.export_for_serving(model, sampler, tmp_path_factory.mktemp("base"))


@pytest.fixture(scope="session")
def session(exported):
    """The version in a session of the C API, as TensorFlow Serving loads it."""
    with Session(exported) as session:
        yield session
