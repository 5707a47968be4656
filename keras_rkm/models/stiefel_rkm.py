"""The Stiefel-Restricted Kernel Machine."""

import functools
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from keras_rkm import _moments, _replicas, losses, rotations
from keras_rkm.layers import FeatureCentering, StiefelProjection
from keras_rkm.manifolds import stiefel
from keras_rkm.models import distribution, image_checks, principal_axes
from keras_rkm.models.argument_checks import check_choice, check_not_negative
from keras_rkm.models.latent_model import ReconstructingModel
from keras_rkm.optimizers import CayleyAdam, ConstraintRouter
from keras_rkm.rotations.rotation import with_fixed_signs

_MODES = ("deterministic", "noisy", "split")
_CENTERINGS = ("none", "batch")
_UPDATES = ("simultaneous", "alternating")
_NUM_SAMPLED_CODES = 10_000  # by which axes are found that no sums tell


class _Objective(NamedTuple):
    """The loss and its parts, scalars: means over the batch."""

    loss: tf.Tensor
    reconstruction_loss: tf.Tensor
    pca_loss: tf.Tensor


class EnergyTerms(NamedTuple):
    """Parts of the energy of each image, unweighted, `(batch,)`; see `StiefelRKM.energy_terms`."""

    reconstruction: tf.Tensor
    pca: tf.Tensor
    floor: tf.Tensor


