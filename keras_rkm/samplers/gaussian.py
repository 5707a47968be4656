"""One normal distribution with a full covariance."""

import functools
import warnings
from collections.abc import Iterable

import keras
import numpy as np
import tensorflow as tf

from keras_rkm._moments import moments

from .base import Sampler
from .covariance import check_variance_floor, floored_cholesky
from .drawing import KEYS, affine_rows, normal_rows


@keras.saving.register_keras_serializable(package="keras_rkm")
class GaussianSampler(Sampler):
    """Draws latents from the normal distribution that is most likely to have made them.

    `latents = mean + scale_tril @ noise`, where `scale_tril @ scale_tril.T` is the covariance
    (divided by the number of samples) and `noise` is standard normal. A restricted kernel machine
    makes the latents uncorrelated, not Gaussian; where a histogram shows several modes, take
    `GaussianMixtureSampler`.

    `adapt` reads the latents once, in float64 and O(latent_dim^2) memory. Directions whose variance
    is nearly zero are given a small one, with a warning that names the dead axes.

    Args:
        variance_floor: Float in (0, 1), the smallest variance of any direction relative to the
            largest one. Defaults to 1e-6: below it float32 loses the digits of `log_prob`.
        name: Str, the name of the layer. Defaults to None.

    Attributes:
        mean: Variable `(latent_dim,)`.
        scale_tril: Variable `(latent_dim, latent_dim)`, lower triangular.

    Raises:
        ValueError: If `variance_floor` is out of range.

    Example:

    >>> latents = np.random.default_rng(0).normal(size=(1000, 2)) * [3.0, 0.1]
    >>> sampler = GaussianSampler().adapt(latents)
    >>> sampler.sample(5, seed=1).shape.as_list()
    [5, 2]
    """

    def __init__(self, *, variance_floor: float = 1e-6, **kwargs):
        super().__init__(**kwargs)
        check_variance_floor(variance_floor)
        self.variance_floor = variance_floor

    def _fit(self, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        fitted = moments(batches)
        scale_tril, report = floored_cholesky(fitted, self.variance_floor)
        if report:
            warnings.warn(report, stacklevel=3)
        return {"mean": fitted.mean, "scale_tril": scale_tril}

    def _draw(self, keys: tf.Tensor) -> tf.Tensor:
        return _drawer(self.latent_dim)(keys, self.mean.value, self.scale_tril.value)

    @property
    def distribution(self):
        """A `MultivariateNormalTriL` of TensorFlow Probability on the variables themselves."""
        import tensorflow_probability as tfp

        self._check_adapted()
        return tfp.distributions.MultivariateNormalTriL(
            loc=self.mean.value, scale_tril=self.scale_tril.value
        )

    def get_config(self) -> dict:
        return {**super().get_config(), "variance_floor": self.variance_floor}


@functools.cache
def _drawer(dim: int):
    @tf.function(
        input_signature=[
            KEYS,
            tf.TensorSpec([dim], tf.float32),
            tf.TensorSpec([dim, dim], tf.float32),
        ],
        autograph=False,
    )
    def draw(keys, mean, scale_tril):
        return affine_rows(normal_rows(keys, dim), mean, scale_tril)

    return draw
