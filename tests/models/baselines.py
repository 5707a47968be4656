"""Small instances of the models that StiefelRKM is compared with, for the tests of each."""

import numpy as np

from keras_rkm import networks
from keras_rkm.models import AutoEncoder, BetaTCVAE, FactorVAE, InfoGAN, VariationalAutoencoder

IMAGE_SHAPE = (4, 4, 1)
FEATURE_DIM = 6
LATENT_DIM = 3
ARGUMENTS = {
    AutoEncoder: {},
    VariationalAutoencoder: {"beta": 0.7, "prior": "quartic"},
    FactorVAE: {"gamma": 1.3, "discriminator_width": 8, "discriminator_depth": 2},
    BetaTCVAE: {"beta": 1.3, "dataset_size": 200},
    InfoGAN: {"noise_dim": 4, "information_weight": 0.9},
}
MODELS = list(ARGUMENTS)


def images(num_images=32, seed=0):
    return np.random.default_rng(seed).random((num_images, *IMAGE_SHAPE), "float32")


def patterns(num_images=256, seed=0):
    """Black and white images with two factors: which two rows are white, and which quadrant not."""
    generator = np.random.default_rng(seed)
    first_row, quadrant = generator.integers(0, 3, num_images), generator.integers(0, 4, num_images)
    drawn = np.zeros((num_images, *IMAGE_SHAPE), "float32")
    for image, row, number in zip(drawn, first_row, quadrant, strict=True):
        image[row : row + 2] = 1
        vertical, horizontal = 2 * (number // 2), 2 * (number % 2)
        image[vertical : vertical + 2, horizontal : horizontal + 2] = 0
    return drawn


def make(model_class, hidden_dims=(), compiled=True, **arguments):
    """A model of small dense networks; linear ones, up to the sigmoid, by default."""
    model = model_class(
        networks.dense_encoder(IMAGE_SHAPE, FEATURE_DIM, hidden_dims=hidden_dims, seed=1),
        networks.dense_decoder(FEATURE_DIM, IMAGE_SHAPE, hidden_dims=hidden_dims, seed=2),
        **{"latent_dim": LATENT_DIM, "seed": 0, **ARGUMENTS[model_class], **arguments},
    )
    if compiled:
        model.compile()
    return model


def weights(layer):
    return [weight.astype("float64") for weight in layer.get_weights()]


def assert_equal_variables(first, second):
    assert len(first) == len(second)
    for ours, expected in zip(first, second, strict=True):
        np.testing.assert_array_equal(ours.numpy(), expected.numpy(), err_msg=ours.path)
