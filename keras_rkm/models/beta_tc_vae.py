"""The beta-TCVAE."""

import keras
import tensorflow as tf

from keras_rkm.models import variational
from keras_rkm.models.argument_checks import check_not_negative, check_positive_int
from keras_rkm.models.variational_autoencoder import GaussianPosteriorModel


@keras.saving.register_keras_serializable(package="keras_rkm")
class BetaTCVAE(GaussianPosteriorModel):
    """Variational auto-encoder with a weight on the total correlation of its latents [1].

    Minimises, with one draw `z ~ q(z | x)` for each image,

        mean l(x, psi(z)) + I(x; z) + beta * TC(z) + sum_j KL(q(z_j) || N(0, 1))

    where the last three, of which the sum is the divergence of a VAE if `beta` is 1, are the mutual
    information of image and latents, the total correlation, and the divergences of single latents.
    They are estimated from the batch by minibatch-weighted sampling.

    Args:
        encoder: `keras.Model` from images to features, `(batch, feature_dim)`.
        decoder: `keras.Model` from features, `(batch, feature_dim)`, to images.
        latent_dim: Positive int, the number of latents.
        beta: Float >= 0. Defaults to 6.0, that of the paper for dSprites.
        dataset_size: Positive int, the number of images to train on. It shifts each of the three
            terms by a constant, so that of the training nothing depends on it. Defaults to None:
            `fit` takes the length of the array that it gets, and for a dataset it must be given.
        **kwargs: `reconstruction_loss` and `seed`, as of `keras_rkm.models.AutoEncoder`; `name`
            and the like, for `keras.Model`.

    Input shape: `(batch, height, width, channels)`, as the encoder has it. Output shape: the same
    (the reconstructions).

    Raises:
        ValueError: If an argument is out of range, or the two networks do not fit together; in
            `fit`, for a dataset if `dataset_size` is not known.

    >>> model = keras_rkm.models.BetaTCVAE(
    ...     keras_rkm.networks.dense_encoder((8, 8, 1), 16, hidden_dims=(32,)),
    ...     keras_rkm.networks.dense_decoder(16, (8, 8, 1), hidden_dims=(32,)),
    ...     latent_dim=3,
    ... )
    >>> model.compile()
    >>> images = np.random.default_rng(0).random((64, 8, 8, 1), "float32")
    >>> history = model.fit(images, verbose=0)
    >>> sorted(history.history)
    ['dimension_divergence', 'loss', 'mutual_information', 'reconstruction_loss',
     'total_correlation']

    References:
        [1] R. T. Q. Chen, X. Li, R. Grosse, D. Duvenaud, "Isolating Sources of Disentanglement in
            Variational Autoencoders", NeurIPS 2018, arXiv:1802.04942.
    """

    log_names = (
        "loss", "reconstruction_loss", "mutual_information", "total_correlation",
        "dimension_divergence",
    )  # fmt: skip

    def __init__(self, encoder, decoder, latent_dim, beta=6.0, dataset_size=None, **kwargs):
        check_not_negative("beta", beta)
        if dataset_size is not None:
            check_positive_int("dataset_size", dataset_size)
        super().__init__(encoder, decoder, latent_dim, **kwargs)
        self.beta = beta
        self.dataset_size = None if dataset_size is None else int(dataset_size)
        # A variable, so that the compiled function sees what `fit` finds, and a file holds it.
        self._num_images = self.add_weight(
            name="num_images",
            shape=(),
            initializer=keras.initializers.Constant(self.dataset_size or 1),
            trainable=False,
            autocast=False,
        )

    def _before_fit(self, data):
        if self.dataset_size is not None:
            return
        if not hasattr(data, "shape"):
            raise ValueError(
                "`dataset_size` must be given for data other than an array, whose number of images "
                f"is not known. Received: dataset_size=None, data of type {type(data).__name__}. "
                "Make the model with the number of training images."
            )
        self._num_images.assign(len(data))

    def _values(self, images, share, noise_seed, training):
        mean, log_variance = self._moments(images, training)
        latents = variational.sample(mean, log_variance, noise_seed, share)
        reconstruction_loss = self._reconstruction_loss(images, share, latents, training)
        information, total_correlation, dimension_divergence = variational.divergence_parts(
            latents, mean, log_variance, tf.convert_to_tensor(self._num_images), share
        )
        divergence = information + self.beta * total_correlation + dimension_divergence
        return {
            "loss": reconstruction_loss + divergence,
            "reconstruction_loss": reconstruction_loss,
            "mutual_information": information,
            "total_correlation": total_correlation,
            "dimension_divergence": dimension_divergence,
        }

    def get_config(self):
        return {**super().get_config(), "beta": self.beta, "dataset_size": self.dataset_size}
