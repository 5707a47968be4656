"""The variational auto-encoder, and what others of its kind share with it."""

import keras
import tensorflow as tf

from keras_rkm.models import variational
from keras_rkm.models.argument_checks import check_choice, check_not_negative
from keras_rkm.models.latent_model import LinearLatentModel

_DIVERGENCES = {
    "normal": variational.normal_divergence,
    "quartic": variational.quartic_divergence,
}


class GaussianPosteriorModel(LinearLatentModel):
    """A model with a posterior `N(mean(x), diag(variance(x)))`; its latents are the mean.

    Args:
        encoder: As of `LinearLatentModel`.
        decoder: As of `LinearLatentModel`.
        latent_dim: As of `LinearLatentModel`.
        **kwargs: As of `LinearLatentModel`.
    """

    def __init__(self, encoder, decoder, latent_dim, **kwargs):
        super().__init__(encoder, decoder, latent_dim, **kwargs)
        self.mean = self._dense("mean", self.feature_dim, self.latent_dim)
        self.log_variance = self._dense("log_variance", self.feature_dim, self.latent_dim)

    def posterior(self, images):
        """Returns the means and the log variances of the latents, both `(batch, latent_dim)`."""
        return self._posterior(tf.convert_to_tensor(images))

    @tf.function(autograph=False, reduce_retracing=True)
    def _posterior(self, images):
        return self._moments(images)

    def _moments(self, images, training=False):
        features = self._encoder_features(images, training)
        return self.mean(features), self.log_variance(features)

    def _latents(self, images, training=False):
        return self.mean(self._encoder_features(images, training))


@keras.saving.register_keras_serializable(package="keras_rkm")
class VariationalAutoencoder(GaussianPosteriorModel):
    """Variational auto-encoder [1], with a weight on its divergence [2].

    Minimises

        mean E l(x, psi(z)) + beta * mean KL(q(z | x) || p(z)),    z ~ q(z | x)

    with one draw for the expectation, in closed form for the divergence. The posterior
    `q(z | x) = N(mean, diag(variance))` is linear in the features, and so is what the decoder gets
    in the latents. The latents of an image are its posterior mean. `evaluate` draws z too.

    Args:
        encoder: `keras.Model` from images to features, `(batch, feature_dim)`.
        decoder: `keras.Model` from features, `(batch, feature_dim)`, to images.
        latent_dim: Positive int, the number of latents.
        beta: Float >= 0. Defaults to 1.0, the evidence lower bound.
        prior: `"normal"`: p = N(0, I). `"quartic"`: p(z) proportional to exp(-.1142 z^4) in each
            latent, also of unit variance; as it is not the same in all directions, it tells
            rotated latents apart.
        **kwargs: `reconstruction_loss` and `seed`, as of `keras_rkm.models.AutoEncoder`; `name`
            and the like, for `keras.Model`.

    Input shape: `(batch, height, width, channels)`, as the encoder has it. Output shape: the same
    (the reconstructions).

    Raises:
        ValueError: If an argument is out of range, or the two networks do not fit together.

    >>> model = keras_rkm.models.VariationalAutoencoder(
    ...     keras_rkm.networks.dense_encoder((8, 8, 1), 16, hidden_dims=(32,)),
    ...     keras_rkm.networks.dense_decoder(16, (8, 8, 1), hidden_dims=(32,)),
    ...     latent_dim=3,
    ...     beta=4.0,
    ... )
    >>> model.compile()
    >>> images = np.random.default_rng(0).random((64, 8, 8, 1), "float32")
    >>> history = model.fit(images, verbose=0)
    >>> sampler = keras_rkm.samplers.StandardNormalSampler(latent_dim=3)
    >>> model.generate(2, sampler, seed=0).shape
    TensorShape([2, 8, 8, 1])

    References:
        [1] D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014,
            arXiv:1312.6114.
        [2] I. Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
            Variational Framework", ICLR 2017.
    """

    log_names = ("loss", "reconstruction_loss", "divergence")

    def __init__(self, encoder, decoder, latent_dim, beta=1.0, prior="normal", **kwargs):
        check_not_negative("beta", beta)
        check_choice("prior", prior, tuple(_DIVERGENCES))
        super().__init__(encoder, decoder, latent_dim, **kwargs)
        self.beta = beta
        self.prior = prior

    def _values(self, images, share, noise_seed, training):
        mean, log_variance = self._moments(images, training)
        latents = variational.sample(mean, log_variance, noise_seed, share)
        reconstruction_loss = self._reconstruction_loss(images, share, latents, training)
        divergence = share.mean(_DIVERGENCES[self.prior](mean, log_variance))
        return {
            "loss": reconstruction_loss + self.beta * divergence,
            "reconstruction_loss": reconstruction_loss,
            "divergence": divergence,
        }

    def get_config(self):
        return {**super().get_config(), "beta": self.beta, "prior": self.prior}
