"""The same models in other axes of their latents, for every method by the same rules."""

import functools
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
        polar: `PolarPlanes` along the new axes, or None.

    Attributes:
        latents: The same in the new axes.
        angles: Tuple of ints, the columns of latents that are angles.
    """

    def __init__(
        self,
        model,
        matrix: np.ndarray,
        latents: np.ndarray,
        polar: rotations.PolarPlanes | None = None,
    ):
        self._model = model
        self._matrix = tf.constant(matrix, tf.float32)
        self._polar = polar or rotations.PolarPlanes(())
        self.latents = self._polar.to_polar(latents @ matrix).numpy()
        self.angles = self._polar.angles

    def encode(self, images):
        """Latents along the new axes, `(batch, latent_dim)`."""
        latents = tf.cast(self._model.encode(images), tf.float32)
        return self._polar.to_polar(latents @ self._matrix)

    def decode(self, latents):
        """Images of latents along the new axes."""
        coordinates = self._polar.from_polar(tf.cast(latents, tf.float32))
        return self._model.decode(tf.matmul(coordinates, self._matrix, transpose_b=True))

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
            the methods of `keras_rkm.rotations.find_rotation`; `"polar"`, the axes of `"ica"` with
            the planes of `keras_rkm.rotations.find_polar_planes`; `"random"`, a control.
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

    @functools.cache  # two names take the axes of "ica"
    def found(method):
        return rotations.find_rotation(latents, method, decode=model.decode, seed=seed).matrix

    def rotated(name):
        match name:
            case "none":
                return RotatedModel(model, np.eye(latents.shape[1]), latents)
            case "random":
                matrix = random_rotation(latents.shape[1], np.random.default_rng(seed))
                return RotatedModel(model, matrix, latents)
            case "polar":
                matrix = found("ica")
                polar = rotations.find_polar_planes(latents @ matrix, seed=seed)
                return RotatedModel(model, matrix, latents, polar)
            case _:
                return RotatedModel(model, found(name), latents)

    return {name: rotated(name) for name in names}
