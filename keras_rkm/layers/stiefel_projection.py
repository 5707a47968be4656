"""Projects features onto an orthonormal basis."""

import numbers

import keras
import tensorflow as tf

from keras_rkm.constraints import Stiefel
from keras_rkm.layers.precision import full_precision


@keras.saving.register_keras_serializable(package="keras_rkm")
class StiefelProjection(keras.layers.Layer):
    """Projects centred features onto a learned orthonormal basis.

    Computes `latents = features @ basis`. The columns of `basis` are orthonormal: it is a point of
    the Stiefel manifold, the interconnection matrix U of the restricted kernel machine [1].

    Args:
        latent_dim: Positive int, the number of columns of `basis`; at most the size of the last
            input axis.
        seed: Int or None, for the start of `basis`.

    Input shape: `(batch, feature_dim)`, centred. Output shape: `(batch, latent_dim)`, in float32
    (float64 for a float64 layer) under every mixed-precision policy.

    Raises:
        ValueError: If `latent_dim` is not a positive int; on build, if it exceeds `feature_dim`.

    >>> layer = keras_rkm.layers.StiefelProjection(2, seed=0)
    >>> latents = layer(np.ones((5, 4), "float32"))
    >>> latents.shape, layer.expand(latents).shape
    (TensorShape([5, 2]), TensorShape([5, 4]))

    References:
        [1] A. Pandey, M. Fanuel, J. Schreurs, J. A. K. Suykens, "Disentangled Representation
            Learning and Generation with Manifold Optimization", Neural Computation 34(10), 2022,
            arXiv:2006.07046.
    """

    def __init__(self, latent_dim, seed=None, **kwargs):
        if not isinstance(latent_dim, numbers.Integral) or latent_dim < 1:
            raise ValueError(
                f"`latent_dim` must be a positive int. Received: latent_dim={latent_dim!r}"
            )
        super().__init__(**full_precision(kwargs))
        self.latent_dim = int(latent_dim)
        self.seed = seed

    def build(self, input_shape):
        feature_dim = input_shape[-1]
        if self.latent_dim > feature_dim:
            raise ValueError(
                "`latent_dim` must not exceed the number of features, since at most `feature_dim` "
                f"columns can be orthonormal. Received: latent_dim={self.latent_dim}, "
                f"feature_dim={feature_dim}. Use a smaller `latent_dim` or an encoder with more "
                "outputs."
            )
        self.basis = self.add_weight(
            name="basis",
            shape=(feature_dim, self.latent_dim),
            initializer=keras.initializers.Orthogonal(seed=self.seed),
            constraint=Stiefel(),
            autocast=False,
        )

    def call(self, features):
        return tf.matmul(features, self.basis)

    def expand(self, latents):
        """Returns `latents @ basis'`, of shape `(batch, feature_dim)`: back into feature space."""
        return tf.matmul(latents, self.basis, transpose_b=True)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], self.latent_dim)

    def get_config(self):
        return {**super().get_config(), "latent_dim": self.latent_dim, "seed": self.seed}
