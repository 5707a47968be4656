"""The Stiefel-Restricted Kernel Machine."""

import random

import keras
import numpy as np
import tensorflow as tf

from keras_rkm import _moments, losses
from keras_rkm.layers import FeatureCentering, StiefelProjection
from keras_rkm.manifolds import stiefel
from keras_rkm.models import principal_axes
from keras_rkm.models.argument_checks import check_choice, check_not_negative, feature_dim_of
from keras_rkm.models.image_checks import check_images
from keras_rkm.optimizers import ConstraintRouter

_MODES = ("deterministic", "noisy", "split")
_CENTERINGS = ("none", "batch")
_UPDATES = ("simultaneous", "alternating")
_NOT_FINITE = "Images must be finite. Received: NaN or Inf"


@keras.saving.register_keras_serializable(package="keras_rkm")
class StiefelRKM(keras.Model):
    """Stiefel-Restricted Kernel Machine: an auto-encoder with PCA in its feature space [1].

    Minimises, over the networks and over bases U with orthonormal columns,

        reconstruction_weight * mean L(x, phi(x)) + mean ||(I - UU')(phi(x) - mean)||^2

    for the encoder phi and the decoder psi. The latents of an image are `h = U'(phi(x) - mean)`.
    After `fit`, `fit_principal_axes` makes the columns of U the principal axes of the features.

    Args:
        encoder: `keras.Model` from images to features, `(batch, feature_dim)`.
        decoder: `keras.Model` from features, `(batch, feature_dim)`, to images.
        latent_dim: Positive int, the number of columns of U; at most `feature_dim`.
        reconstruction_weight: Float >= 0, lambda. The authors' `c_accu` is twice that.
        reconstruction_loss: `"binary_crossentropy"` for images in [0, 1], or
            `"mean_squared_error"`; both summed over the pixels of an image.
        reconstruction_mode: What L is, with `z = U h` and `e` normal noise in the span of U:
            `"deterministic"`: l(x, psi(z)); `"noisy"`: l(x, psi(z + e)); `"split"`:
            l(x, psi(z)) + l(psi(z), psi(z + e)). Noise is drawn in training only.
        noise_stddev: Float >= 0, the standard deviation of the noise in units of the latents.
        decoder_centering: `"none"`: the decoder sees `UU' phi(x)`, and the PCA term alone is
            centred. `"batch"`: it sees the centred `UU'(phi(x) - mean)`, as in the authors' code.
            docs/objective.md compares them.
        mean_penalty: Float >= 0, weight of `||U' mean||^2`, which keeps the offset of an uncentred
            decoder small. Defaults to `1.0` for `decoder_centering="none"`, to `0.0` for
            `"batch"`.
        update: `"simultaneous"`: one gradient, then the step of U and that of the networks.
            `"alternating"`: the step of U first, then the networks' with a fresh gradient.
        seed: Int for the start of U and for the noise; None draws one.
        **kwargs: `name` and the like, for `keras.Model`.

    Input shape: `(batch, height, width, channels)`, as the encoder has it. Output shape: the same
    (the reconstructions).

    Raises:
        ValueError: If an argument is out of range, or the two networks do not fit together.

    >>> model = keras_rkm.models.StiefelRKM(
    ...     keras_rkm.networks.dense_encoder((8, 8, 1), 16, hidden_dims=(32,)),
    ...     keras_rkm.networks.dense_decoder(16, (8, 8, 1), hidden_dims=(32,)),
    ...     latent_dim=3,
    ... )
    >>> model.compile()
    >>> images = np.random.default_rng(0).random((64, 8, 8, 1), "float32")
    >>> history = model.fit(images, verbose=0)
    >>> axes = model.fit_principal_axes(images)
    >>> model.encode(images).shape
    TensorShape([64, 3])

    References:
        [1] A. Pandey, M. Fanuel, J. Schreurs, J. A. K. Suykens, "Disentangled Representation
            Learning and Generation with Manifold Optimization", Neural Computation 34(10), 2022,
            arXiv:2006.07046.
    """

    def __init__(
        self,
        encoder,
        decoder,
        latent_dim,
        reconstruction_weight=1.0,
        reconstruction_loss="binary_crossentropy",
        reconstruction_mode="deterministic",
        noise_stddev=1e-3,
        decoder_centering="none",
        mean_penalty=None,
        update="simultaneous",
        seed=None,
        **kwargs,
    ):
        if mean_penalty is None:
            mean_penalty = 1.0 if decoder_centering == "none" else 0.0
        check_choice("reconstruction_loss", reconstruction_loss, losses.RECONSTRUCTION_LOSSES)
        check_choice("reconstruction_mode", reconstruction_mode, _MODES)
        check_choice("decoder_centering", decoder_centering, _CENTERINGS)
        check_choice("update", update, _UPDATES)
        check_not_negative("reconstruction_weight", reconstruction_weight)
        check_not_negative("noise_stddev", noise_stddev)
        check_not_negative("mean_penalty", mean_penalty)
        feature_dim = feature_dim_of(encoder, decoder)

        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.latent_dim = latent_dim
        self.reconstruction_weight = reconstruction_weight
        self.reconstruction_loss = reconstruction_loss
        self.reconstruction_mode = reconstruction_mode
        self.noise_stddev = noise_stddev
        self.decoder_centering = decoder_centering
        self.mean_penalty = mean_penalty
        self.update = update
        self.seed = random.getrandbits(31) if seed is None else seed

        self.centering = FeatureCentering(name="centering")
        self.projection = StiefelProjection(latent_dim, seed=self.seed, name="projection")
        self.centering.build((None, feature_dim))
        self.projection.build((None, feature_dim))
        self._explained_variance = self._add_state("explained_variance", (latent_dim,))
        self._feature_variance = self._add_state("feature_variance", ())
        self._trackers = {
            name: keras.metrics.Mean(name=name)
            for name in ("loss", "reconstruction_loss", "pca_loss", "orthonormality_error")
        }
        self.built = True

    def _add_state(self, name, shape):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer="zeros",
            trainable=False,
            dtype=self.projection.dtype,
            autocast=False,
        )

    @property
    def image_shape(self):
        """`(height, width, channels)` of the images."""
        return tuple(self.encoder.input_shape[1:])

    @property
    def basis(self):
        """U, the variable of shape `(feature_dim, latent_dim)` with orthonormal columns."""
        return self.projection.basis

    @property
    def feature_mean(self):
        """Mean of the features, `(feature_dim,)`: tracked; exact after `fit_principal_axes`."""
        return self.centering.feature_mean

    @property
    def explained_variance(self):
        """Variances of the latents in the order of the axes, `(latent_dim,)`."""
        if not float(self._feature_variance) > 0:
            raise ValueError(
                "The variances of the latents are not known yet. Call "
                "`model.fit_principal_axes(data)` after training."
            )
        return self._explained_variance

    @property
    def explained_variance_ratio(self):
        """Shares of the variance of all features, `(latent_dim,)`."""
        return self.explained_variance / self._feature_variance

    def call(self, images, training=False):
        """Returns the reconstructions of images; the same as `reconstruct`."""
        features, centred = self._features(images, training)
        return self._decode_code(self._code(features, self.projection(centred)))

    def encode(self, images):
        """Returns the latents `U'(phi(x) - mean)` of images, of shape `(batch, latent_dim)`."""
        return self.projection(self._features(images)[1])

    def decode(self, latents):
        """Returns the images of latents, of shape `(batch, *image_shape)`."""
        latents = tf.cast(tf.convert_to_tensor(latents), self.projection.compute_dtype)
        if latents.shape.rank != 2 or latents.shape[-1] != self.latent_dim:
            raise ValueError(
                f"`latents` must have the shape (batch, {self.latent_dim}). "
                f"Received: shape={tuple(latents.shape)}"
            )
        if self.decoder_centering == "none":
            latents = latents + self.projection(self.feature_mean[tf.newaxis])
        return self._decode_code(latents)

    def reconstruct(self, images):
        """Returns `decode(encode(images))`."""
        return self(images)

    def energy(self, images):
        """Returns the objective of each image, `(batch,)`: low where the model knows the image.

        It is `reconstruction_weight * l(x, psi(UU' phi(x))) + ||(I - UU')(phi(x) - mean)||^2`, with
        the mean over the training set.
        """
        images = tf.convert_to_tensor(images)
        reconstruction_errors, pca_errors = self._errors(images, *self._features(images))
        return self.reconstruction_weight * reconstruction_errors + pca_errors

    def generate(self, num_samples, sampler, *, seed=None):
        """Draws latents from `sampler` and returns their images.

        Args:
            num_samples: Positive int.
            sampler: Anything with `sample(num_samples, seed=...)` that returns latents, as in
                `keras_rkm.samplers`.
            seed: Int or None.
        """
        return self.decode(sampler.sample(num_samples, seed=seed))

    def compile(self, optimizer="adam", basis_optimizer=None, **kwargs):
        """Configures training.

        Args:
            optimizer: Optimizer of the networks, or its name. Defaults to `"adam"`.
            basis_optimizer: Optimizer of U. Defaults to `CayleyAdam()`, whose learning rate is
                1e-2; docs/objective.md says why U wants another one than the networks.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`, as in
                `keras.Model.compile`.

        Raises:
            ValueError: If a `loss` or metrics are given; the model has its own.
        """
        given = {key for key, value in kwargs.items() if value is not None}
        if unusable := given & {"loss", "loss_weights", "metrics", "weighted_metrics"}:
            raise ValueError(
                "StiefelRKM has its own objective and logs, chosen by `reconstruction_loss`, "
                f"`reconstruction_mode` and `reconstruction_weight`. Received: {sorted(unusable)}"
            )
        if not isinstance(optimizer, ConstraintRouter):
            optimizer = ConstraintRouter(optimizer, basis_optimizer)
        elif basis_optimizer is not None:
            raise ValueError(
                "`optimizer` is a ConstraintRouter, which has an optimizer for U already. "
                f"Received also: basis_optimizer={basis_optimizer}"
            )
        super().compile(optimizer=optimizer, **kwargs)
        # All variables exist: Keras would leave it to the first step, inside the compiled function.
        self.optimizer.build(self.trainable_variables)

    def get_compile_config(self):
        return self._compile_config.serialize() if self.compiled else {}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x=None, *args, **kwargs):
        """Trains on images, after a look at whether they can work; as `keras.Model.fit`.

        Args:
            x: Array of shape `(num_images, *image_shape)` or a `tf.data.Dataset` of batches
                `images` or `(images, labels)`; labels are not used.
            *args: As in `keras.Model.fit`.
            **kwargs: As in `keras.Model.fit`.

        Raises:
            ValueError: If the images cannot be trained on, see
                `keras_rkm.models.image_checks.check_images`; or when a later batch holds NaN or
                Inf, before it has changed a weight.
            FloatingPointError: If the gradient of the basis is not finite.
        """
        check_images(
            x,
            image_shape=self.image_shape,
            unit_range=self.reconstruction_loss == "binary_crossentropy",
            batch_size=args[1] if len(args) > 1 else kwargs.get("batch_size"),
        )
        try:
            return super().fit(x, *args, **kwargs)
        except tf.errors.InvalidArgumentError as error:
            if _NOT_FINITE in error.message:
                raise ValueError(
                    f"{_NOT_FINITE}, in the batch of training step "
                    f"{int(self.optimizer.iterations) + 1}. The model is as it was before that "
                    "step."
                ) from None
            if "not invertible" in error.message:  # what a NaN in the gradient of U comes to
                raise FloatingPointError(
                    "Training diverged: the gradient of the basis is not finite. Try a smaller "
                    "learning rate or `clipnorm`, from a model that was saved before."
                ) from error
            raise

    def fit_principal_axes(self, data, method="rotate", *, batch_size=256):
        """Makes the columns of U the principal axes of the features, in one pass over `data`.

        It also replaces the tracked `feature_mean` by the exact one. Takes O(feature_dim^2) memory
        however many images there are; the sums are float64.

        Args:
            data: Array of images, or a `tf.data.Dataset` of batches `images` or
                `(images, labels)`: usually the training set.
            method: `"rotate"` turns U inside its span, which leaves every reconstruction as it was.
                `"recompute"` replaces U by the leading eigenvectors of the feature covariance, as
                in the authors' code, which can move the span from under the decoder.
            batch_size: Positive int, for arrays.

        Returns:
            A `keras_rkm.models.principal_axes.PrincipalAxes`.

        Raises:
            ValueError: If `method` is unknown or the images cannot be used, as in `fit`.
        """
        check_choice("method", method, ("rotate", "recompute"))
        check_images(data, image_shape=self.image_shape, unit_range=False)
        moments = _moments.moments(self._feature_batches(data, batch_size))
        covariance = moments.covariance
        leading, leading_variance = principal_axes.leading_eigenvectors(covariance, self.latent_dim)
        angles = principal_axes.principal_angles(self.basis, leading)
        if method == "rotate":
            basis, variance = principal_axes.rotate_to_principal_axes(self.basis, covariance)
        else:
            basis, variance = leading, leading_variance
        self.basis.assign(basis)
        self.centering.set_mean(moments.mean)
        self._explained_variance.assign(variance)
        self._feature_variance.assign(np.trace(covariance))
        return principal_axes.PrincipalAxes(
            num_samples=moments.num_samples,
            explained_variance=variance,
            explained_variance_ratio=variance / np.trace(covariance),
            principal_angles=angles,
            feature_covariance=covariance,
        )

    def _feature_batches(self, data, batch_size):
        if not isinstance(data, tf.data.Dataset):
            data = tf.data.Dataset.from_tensor_slices(data).batch(batch_size)

        @tf.function(reduce_retracing=True)
        def features(images):
            return self._features(images)[0]

        for element in data:
            yield features(_images_of(element)).numpy()

    @property
    def metrics(self):
        return list(self._trackers.values())

    def train_step(self, data):
        images = tf.debugging.check_numerics(_images_of(data), _NOT_FINITE)
        step = self._alternating_step if self.update == "alternating" else self._simultaneous_step
        # Without it the optimizers' step counts would go on beside the failed check.
        with tf.control_dependencies([images]):
            values = step(images)
        return self._log(images, *values)

    def test_step(self, data):
        images = _images_of(data)
        return self._log(images, *self._objective(images, *self._features(images)))

    def _simultaneous_step(self, images):
        """One gradient; then the step of U and the step of the networks."""
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            values = self._objective(images, *self._features(images, True), training=True)
            loss = self.optimizer.scale_loss(values[0])
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return values

    def _alternating_step(self, images):
        """The step of U; then the step of the networks with a fresh gradient at the new U."""
        basis = self.projection.trainable_variables
        networks = [v for v in self.trainable_variables if all(v is not u for u in basis)]
        with tf.GradientTape() as tape:
            # The features do not depend on U: both gradients share them.
            features = self._features(images, True)
            with tape.stop_recording():
                self._basis_step(images, features, basis)
            values = self._objective(images, *features, training=True)
            loss = self.optimizer.scale_loss(values[0])
        if networks:
            self.optimizer.apply(tape.gradient(loss, networks), networks)
        return values

    def _basis_step(self, images, features, basis):
        if not basis:
            return
        with tf.GradientTape() as tape:
            loss = self._objective(images, *features, training=True)[0]
            loss = self.optimizer.scale_loss(loss)
        self.optimizer.apply(tape.gradient(loss, basis), basis)

    def _features(self, images, training=False):
        """Returns phi(x) and phi(x) - mean, both `(batch, feature_dim)`."""
        features = self.encoder(images, training=training)
        features = tf.cast(features, self.projection.compute_dtype)
        return features, self.centering(features, training=training)

    def _code(self, features, latents):
        """What the decoder gets of the features, as coordinates in the basis."""
        return self.projection(features) if self.decoder_centering == "none" else latents

    def _decode_code(self, code, training=False):
        return self.decoder(self.projection.expand(code), training=training)

    def _objective(self, images, features, centred, training=False):
        """Returns the loss, the reconstruction loss and the PCA loss: means over the batch."""
        errors = self._errors(images, features, centred, training)
        reconstruction_loss, pca_loss = map(tf.reduce_mean, errors)
        loss = self.reconstruction_weight * reconstruction_loss + pca_loss
        if self.mean_penalty:
            mean = tf.reduce_mean(features - centred, axis=0, keepdims=True)
            loss += self.mean_penalty * tf.reduce_sum(tf.square(self.projection(mean)))
        return loss, reconstruction_loss, pca_loss

    def _errors(self, images, features, centred, training=False):
        """Returns the reconstruction error and the PCA error of each image, both `(batch,)`."""
        latents = self.projection(centred)
        code = self._code(features, latents)
        return (
            self._reconstruction_errors(images, code, training),
            losses.pca_reconstruction_error(centred, self.projection.expand(latents)),
        )

    def _reconstruction_errors(self, images, code, training):
        def error(targets, reconstructions):
            return losses.reconstruction_error(
                targets, reconstructions, loss=self.reconstruction_loss
            )

        mode = self.reconstruction_mode if training else "deterministic"
        if mode == "deterministic":
            return error(images, self._decode_code(code, training))
        # A function of the step, so that a run that is resumed draws the same noise.
        seed = tf.stack([self.seed, tf.cast(self.optimizer.iterations, tf.int32)])
        noise = tf.random.stateless_normal(tf.shape(code), seed, dtype=code.dtype)
        noise *= self.noise_stddev
        if mode == "noisy":
            return error(images, self._decode_code(code + noise, training))
        # One call on the doubled batch is faster than two, for the networks and for the errors.
        both = self._decode_code(tf.concat([code, code + noise], axis=0), training)
        clean = tf.cast(both[: tf.shape(images)[0]], images.dtype)
        return tf.add(*tf.split(error(tf.concat([images, clean], axis=0), both), 2))

    def _log(self, images, loss, reconstruction_loss, pca_loss):
        values = {
            "loss": loss,
            "reconstruction_loss": reconstruction_loss,
            "pca_loss": pca_loss,
            "orthonormality_error": stiefel.orthonormality_error(self.basis),
        }
        for name, value in values.items():
            # Weighted, so that a small last batch counts by its images.
            self._trackers[name].update_state(value, sample_weight=tf.shape(images)[0])
        return self.get_metrics_result()

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "decoder": serialize(self.decoder),
            "latent_dim": self.latent_dim,
            "reconstruction_weight": self.reconstruction_weight,
            "reconstruction_loss": self.reconstruction_loss,
            "reconstruction_mode": self.reconstruction_mode,
            "noise_stddev": self.noise_stddev,
            "decoder_centering": self.decoder_centering,
            "mean_penalty": self.mean_penalty,
            "update": self.update,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        networks = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
            for key in ("encoder", "decoder")
        }
        return cls(**{**config, **networks})


def _images_of(data):
    images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    return images
