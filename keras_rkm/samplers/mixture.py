"""A mixture of normal distributions with full covariances."""

import functools
import warnings
from collections.abc import Iterable, Sequence

import keras
import numpy as np
import tensorflow as tf

from .base import Sampler
from .covariance import check_variance_floor
from .drawing import KEYS, affine_rows, normal_rows
from .mixture_fitting import (
    CRITERIA,
    check_num_components,
    fit_mixture,
    gather,
    max_num_components,
    select_num_components,
)


@keras.saving.register_keras_serializable(package="keras_rkm")
class GaussianMixtureSampler(Sampler):
    """Draws latents from a mixture of normal distributions, for latents with several modes.

    A row picks the component k with the probability `mixture_weights[k]` and is then
    `means[k] + scale_trils[k] @ noise`. The mixture is fitted by scikit-learn's `GaussianMixture`
    with full covariances, on latents that are centred and scaled to a largest variance of one, so
    that the floor of its covariances is relative to them. `adapt` gathers all latents: they are
    small beside images.

    Args:
        num_components: Positive int, or `"bic"` or `"held_out"`: the best of `candidates` by
            `select_num_components`. Defaults to 10.
        candidates: Positive ints to choose among; those that exceed the number of samples are left
            out. Defaults to (1, 2, 3, 5, 10, 20). Without effect if `num_components` is an int.
        variance_floor: Float in (0, 1), added to every variance of a component, relative to the
            largest variance of all latents. Defaults to 1e-6.
        seed: Int in [0, 2**32), of the initialisation of the fit. Defaults to 0.
        name: Str, the name of the layer. Defaults to None.

    Attributes:
        mixture_weights: Variable `(num_components,)`, the probabilities of the components.
        means: Variable `(num_components, latent_dim)`.
        scale_trils: Variable `(num_components, latent_dim, latent_dim)`, lower triangular.

    Raises:
        ValueError: If an argument is out of range, or on `adapt` with fewer samples than
            components.

    Example:

    >>> centres = np.array([[-5.0, 0.0], [5.0, 0.0]])
    >>> latents = np.random.default_rng(0).normal(size=(200, 2, 2)) + centres
    >>> sampler = GaussianMixtureSampler(num_components="bic").adapt(latents.reshape(-1, 2))
    >>> sampler.mixture_weights.numpy().round(2)
    array([0.5, 0.5], dtype=float32)
    """

    def __init__(
        self,
        num_components: int | str = 10,
        *,
        candidates: Sequence[int] = (1, 2, 3, 5, 10, 20),
        variance_floor: float = 1e-6,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if num_components not in CRITERIA:
            check_num_components(num_components)
        for candidate in candidates:
            check_num_components(candidate)
        check_variance_floor(variance_floor)
        if not 0 <= seed < 2**32:
            raise ValueError(f"`seed` must be in [0, 2**32). Received: seed={seed}.")
        self.num_components = num_components
        self.candidates = tuple(candidates)
        self.variance_floor = variance_floor
        self.seed = seed

    def _fit(self, batches: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        latents = gather(batches)
        mixture, reports = fit_mixture(
            latents,
            self._num_components_for(latents),
            variance_floor=self.variance_floor,
            seed=self.seed,
        )
        for report in reports:
            warnings.warn(report, stacklevel=3)
        return {
            "mixture_weights": mixture.weights,
            "means": mixture.means,
            "scale_trils": mixture.scale_trils,
        }

    def _num_components_for(self, latents: np.ndarray) -> int:
        if self.num_components not in CRITERIA:
            return self.num_components
        limit = max_num_components(len(latents), self.num_components)
        choice, _ = select_num_components(
            latents,
            [candidate for candidate in self.candidates if candidate <= limit],
            criterion=self.num_components,
            variance_floor=self.variance_floor,
            seed=self.seed,
        )
        return choice

    def _draw(self, keys: tf.Tensor) -> tf.Tensor:
        return _drawer(self.latent_dim)(
            keys, self.mixture_weights.value, self.means.value, self.scale_trils.value
        )

    @property
    def distribution(self):
        """A `MixtureSameFamily` of TensorFlow Probability on the variables themselves."""
        import tensorflow_probability as tfp

        self._check_adapted()
        return tfp.distributions.MixtureSameFamily(
            tfp.distributions.Categorical(probs=self.mixture_weights.value),
            tfp.distributions.MultivariateNormalTriL(
                loc=self.means.value, scale_tril=self.scale_trils.value
            ),
        )

    def get_config(self) -> dict:
        return {
            **super().get_config(),
            "num_components": self.num_components,
            "candidates": self.candidates,
            "variance_floor": self.variance_floor,
            "seed": self.seed,
        }


@functools.cache
def _drawer(dim: int):
    @tf.function(
        input_signature=[
            KEYS,
            tf.TensorSpec([None], tf.float32),
            tf.TensorSpec([None, dim], tf.float32),
            tf.TensorSpec([None, dim, dim], tf.float32),
        ],
        autograph=False,
    )
    def draw(keys, weights, means, scale_trils):
        noise = normal_rows(keys, dim + 1)
        # The first value picks the component: below which quantile does it lie? The last bound is
        # left out, since rounding may keep it below one.
        bounds = tf.math.ndtri(tf.cumsum(weights)[:-1])
        component = tf.math.count_nonzero(bounds <= noise[:, :1], axis=1)
        return affine_rows(
            noise[:, 1:], tf.gather(means, component), tf.gather(scale_trils, component)
        )

    return draw
