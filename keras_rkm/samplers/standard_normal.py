"""The prior of a variational auto-encoder."""

import functools
import operator
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from .base import Sampler
from .drawing import KEYS, normal_rows


@keras.saving.register_keras_serializable(package="keras_rkm")
class StandardNormalSampler(Sampler):
    """Draws latents from N(0, I), the prior that variational auto-encoders are trained with.

    It has nothing to fit but the number of latents, which is either given or read off the first
    batch that `adapt` sees.

    Args:
        latent_dim: Positive int. Defaults to None, to be found by `adapt`.
        name: Str, the name of the layer. Defaults to None.

    Raises:
        ValueError: If `latent_dim < 1`, or if `adapt` meets another number of latents.

    Example:

    >>> StandardNormalSampler(latent_dim=3).sample(2, seed=0).shape.as_list()
    [2, 3]
    """

    def __init__(self, latent_dim: int | None = None, **kwargs):
        super().__init__(**kwargs)
        self._given_dim = None
        if latent_dim is not None:
            self._given_dim = _positive(latent_dim)
            self.build({})

    def _fit(self, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        first = next(iter(batches), None)
        if first is None:
            raise ValueError("`latents` must hold at least one sample. Received: none.")
        if self._given_dim not in (None, first.shape[1]):
            raise ValueError(
                "`latents` must have `latent_dim` columns. "
                f"Received: shape={first.shape}, latent_dim={self._given_dim}. "
                "Make a new sampler for them."
            )
        self._given_dim = first.shape[1]
        return {}

    def _draw(self, keys: tf.Tensor) -> tf.Tensor:
        return _drawer(self.latent_dim)(keys)

    def _latent_dim(self) -> int:
        return self._given_dim

    @property
    def distribution(self):
        """A `MultivariateNormalDiag` of TensorFlow Probability with unit variances."""
        import tensorflow_probability as tfp

        return tfp.distributions.MultivariateNormalDiag(loc=tf.zeros([self.latent_dim]))

    def get_config(self) -> dict:
        return {**super().get_config(), "latent_dim": self._given_dim}


def _positive(latent_dim: int) -> int:
    latent_dim = operator.index(latent_dim)
    if latent_dim < 1:
        raise ValueError(f"`latent_dim` must be at least 1. Received: latent_dim={latent_dim}.")
    return latent_dim


@functools.cache
def _drawer(dim: int):
    return tf.function(lambda keys: normal_rows(keys, dim), input_signature=[KEYS], autograph=False)
