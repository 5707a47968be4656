"""The same models in other axes of their latents, for every method by the same rules."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_rkm import rotations
from keras_rkm.datasets import Dataset
from keras_rkm.metrics.disentanglement.controls import random_rotation

_NUM_LATENTS = 10_000  # of training images, that a rotation is found from
_BATCH_SIZE = 256


class RotatedModel:
    """A model whose latents are turned: `encode(images) @ matrix`.

    Args:
        model: A model of this package.
        matrix: `(latent_dim, latent_dim)`, orthogonal; its columns are the new axes.
        latents: `(num_samples, latent_dim)` of training images, in the axes of the model.

    Attributes:
        latents: The same in the new axes.
    """

    def __init__(self, model, matrix: np.ndarray, latents: np.ndarray):
        self._model = model
        self._matrix = tf.constant(matrix, tf.float32)
        self.latents = latents @ matrix

    def encode(self, images):
        """Latents along the new axes, `(batch, latent_dim)`."""
        return tf.cast(self._model.encode(images), tf.float32) @ self._matrix

    def decode(self, latents):
        """Images of latents along the new axes."""
        turned_back = tf.matmul(tf.cast(latents, tf.float32), self._matrix, transpose_b=True)
        return self._model.decode(turned_back)

    def reconstruct(self, images):
        """As of the model: a rotation changes no reconstruction."""
        return self._model.reconstruct(images)


def rotated_models(
    model, train: Dataset, names: Sequence[str], seed: int
) -> dict[str, RotatedModel]:
    """The model in each of the axes that are named, found from training images without labels.

    Args:
        model: A trained model of this package.
        train: `Dataset`, the images that it was trained on.
        names: Entries of `keras_rkm.comparison.study.ROTATIONS`: `"none"`, the model's own axes;
            the methods of `keras_rkm.rotations.find_rotation`; `"random"`, a control.
        seed: Int, of the random rotation and of what `find_rotation` looks at.

    Returns:
        A dict of `RotatedModel` by name.
    """
    images = train.images[:_NUM_LATENTS]
    starts = range(0, len(images), _BATCH_SIZE)
    latents = np.concatenate(
        [
            np.asarray(model.encode((images[i : i + _BATCH_SIZE] / 255).astype("float32")))
            for i in starts
        ]
    ).astype("float64")
    matrices = {}
    for name in names:
        if name == "none":
            matrices[name] = np.eye(latents.shape[1])
        elif name == "random":
            matrices[name] = random_rotation(latents.shape[1], np.random.default_rng(seed))
        else:
            found = rotations.find_rotation(latents, name, decode=model.decode, seed=seed)
            matrices[name] = found.matrix
    return {name: RotatedModel(model, matrix, latents) for name, matrix in matrices.items()}
