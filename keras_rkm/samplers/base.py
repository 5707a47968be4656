"""What the samplers have in common: state that Keras saves, and one way of drawing."""

import os
from collections.abc import Callable, Iterable

import keras
import numpy as np
import tensorflow as tf

from keras_rkm._keras_files import load_keras_file

from .batches import latent_batches
from .drawing import row_keys, row_seeds


class Sampler(keras.layers.Layer):
    """A distribution of latents that is fitted by `adapt` and drawn from by `sample`.

    It takes and gives arrays `(num_samples, latent_dim)` and knows no model. It is a Keras layer
    for the sake of its state: it saves itself, and a model that holds one saves it along.

    A subclass gives `_fit`, `_draw` and `distribution`.

    Args:
        name: Str, the name of the layer. Defaults to None.
    """

    def adapt(
        self, latents: np.ndarray | tf.Tensor | Iterable, *, transform: Callable | None = None
    ) -> "Sampler":
        """Fits the distribution to latents, all at once or in a stream.

        A second call replaces the first fit.

        Args:
            latents: Array or tensor `(num_samples, latent_dim)`, or a `tf.data.Dataset` or another
                iterable of such batches. Of tuples `(images, labels)` the first entry is taken.
            transform: Callable applied to every batch. With `transform=model.encode` the latents
                of a data set of images are fitted without being held in memory. Defaults to None.

        Returns:
            The sampler itself.

        Raises:
            ValueError: If the latents are not matrices of one width, not finite, or fewer than two;
                or if the shape of the parameters would change in a second call.
        """
        parameters = self._fit(latent_batches(latents, transform))
        shapes = {name: list(value.shape) for name, value in parameters.items()}
        if not self.built:
            self.build(shapes)
        elif shapes != self.get_build_config()["shapes"]:
            raise ValueError(
                "A sampler cannot change the shape of its parameters once it is adapted. "
                f"Received: {shapes} after {self.get_build_config()['shapes']}. "
                "Make a new sampler."
            )
        for name, value in parameters.items():
            getattr(self, name).assign(value)
        return self

    def _fit(self, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Parameters by name, to become the weights of the same names."""
        raise NotImplementedError

    def _draw(self, keys: tf.Tensor) -> tf.Tensor:
        """Latents `(batch, latent_dim)` of keys `(batch,)`; see drawing.py."""
        raise NotImplementedError

    @property
    def distribution(self):
        """The distribution as one of TensorFlow Probability, built when asked for."""
        raise NotImplementedError

    @property
    def latent_mean(self) -> tf.Tensor:
        """Mean of the distribution, float32 `(latent_dim,)`."""
        return self.distribution.mean()

    @property
    def latent_stddev(self) -> tf.Tensor:
        """Standard deviation of each latent, float32 `(latent_dim,)`."""
        return self.distribution.stddev()

    @property
    def latent_dim(self) -> int:
        """Number of columns of the latents."""
        self._check_adapted()
        return self._latent_dim()

    def sample(self, num_samples: int, *, seed: int | None = None) -> tf.Tensor:
        """Draws latents.

        The same seed gives the same latents, and of a smaller number the first ones.

        Args:
            num_samples: Positive int.
            seed: Int in [0, 2**63). Defaults to None, fresh entropy, which no global seed governs.

        Returns:
            A float32 tensor `(num_samples, latent_dim)`.

        Raises:
            ValueError: If `num_samples < 1`, `seed` is out of range, or before `adapt`.
        """
        return self.sample_from_seeds(row_seeds(num_samples, seed))

    def sample_from_seeds(self, seeds: np.ndarray | tf.Tensor) -> tf.Tensor:
        """Draws one row of latents for every seed.

        A row depends on its own seed alone and is the same, bit for bit, in any batch. Only plain
        graph ops are used, so that the method can be exported.

        Args:
            seeds: Integers `(batch,)`; a negative one stands for fresh entropy.

        Returns:
            A float32 tensor `(batch, latent_dim)`.

        Raises:
            ValueError: If `seeds` is not a vector of integers, or before `adapt`.
        """
        self._check_adapted()
        latents = self._draw(row_keys(seeds))
        return tf.ensure_shape(latents, [None, self.latent_dim])

    def log_prob(self, latents: np.ndarray | tf.Tensor) -> tf.Tensor:
        """Logarithm of the density at each row, in float32.

        Args:
            latents: Array or tensor `(num_samples, latent_dim)`.

        Returns:
            A float32 tensor `(num_samples,)`.

        Raises:
            ValueError: If `latents` has another shape, or before `adapt`.
        """
        self._check_adapted()
        latents = tf.cast(latents, tf.float32)
        if latents.shape.rank != 2 or latents.shape[1] != self.latent_dim:
            raise ValueError(
                "`latents` must have the shape (num_samples, latent_dim) of those that the "
                f"sampler was adapted to. Received: shape={tuple(latents.shape)}, "
                f"latent_dim={self.latent_dim}."
            )
        return self.distribution.log_prob(latents)

    def save(self, filepath: str | os.PathLike) -> None:
        """Writes the sampler to a `.keras` file, to be read by `load_sampler`.

        Raises:
            ValueError: Before `adapt`, or if `filepath` does not end in `.keras`.
        """
        self._check_adapted()
        keras.saving.save_model(self, filepath)

    def build(self, shapes: dict[str, list[int]]) -> None:
        for name, shape in shapes.items():
            # In float32 whatever the precision of the networks: float16 has no room for variances.
            weight = self.add_weight(
                name=name,
                shape=shape,
                initializer="zeros",
                dtype="float32",
                trainable=False,
                autocast=False,
            )
            setattr(self, name, weight)

    def get_build_config(self) -> dict:
        return {"shapes": {weight.name: list(weight.shape) for weight in self.weights}}

    def build_from_config(self, config: dict) -> None:
        self.build(config["shapes"])

    def _latent_dim(self) -> int:
        return self.weights[-1].shape[-1]

    def _check_adapted(self) -> None:
        if not self.built:
            raise ValueError(
                f"{type(self).__name__} has nothing to draw from before it is adapted. Received: "
                f"the sampler '{self.name}' without parameters. Call `sampler.adapt(latents)`, or "
                "load one by `load_sampler`."
            )


def load_sampler(filepath: str | os.PathLike) -> Sampler:
    """Reads a sampler that `Sampler.save` wrote.

    Raises:
        ValueError: If the file is missing or holds something else.
    """
    try:
        sampler = load_keras_file(filepath)
    except Exception as error:  # of any kind: Keras, HDF5, zip and JSON each have their own
        raise ValueError(f"The sampler '{filepath}' cannot be read: {error}") from error
    if not isinstance(sampler, Sampler):
        raise ValueError(
            f"`filepath` must hold a sampler. Received: filepath={filepath}, which holds a "
            f"{type(sampler).__name__}. Use `keras.saving.load_model` for a model."
        )
    return sampler
