"""The InfoGAN."""

import keras
import tensorflow as tf

from keras_rkm.models import variational
from keras_rkm.models.adversarial import AdversarialModel, discriminator_loss
from keras_rkm.models.argument_checks import check_not_negative, check_positive_int
from keras_rkm.samplers.drawing import normal_rows, row_keys

_NOISE_STREAM = 1  # the codes of a row may have been drawn from its seed by the stream 0


@keras.saving.register_keras_serializable(package="keras_rkm")
class InfoGAN(AdversarialModel):
    """Generative adversarial network whose codes can be read off its images [1].

    The generator makes images `G(z, c)` of noise z and codes c, both standard normal (the paper's
    codes are uniform), by a linear layer to features and `decoder`. A discriminator D and the
    guess Q of the codes are linear in the features of one `encoder`. With logits d of D,

        generator:          mean softplus(-d(G(z, c))) + information_weight * mean L
        encoder, D and Q:   1/2 mean [softplus(-d(x)) + softplus(d(G(z, c)))]
                            + information_weight * mean L

    where `L = 1/2 ||c - Q(G(z, c))||^2`, the cross-entropy of a normal Q of unit variance less a
    constant, bounds the mutual information of codes and images.

    The latents of an image are Q's guess of its codes, and there are no others: a reconstruction
    has the right codes, and other details, if training went well. `decode` puts zero for the noise,
    `generate` and `decode_from_seeds` draw it.

    Args:
        encoder: `keras.Model` from images to features, `(batch, feature_dim)`.
        decoder: `keras.Model` from features, `(batch, feature_dim)`, to images.
        latent_dim: Positive int, the number of codes.
        noise_dim: Positive int, the number of noise values. Defaults to 62, that of the paper for
            MNIST.
        information_weight: Float >= 0. Defaults to 1.0, that of the paper.
        **kwargs: `seed`, for the weights between the networks and the noise; `name` and the like,
            for `keras.Model`.

    Input shape: `(batch, height, width, channels)`, as the encoder has it. Output shape: the same
    (the reconstructions).

    `compile` takes two optimizers, by default those of the paper: `optimizer`, of the generator,
    `Adam(1e-3, beta_1=0.5)`, and `discriminator_optimizer`, of all else, `Adam(2e-4, beta_1=0.5)`.

    Raises:
        ValueError: If an argument is out of range, or the two networks do not fit together.

    >>> model = keras_rkm.models.InfoGAN(
    ...     keras_rkm.networks.dense_encoder((8, 8, 1), 16, hidden_dims=(32,)),
    ...     keras_rkm.networks.dense_decoder(16, (8, 8, 1), hidden_dims=(32,)),
    ...     latent_dim=3,
    ... )
    >>> model.compile()
    >>> images = np.random.default_rng(0).random((64, 8, 8, 1), "float32")
    >>> history = model.fit(images, verbose=0)
    >>> sampler = keras_rkm.samplers.StandardNormalSampler(latent_dim=3)
    >>> model.generate(2, sampler, seed=0).shape
    TensorShape([2, 8, 8, 1])

    References:
        [1] X. Chen, Y. Duan, R. Houthooft, J. Schulman, I. Sutskever, P. Abbeel, "InfoGAN:
            Interpretable Representation Learning by Information Maximizing Generative Adversarial
            Nets", NeurIPS 2016, arXiv:1606.03657.
    """

    log_names = ("loss", "discriminator_loss", "information_loss")

    def __init__(
        self, encoder, decoder, latent_dim, noise_dim=62, information_weight=1.0, **kwargs
    ):
        check_positive_int("noise_dim", noise_dim)
        check_not_negative("information_weight", information_weight)
        super().__init__(encoder, decoder, latent_dim, **kwargs)
        self.noise_dim = int(noise_dim)
        self.information_weight = information_weight
        self.codes_to_features = self._dense(
            "codes_to_features", self.noise_dim + self.latent_dim, self.feature_dim
        )
        self.logits = self._dense("logits", self.feature_dim, 1)
        self.codes = self._dense("codes", self.feature_dim, self.latent_dim)

    @property
    def _discriminator_layers(self):
        return [self.encoder, self.logits, self.codes]

    @property
    def _default_optimizers(self):
        return tuple(keras.optimizers.Adam(rate, beta_1=0.5) for rate in (1e-3, 2e-4))

    def decode_from_seeds(self, latents, seeds):
        """Returns the images of drawn codes, with a noise that is drawn from the seeds of the rows.

        Args:
            latents: `(batch, latent_dim)`, the codes.
            seeds: Ints `(batch,)`, a negative one for fresh entropy.
        """
        return self._decode_from_seeds(self._checked_latents(latents), row_keys(seeds))

    @tf.function(autograph=False, reduce_retracing=True)
    def _decode_from_seeds(self, codes, keys):
        noise = normal_rows(keys, self.noise_dim, _NOISE_STREAM)
        return self._images_of_codes(codes, tf.cast(noise, codes.dtype))

    def _latents(self, images, training=False):
        return self.codes(self._encoder_features(images, training))

    def _images(self, latents, training=False):
        noise = tf.zeros([tf.shape(latents)[0], self.noise_dim], latents.dtype)
        return self._images_of_codes(latents, noise, training)

    def _images_of_codes(self, codes, noise, training=False):
        features = self.codes_to_features(tf.concat([noise, codes], axis=-1))
        return self.decoder(features, training=training)

    def _values(self, images, share, noise_seed, training):
        noise_seed, codes_seed = variational.split_seed(noise_seed)
        noise = share.normal(self.noise_dim, noise_seed, self.variable_dtype)
        codes = share.normal(self.latent_dim, codes_seed, self.variable_dtype)
        generated = self._images_of_codes(codes, noise, training)
        generated_features = self._encoder_features(generated, training)
        generated_logits = self.logits(generated_features)
        errors = tf.square(codes - self.codes(generated_features))
        information_loss = 0.5 * share.mean(tf.reduce_sum(errors, axis=-1))
        information = self.information_weight * information_loss
        real_logits = self.logits(self._encoder_features(images, training))
        return {
            "loss": share.mean(tf.nn.softplus(-generated_logits)[:, 0]) + information,
            "discriminator_loss": discriminator_loss(real_logits, generated_logits, share)
            + information,
            "information_loss": information_loss,
        }

    def get_config(self):
        return {
            **super().get_config(),
            "noise_dim": self.noise_dim,
            "information_weight": self.information_weight,
        }