@keras.saving.register_keras_serializable(package="keras_rkm")
class StiefelRKM(ReconstructingModel):
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
            l(x, psi(z)) + l(psi(z), psi(z + e)), which as a cross-entropy has the entropy of psi
            in it and draws grey pixels to 0 and 1. Noise is drawn in training only.
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

    log_names = (*_Objective._fields, "orthonormality_error")
    _objective_arguments = (
        "`reconstruction_loss`, `reconstruction_mode` and `reconstruction_weight`"
    )
    _min_images = 2  # of a single one nothing is left when it is centred

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
        check_choice("reconstruction_mode", reconstruction_mode, _MODES)
        check_choice("decoder_centering", decoder_centering, _CENTERINGS)
        check_choice("update", update, _UPDATES)
        check_not_negative("reconstruction_weight", reconstruction_weight)
        check_not_negative("noise_stddev", noise_stddev)
        check_not_negative("mean_penalty", mean_penalty)
        super().__init__(encoder, decoder, latent_dim, reconstruction_loss, seed=seed, **kwargs)
        self.reconstruction_weight = reconstruction_weight
        self.reconstruction_mode = reconstruction_mode
        self.noise_stddev = noise_stddev
        self.decoder_centering = decoder_centering
        self.mean_penalty = mean_penalty
        self.update = update
        # Of the model's own policy, which its file holds; the global one may be another by then.
        dtype = self.variable_dtype
        self.centering = FeatureCentering(name="centering", dtype=dtype)
        self.projection = StiefelProjection(
            latent_dim, seed=self.seed, name="projection", dtype=dtype
        )
        self.centering.build((None, self.feature_dim))
        self.projection.build((None, self.feature_dim))
        self._explained_variance = self._add_state("explained_variance", (self.latent_dim,))
        self._feature_variance = self._add_state("feature_variance", ())

    def _add_state(self, name, shape):
        return self.add_weight(
            name=name,
            shape=shape,
            initializer="zeros",
            trainable=False,
            dtype=self.variable_dtype,
            autocast=False,
        )

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
        if not self._feature_variance.numpy() > 0:
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
        features, mean = self._features(images, training)
        return self._decode_code(self._code(features, self.projection(features - mean)))

    def reconstruct(self, images):
        """Returns `decode(encode(images))`."""
        return self.reconstruct_with_terms(images)[0]

    def reconstruct_with_terms(self, images):
        """Returns `reconstruct(images)` and `energy_terms(images)` in one pass."""
        images = tf.cast(images, self.variable_dtype)
        reconstructions, *terms = self._reconstruct_with_terms(images)
        return reconstructions, EnergyTerms(*terms)

    def energy(self, images):
        """Returns the objective of each image, `(batch,)`: low where the model knows the image.

        It is `reconstruction_weight * l(x, psi(UU' phi(x))) + ||(I - UU')(phi(x) - mean)||^2`, with
        the mean over the training set; `mean_penalty` is no matter of a single image.
        """
        terms = self.energy_terms(images)
        return self.reconstruction_weight * terms.reconstruction + terms.pca

    def energy_terms(self, images):
        """Returns the parts of `energy`, to tell what a high one comes from.

        The binary cross-entropy of grey pixels is high even where they are reconstructed perfectly.
        `energy - reconstruction_weight * floor` leaves that out: it compares images of one kind
        with those of another, which the energy does not if one kind has more grey.

        Args:
            images: `(batch, *image_shape)`.

        Returns:
            An `EnergyTerms` of tensors `(batch,)`: `reconstruction`, the reconstruction error;
            `pca`, the squared distance of the centred features from the span of U; `floor`, the
            reconstruction error of a perfect reconstruction, which is zero for the squared error.
        """
        return self.reconstruct_with_terms(images)[1]

    def _latents(self, images, training=False):
        features, mean = self._features(images, training)
        return self.projection(features - mean)

    def _images(self, latents, training=False):
        if self.decoder_centering == "none":
            latents = latents + self.projection(self.feature_mean[tf.newaxis])
        return self._decode_code(latents, training)

    @tf.function(autograph=False, reduce_retracing=True)
    def _reconstruct_with_terms(self, images):
        """Returns the reconstructions, and what `EnergyTerms` holds."""
        features, mean = self._features(images)
        centred = features - mean
        latents = self.projection(centred)
        reconstructions = self._decode_code(self._code(features, latents))
        return (
            reconstructions,
            self._reconstruction_error(images, reconstructions),
            losses.pca_reconstruction_error(centred, self.projection.expand(latents)),
            self._reconstruction_error(images, images),
        )

    def compile(self, optimizer="adam", basis_optimizer=None, **kwargs):
        """Configures training.

        Args:
            optimizer: Optimizer of the networks, or its name. Defaults to `"adam"`.
            basis_optimizer: Optimizer of U. Defaults to `CayleyAdam()`, whose learning rate is
                1e-2; docs/objective.md says why U wants another one than the networks.
            **kwargs: `nonfinite`, `"raise"` or `"skip"`, as of `LatentModel.compile`;
                `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`, as in
                `keras.Model.compile`.

        Raises:
            ValueError: If a `loss` or metrics are given; the model has its own.
        """
        if not isinstance(optimizer, ConstraintRouter):
            with distribution.scope(self):
                optimizer = ConstraintRouter(optimizer, basis_optimizer)
        elif basis_optimizer is not None:
            raise ValueError(
                "`optimizer` is a ConstraintRouter, which has an optimizer for U already. "
                f"Received also: basis_optimizer={basis_optimizer}"
            )
        super().compile(optimizer, **kwargs)

    def _before_fit(self, data):
        # The axes of the last `fit_principal_axes` are no more.
        self._feature_variance.assign(0.0)

    def fit_principal_axes(self, data, method="rotate", *, batch_size=256, seed=0):
        """Chooses the columns of U, by default the principal axes, in one pass over `data`.

        It also replaces the tracked `feature_mean` by the exact one. Takes O(feature_dim^2) memory
        however many images there are; the sums are float64.

        Args:
            data: Array of images, or a `tf.data.Dataset` of batches `images` or
                `(images, labels)`: usually the training set.
            method: All but `"recompute"` turn U inside its span, which leaves every reconstruction
                as it was.
                `"rotate"`: to the principal axes.
                `"ica"`: to the axes along which latents depend on each other the least, see
                `keras_rkm.rotations.ica_rotation`, judged by 10,000 images drawn from all.
                `"joint_diagonalization"`: to the axes along which the decoder changes images in the
                most orthogonal directions, see
                `keras_rkm.rotations.joint_diagonalization_rotation`, at the codes of 256 of these.
                `"recompute"`: U becomes the leading eigenvectors of the feature covariance, as in
                the authors' code, which can move the span from under the decoder.
            batch_size: Positive int, for arrays.
            seed: Int, selects the images that are drawn.

        Returns:
            A `keras_rkm.models.principal_axes.PrincipalAxes`. Its variances are those along the new
            axes; after `"ica"` and `"joint_diagonalization"` the latents may be correlated.

        Raises:
            ValueError: If `method` is unknown, the images cannot be used, as in `fit`, or the axes
                are to be found by a method that needs latents that vary, and they do not.
        """
        check_choice("method", method, (*rotations.METHODS, "recompute"))
        image_checks.check_images(
            data, image_shape=self.image_shape, unit_range=False, min_images=1
        )
        sample = principal_axes.RowSample(_NUM_SAMPLED_CODES, seed)
        strategy = self.distribute_strategy
        moments = _moments.moments(
            self._feature_batches(data, batch_size, sample),
            total=functools.partial(_replicas.total_over_workers, strategy),
        )
        covariance = moments.covariance
        leading, leading_variance = principal_axes.leading_eigenvectors(covariance, self.latent_dim)
        old_basis = self.basis.numpy().astype("float64")
        if method == "recompute":
            basis, variance, notes = leading, leading_variance, ()
        else:
            rotation = self._find_rotation(method, sample.rows, moments, seed)
            basis = with_fixed_signs(old_basis @ rotation.matrix)
            variance, notes = rotation.variances, rotation.notes
        # Other machines may round otherwise.
        self._turn_basis(_replicas.of_first_worker(strategy, basis))
        self.centering.set_mean(moments.mean)
        total = np.trace(covariance)
        self._explained_variance.assign(variance)
        self._feature_variance.assign(total)
        return principal_axes.PrincipalAxes(
            method=method,
            num_samples=moments.num_samples,
            explained_variance=variance,
            explained_variance_ratio=variance / total if total > 0 else np.zeros_like(variance),
            principal_angles=principal_axes.principal_angles(old_basis, leading),
            rotation=old_basis.T @ basis,
            feature_covariance=covariance,
            notes=notes,
        )

    def _find_rotation(self, method, codes, moments, seed):
        """Looks for better axes in the span of U; `codes` are those of the features, `U'phi`."""
        basis = self.basis.numpy().astype("float64")
        if self.decoder_centering == "batch":
            codes = codes - moments.mean @ basis
        return rotations.find_rotation(
            codes,
            method,
            decode=self._decode_code,
            covariance=basis.T @ moments.covariance @ basis,
            dtype=self.projection.compute_dtype,
            seed=seed,
        )

    def _turn_basis(self, basis):
        rotation = self.basis.numpy().T @ basis
        self.basis.assign(basis)
        if self.compiled:
            optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
            # A basis that is frozen has no state to turn.
            if isinstance(optimizer.basis_optimizer, CayleyAdam) and self.projection.trainable:
                optimizer.basis_optimizer.turn(self.basis, rotation)

    def _feature_batches(self, data, batch_size, sample):
        """Yields the features of batches; `sample` sees their codes `U'phi`."""
        if not isinstance(data, tf.data.Dataset):
            data = tf.data.Dataset.from_tensor_slices(data).batch(batch_size)
        elif data.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "The principal axes need one pass over the images. Received: a dataset that "
                "repeats for ever. Leave out `repeat()`, or say how many batches with `take()`."
            )

        strategy = self.distribute_strategy
        if distribution.is_distributed(self):
            data = distribution.split(strategy, data)

        @tf.function(reduce_retracing=True)
        def features_and_codes(images):
            return strategy.run(self._features_and_codes, args=(images,))

        for index, element in enumerate(data):
            features, codes, not_finite = map(
                strategy.experimental_local_results,
                features_and_codes(image_checks.images_of(element)),
            )
            if not_finite[0]:
                raise ValueError(
                    f"The features of batch {index} are not finite. Received: NaN or Inf in its "
                    "images or in the weights of the encoder."
                )
            sample.add(codes[0].numpy())
            for own in features:
                yield own.numpy()

    def _features_and_codes(self, images):
        """Returns the features of a replica, the codes of all, and whether any are not finite."""
        features = self._encoder_features(images)
        not_finite = tf.reduce_any(~tf.math.is_finite(features))
        share, (not_finite,) = _replicas.Share.with_flags(images, not_finite)
        return features, share.gather(self.projection(features)), not_finite

    def _step(self, images, share, noise_seed):
        if self.update == "alternating":
            return self._alternating_step(images, share, noise_seed)
        return super()._step(images, share, noise_seed)

    def _alternating_step(self, images, share, noise_seed):
        """The step of U; then the step of the networks with a fresh gradient at the new U."""
        basis = self.projection.trainable_variables
        networks = [v for v in self.trainable_variables if all(v is not u for u in basis)]
        with tf.GradientTape() as tape:
            # The features do not depend on U: both gradients share them.
            features = self._features(images, True)
            with tape.stop_recording():
                skipped = self._basis_step(images, features, basis, share, noise_seed)
            values = self._objective(images, *features, share, noise_seed)
            loss = self.optimizer.scale_loss(values.loss)
        if networks:
            gradients = tape.gradient(loss, networks)
            skipped = self._apply(values.loss, gradients, networks, skipped)
        return {**values._asdict(), "skipped_steps": skipped}

    def _basis_step(self, images, features, basis, share, noise_seed):
        if not basis:
            return tf.zeros(())
        with tf.GradientTape() as tape:
            values = self._objective(images, *features, share, noise_seed)
            loss = self.optimizer.scale_loss(values.loss)
        return self._apply(values.loss, tape.gradient(loss, basis), basis)

    def _to_undo(self):
        if self.update != "alternating" or self._tries_steps:
            return super()._to_undo()
        # U has taken its step before the networks turn out to have none.
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        of_basis = [*self.projection.trainable_variables, *optimizer.basis_optimizer.variables]
        return [*super()._to_undo(), *of_basis, optimizer.iterations]

    def _features(self, images, training=False):
        """Returns phi(x), `(batch, feature_dim)`, and their mean, `(feature_dim,)`."""
        features = self._encoder_features(images, training)
        return features, self.centering.mean(features, training=training)

    def _code(self, features, latents):
        """What the decoder gets of the features, as coordinates in the basis."""
        return self.projection(features) if self.decoder_centering == "none" else latents

    def _decode_code(self, code, training=False):
        return self.decoder(self.projection.expand(code), training=training)

    def _values(self, images, share, noise_seed, training):
        features = self._features(images, training)
        return self._objective(images, *features, share, noise_seed if training else None)._asdict()

    def _objective(self, images, features, mean, share, noise_seed=None):
        """Returns an `_Objective`; `noise_seed`, of shape (2,), is there in training only."""
        errors = self._errors(images, features, features - mean, share, noise_seed)
        reconstruction_loss, pca_loss = map(share.mean, errors)
        loss = self.reconstruction_weight * reconstruction_loss + pca_loss
        if self.mean_penalty:
            offset = tf.reduce_sum(tf.square(self.projection(mean[tf.newaxis])))
            loss += share.of_common(self.mean_penalty * offset)
        return _Objective(loss, reconstruction_loss, pca_loss)

    def _errors(self, images, features, centred, share, noise_seed=None):
        """Returns the reconstruction error and the PCA error of each image, both `(batch,)`."""
        latents = self.projection(centred)
        code = self._code(features, latents)
        return (
            self._reconstruction_errors(images, code, share, noise_seed),
            losses.pca_reconstruction_error(centred, self.projection.expand(latents)),
        )

    def _reconstruction_errors(self, images, code, share, noise_seed):
        error = self._reconstruction_error
        training = noise_seed is not None
        if self.reconstruction_mode == "deterministic" or not training:
            return error(images, self._decode_code(code, training))
        noise = share.normal(self.latent_dim, noise_seed, code.dtype)
        noisy_code = code + self.noise_stddev * noise
        if self.reconstruction_mode == "noisy":
            return error(images, self._decode_code(noisy_code, training))
        # One call on the doubled batch is faster than two, for the networks and for the errors.
        both = self._decode_code(tf.concat([code, noisy_code], axis=0), training)
        clean = tf.cast(both[: tf.shape(images)[0]], images.dtype)
        return tf.add(*tf.split(error(tf.concat([images, clean], axis=0), both), 2))

    def _log(self, share, values, skipped=None):
        # Of the basis as the step leaves it, which is the same on all replicas.
        error = stiefel.orthonormality_error(self.basis)
        return super()._log(share, {**values, "orthonormality_error": error}, skipped)

    def get_config(self):
        return {
            **super().get_config(),
            "reconstruction_weight": self.reconstruction_weight,
            "reconstruction_mode": self.reconstruction_mode,
            "noise_stddev": self.noise_stddev,
            "decoder_centering": self.decoder_centering,
            "mean_penalty": self.mean_penalty,
            "update": self.update,
            "basis_trainable": self.projection.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        basis_trainable = config.pop("basis_trainable")
        model = super().from_config(config, custom_objects)
        model.projection.trainable = basis_trainable  # before it is compiled
        return model
