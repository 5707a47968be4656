"""The plain auto-encoder."""

import keras

from keras_rkm.models.latent_model import LinearLatentModel


@keras.saving.register_keras_serializable(package="keras_rkm")
class AutoEncoder(LinearLatentModel):
    """Auto-encoder: minimises the error of its reconstructions, and nothing else.

    A baseline for `StiefelRKM` on the same networks: a linear layer leads from the features to the
    latents and another one back, where a StiefelRKM has U' and U.

    Args:
        encoder: `keras.Model` from images to features, `(batch, feature_dim)`.
        decoder: `keras.Model` from features, `(batch, feature_dim)`, to images.
        latent_dim: Positive int, the number of latents.
        reconstruction_loss: `"binary_crossentropy"` for images in [0, 1], or
            `"mean_squared_error"`; both summed over the pixels of an image.
        seed: Int for the weights between the networks; None draws one.
        **kwargs: `name` and the like, for `keras.Model`.

    Input shape: `(batch, height, width, channels)`, as the encoder has it. Output shape: the same
    (the reconstructions).

    Raises:
        ValueError: If an argument is out of range, or the two networks do not fit together.

    >>> model = keras_rkm.models.AutoEncoder(
    ...     keras_rkm.networks.dense_encoder((8, 8, 1), 16, hidden_dims=(32,)),
    ...     keras_rkm.networks.dense_decoder(16, (8, 8, 1), hidden_dims=(32,)),
    ...     latent_dim=3,
    ... )
    >>> model.compile()
    >>> images = np.random.default_rng(0).random((64, 8, 8, 1), "float32")
    >>> history = model.fit(images, verbose=0)
    >>> model.encode(images).shape
    TensorShape([64, 3])
    """

    def __init__(self, encoder, decoder, latent_dim, **kwargs):
        super().__init__(encoder, decoder, latent_dim, **kwargs)
        self.features_to_latents = self._dense(
            "features_to_latents", self.feature_dim, self.latent_dim
        )

    def _latents(self, images, training=False):
        return self.features_to_latents(self._encoder_features(images, training))

    def _values(self, images, share, noise_seed, training):
        error = self._reconstruction_loss(images, share, self._latents(images, training), training)
        return {"loss": error, "reconstruction_loss": error}
