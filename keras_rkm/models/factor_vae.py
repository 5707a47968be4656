"""The FactorVAE."""

import keras

from keras_rkm.models import variational
from keras_rkm.models.adversarial import AdversarialModel, discriminator_loss
from keras_rkm.models.argument_checks import check_not_negative, check_positive_int
from keras_rkm.models.variational_autoencoder import GaussianPosteriorModel


@keras.saving.register_keras_serializable(package="keras_rkm")
class FactorVAE(AdversarialModel, GaussianPosteriorModel):
    """Variational auto-encoder with a penalty on the total correlation of its latents [1].

    Minimises, with one draw `z ~ q(z | x)` for each image,

        mean l(x, psi(z)) + mean KL(q(z | x) || N(0, I)) + gamma * mean d(z)

    where the logits d of a discriminator are trained to tell z from draws whose latents have each
    been permuted over the batch. At its optimum d is the log ratio of the two densities, of which
    the mean is the total correlation. The discriminator's step moves nothing else.

    The paper permutes the draws of a second batch. Here it is the same one, so that a step sees and
    encodes as many images as one of another model; what is permuted holds an unpermuted pair of
    latents in one of `batch` cases only.

    Args:
        encoder: `keras.Model` from images to features, `(batch, feature_dim)`.
        decoder: `keras.Model` from features, `(batch, feature_dim)`, to images.
        latent_dim: Positive int, the number of latents.
        gamma: Float >= 0. Defaults to 10.0; the paper has 10 to 40 for its data sets.
        discriminator_width: Positive int, units of each of its hidden layers, with LeakyReLU 0.2.
            Defaults to 1000.
        discriminator_depth: Positive int, the number of hidden layers. Defaults to 6.
        **kwargs: `reconstruction_loss` and `seed`, as of `keras_rkm.models.AutoEncoder`; `name`
            and the like, for `keras.Model`.

    Input shape: `(batch, height, width, channels)`, as the encoder has it. Output shape: the same
    (the reconstructions).

    `compile` takes two optimizers: `optimizer` defaults to Adam, `discriminator_optimizer` to that
    of the paper, `Adam(1e-4, beta_1=0.5, beta_2=0.9)`.

    Raises:
        ValueError: If an argument is out of range, or the two networks do not fit together.

    >>> model = keras_rkm.models.FactorVAE(
    ...     keras_rkm.networks.dense_encoder((8, 8, 1), 16, hidden_dims=(32,)),
    ...     keras_rkm.networks.dense_decoder(16, (8, 8, 1), hidden_dims=(32,)),
    ...     latent_dim=3,
    ...     discriminator_width=50,
    ... )
    >>> model.compile()
    >>> images = np.random.default_rng(0).random((64, 8, 8, 1), "float32")
    >>> history = model.fit(images, verbose=0)
    >>> sorted(history.history)
    ['discriminator_loss', 'divergence', 'loss', 'reconstruction_loss', 'total_correlation']

    References:
        [1] H. Kim, A. Mnih, "Disentangling by Factorising", ICML 2018, arXiv:1802.05983.
    """

    log_names = (
        "loss", "reconstruction_loss", "divergence", "total_correlation", "discriminator_loss"
    )  # fmt: skip

    def __init__(
        self,
        encoder,
        decoder,
        latent_dim,
        gamma=10.0,
        discriminator_width=1000,
        discriminator_depth=6,
        **kwargs,
    ):
        check_not_negative("gamma", gamma)
        check_positive_int("discriminator_width", discriminator_width)
        check_positive_int("discriminator_depth", discriminator_depth)
        super().__init__(encoder, decoder, latent_dim, **kwargs)
        self.gamma = gamma
        self.discriminator_width = int(discriminator_width)
        self.discriminator_depth = int(discriminator_depth)
        self.discriminator = self._discriminator()

    def _discriminator(self):
        inputs = x = keras.Input((self.latent_dim,), dtype=self.variable_dtype)
        dim = self.latent_dim
        for number in range(self.discriminator_depth):
            x = self._dense(f"discriminator_{number}", dim, self.discriminator_width)(x)
            x = keras.layers.LeakyReLU(0.2, dtype=self.variable_dtype)(x)
            dim = self.discriminator_width
        return keras.Model(inputs, self._dense("logits", dim, 1)(x), name="discriminator")

    @property
    def _discriminator_layers(self):
        return [self.discriminator]

    @property
    def _default_optimizers(self):
        return "adam", keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9)

    def _values(self, images, share, noise_seed, training):
        noise_seed, permutation_seed = variational.split_seed(noise_seed)
        mean, log_variance = self._moments(images, training)
        latents = variational.sample(mean, log_variance, noise_seed, share)
        reconstruction_loss = self._reconstruction_loss(images, share, latents, training)
        divergence = share.mean(variational.normal_divergence(mean, log_variance))
        logits = self.discriminator(latents)
        total_correlation = share.mean(logits[:, 0])
        permuted = share.own(variational.permute_latents(share.gather(latents), permutation_seed))
        return {
            "loss": reconstruction_loss + divergence + self.gamma * total_correlation,
            "reconstruction_loss": reconstruction_loss,
            "divergence": divergence,
            "total_correlation": total_correlation,
            "discriminator_loss": discriminator_loss(logits, self.discriminator(permuted), share),
        }

    def get_config(self):
        return {
            **super().get_config(),
            "gamma": self.gamma,
            "discriminator_width": self.discriminator_width,
            "discriminator_depth": self.discriminator_depth,
        }
