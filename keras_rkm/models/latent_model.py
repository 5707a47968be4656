"""What models with an encoder, a decoder and latents between them have in common."""

import contextlib
import random

import keras
import numpy as np
import tensorflow as tf

from keras_rkm import _replicas, losses
from keras_rkm.models import distribution, image_checks
from keras_rkm.models.argument_checks import check_choice, check_positive_int, feature_dim_of
from keras_rkm.samplers.drawing import row_seeds

_KERAS_BATCH_SIZE = 32
_EVALUATION_STEP = -1  # No training step has this number, nor its noise.
_DIVERGED = "the loss or its gradient is not finite"
_SKIPPED = "skipped_steps"


class LatentModel(keras.Model):
    """Trains two networks with a few layers between them on a loss of its own.

    A subclass makes its layers in `__init__`, built, and gives

        log_names                                   the names of the values it logs
        _latents(images, training)                  (batch, latent_dim)
        _images(latents, training)                  (batch, *image_shape)
        _values(images, share, noise_seed, training)
                                                    a scalar for each of `log_names`, "loss" among
                                                    them: this replica's share of it

    and, where that is not all, `_step`, `_log`, `_before_fit`, `_unit_range`, `_min_images`,
    `_objective_arguments` and `get_config`.

    Args:
        encoder: `keras.Model` from images to features, `(batch, feature_dim)`.
        decoder: `keras.Model` from features, `(batch, feature_dim)`, to images.
        latent_dim: Positive int, the number of latents.
        seed: Int for the weights of the layers between the networks and for the noise; None draws
            one.
        **kwargs: `name` and the like, for `keras.Model`.

    Raises:
        ValueError: If `latent_dim` is not a positive int, or the networks do not fit together.
    """

    log_names = ("loss",)
    _objective_arguments = "the arguments it is made with"  # for a message
    _unit_range = False  # whether images outside [0, 1] are an error
    _min_images = 1  # in a batch to train on

    def __init__(self, encoder, decoder, latent_dim, seed=None, **kwargs):
        check_positive_int("latent_dim", latent_dim)
        feature_dim = feature_dim_of(encoder, decoder)
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.feature_dim = feature_dim
        self.latent_dim = int(latent_dim)
        self.seed = random.getrandbits(31) if seed is None else seed
        self.nonfinite = "raise"  # until it is compiled
        self._trackers = {name: keras.metrics.Mean(name=name) for name in self.log_names}
        self.built = True  # with the layers that a subclass makes, none of which waits for data

    def _dense(self, name, input_dim, units):
        """A linear layer, built, in full precision: what it makes goes into the loss."""
        layer = keras.layers.Dense(
            units,
            kernel_initializer=keras.initializers.GlorotUniform(seed=self._seed_of(name)),
            # Of the model's own policy, which its file holds; the global one may be another then.
            dtype=self.variable_dtype,
            name=name,
        )
        layer.build((None, input_dim))
        return layer

    def _seed_of(self, name):
        """A seed for the weights of the layer `name`: equal seeds would make layers correlated."""
        return random.Random(f"{self.seed}/{name}").getrandbits(31)

    @property
    def image_shape(self):
        """`(height, width, channels)` of the images."""
        return tuple(self.encoder.input_shape[1:])

    def call(self, images, training=False):
        """Returns the reconstructions of images; the same as `reconstruct`."""
        return self._images(self._latents(images, training), training)

    def encode(self, images):
        """Returns the latents of images, of shape `(batch, latent_dim)`."""
        return self._encode(tf.convert_to_tensor(images))

    def decode(self, latents):
        """Returns the images of latents, of shape `(batch, *image_shape)`."""
        return self._decode(self._checked_latents(latents))

    def _checked_latents(self, latents):
        latents = tf.cast(tf.convert_to_tensor(latents), self.variable_dtype)
        if latents.shape.rank != 2 or latents.shape[-1] != self.latent_dim:
            raise ValueError(
                f"`latents` must have the shape (batch, {self.latent_dim}). "
                f"Received: shape={tuple(latents.shape)}"
            )
        return latents

    def reconstruct(self, images):
        """Returns `decode(encode(images))`."""
        return self._reconstruct(tf.convert_to_tensor(images))

    # As graphs, as in `predict` and in an exported model. Under mixed precision op by op is another
    # computation: it rounds between a convolution, its bias and its activation, to 1e-3 in float16.
    @tf.function(autograph=False, reduce_retracing=True)
    def _encode(self, images):
        return self._latents(images)

    @tf.function(autograph=False, reduce_retracing=True)
    def _decode(self, latents):
        return self._images(latents)

    @tf.function(autograph=False, reduce_retracing=True)
    def _reconstruct(self, images):
        return self._images(self._latents(images))

    def generate(self, num_samples, sampler, seed=None):
        """Draws latents from `sampler` and returns their images.

        Args:
            num_samples: Positive int.
            sampler: Anything with `sample(num_samples, seed=...)` that returns latents, as in
                `keras_rkm.samplers`.
            seed: Int or None.
        """
        latents = sampler.sample(num_samples, seed=seed)
        return self.decode_from_seeds(latents, row_seeds(num_samples, seed))

    def decode_from_seeds(self, latents, seeds):
        """Returns the images of drawn latents, of shape `(batch, *image_shape)`.

        They are those of `decode`, unless the model draws more than its latents for an image. What
        it draws for a row depends on the seed of the row alone.

        Args:
            latents: `(batch, latent_dim)`.
            seeds: Ints `(batch,)`, a negative one for fresh entropy; as of
                `Sampler.sample_from_seeds`.
        """
        return self.decode(latents)

    def compile(self, optimizer="adam", nonfinite="raise", **kwargs):
        """Configures training.

        Args:
            optimizer: Optimizer or its name. Defaults to `"adam"`.
            nonfinite: What a loss or a gradient that is not finite does, which reaches no weight in
                either case. `"raise"`: `fit` ends with a FloatingPointError, and the model is as it
                was after the last good step. `"skip"`: the step is left out and counted in the log
                `skipped_steps`; `fit` ends if it is so for a whole epoch. With loss scaling, as
                under `mixed_float16`, Keras skips such steps itself.
            **kwargs: `run_eagerly`, `steps_per_execution`, `jit_compile`, `auto_scale_loss`, as in
                `keras.Model.compile`.

        Raises:
            ValueError: If a `loss` or metrics are given; the model has its own. If `nonfinite` is
                unknown.
        """
        check_choice("nonfinite", nonfinite, ("raise", "skip"))
        given = {key for key, value in kwargs.items() if value is not None}
        if unusable := given & {"loss", "loss_weights", "metrics", "weighted_metrics"}:
            raise ValueError(
                f"{type(self).__name__} has its own objective and logs, chosen by "
                f"{self._objective_arguments}. Received: {sorted(unusable)}. Leave them out."
            )
        distribution.check_model(self)
        self.nonfinite = nonfinite
        with distribution.scope(self):
            super().compile(optimizer=optimizer, **kwargs)
            if nonfinite == "skip":
                self._skipped_steps = keras.metrics.Sum(name=_SKIPPED)
            distribution.check_compiled(self)
            # All variables exist: Keras would leave it to the first step, inside the compiled
            # function.
            self.optimizer.build(self.trainable_variables)

    def get_compile_config(self):
        if not self.compiled:
            return {}
        return {**self._compile_config.serialize(), "nonfinite": self.nonfinite}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x=None, y=None, batch_size=None, *args, **kwargs):
        """Trains on images, after a look at whether they can work; as `keras.Model.fit`.

        Args:
            x: Array of shape `(num_images, *image_shape)` or a `tf.data.Dataset` of batches
                `images` or `(images, labels)`.
            y: Labels; not used.
            batch_size: As in `keras.Model.fit`.
            *args: As in `keras.Model.fit`.
            **kwargs: As in `keras.Model.fit`.

        Raises:
            ValueError: If the images, or those of `validation_data`, cannot be used, see
                `keras_rkm.models.image_checks`; in a dataset when their batch comes, before it has
                changed a weight. Also if there are no images, or sample weights.
            FloatingPointError: If the loss or a gradient is not finite, see `compile`; with
                `jit_compile=True` after such a step.
        """
        weights = {key for key in ("sample_weight", "class_weight") if kwargs.get(key) is not None}
        if weights:
            self._raise_for_weights(sorted(weights))
        # Of arrays that Keras is to split, the last batch is not known here.
        whole = not kwargs.get("validation_split")
        self._check_images(
            x,
            batch_size=(batch_size or _KERAS_BATCH_SIZE) if whole else None,
            min_images=self._min_images,
        )
        if kwargs.get("validation_data") is not None:
            self._check_images(image_checks.images_of(kwargs["validation_data"]), min_images=1)
        if self.nonfinite == "skip":
            kwargs["callbacks"] = [*_as_list(kwargs.get("callbacks")), _StopOnSkippedEpoch()]
        self._before_fit(x)
        if self.jit_compile:  # XLA leaves out the checks in the graph
            stop = keras.callbacks.LambdaCallback(on_train_batch_end=_check_logs)
            kwargs["callbacks"] = [stop, *_as_list(kwargs.get("callbacks"))]
        args = (x, y, batch_size, *args)
        if distribution.is_distributed(self):
            args, kwargs = (), distribution.fit_arguments(self, *args, **kwargs)
        with self._clear_errors():
            history = super().fit(*args, **kwargs)
        if isinstance(x, image_checks.DATASETS) and not history.history:
            raise ValueError(image_checks.EMPTY)
        return history

    def evaluate(self, x=None, *args, **kwargs):
        """Returns the losses of images, as `keras.Model.evaluate`; checks them as `fit` does.

        What noise there is in the losses is the same in every call.
        """
        # Keras validates by this method too, with what `fit` has checked and an iterator for it.
        args = (x, *args)
        if "_use_cached_eval_dataset" not in kwargs:
            self._check_images(x, min_images=1)
            if distribution.is_distributed(self):
                args, kwargs = (), distribution.evaluate_arguments(self, *args, **kwargs)
        with self._clear_errors():
            return super().evaluate(*args, **kwargs)

    # Keras would give the whole of one batch to each replica.
    def train_on_batch(self, x, *args, **kwargs):
        """Takes a step on a batch of images, as `keras.Model.train_on_batch`."""
        return super().train_on_batch(self._split_batch(x), *args, **kwargs)

    def test_on_batch(self, x, *args, **kwargs):
        """Returns the losses of a batch of images, as `keras.Model.test_on_batch`."""
        return super().test_on_batch(self._split_batch(x), *args, **kwargs)

    def predict_on_batch(self, x):
        """Returns the reconstructions of a batch of images, as `keras.Model.predict_on_batch`."""
        self._refuse_several_workers("predict_on_batch")
        return super().predict_on_batch(self._split_batch(x))

    def predict(self, x, *args, **kwargs):
        """Returns the reconstructions of images, as `keras.Model.predict`.

        Raises:
            ValueError: On several workers, as `predict_on_batch` too.
        """
        self._refuse_several_workers("predict")
        return super().predict(x, *args, **kwargs)

    def _split_batch(self, images):
        if not distribution.is_distributed(self):
            return images
        return distribution.split_batch(self.distribute_strategy, images)

    def _refuse_several_workers(self, method):
        if _replicas.in_multi_worker_mode(self.distribute_strategy):
            raise ValueError(
                f"`{method}` cannot be used on several workers: Keras would give each of them some "
                "of the rows. Use `reconstruct` on the images that this worker is to have."
            )

    def _maybe_symbolic_build(self, *args, **kwargs):
        """Nothing: the model is built. Keras would have the replicas average a batch of images."""

    def _before_fit(self, data):
        """Called once the data of `fit` have been looked at."""

    def _check_images(self, images, **arguments):
        image_checks.check_images(
            images, image_shape=self.image_shape, unit_range=self._unit_range, **arguments
        )

    def _raise_for_weights(self, received):
        raise ValueError(
            f"{type(self).__name__} weighs all images alike. Received: {received}. Leave them out."
        )

    @contextlib.contextmanager
    def _clear_errors(self):
        """Says in a sentence what a check inside the graph found."""
        try:
            yield
        except tf.errors.InvalidArgumentError as error:
            for message in (image_checks.NOT_FINITE, image_checks.OUT_OF_RANGE):
                if message in error.message:
                    raise ValueError(
                        f"{message}, in a batch after training step "
                        f"{self.optimizer.iterations.numpy()}. It has changed no weight."
                    ) from None
            if _DIVERGED in error.message:
                raise FloatingPointError(
                    f"Training diverged: {_DIVERGED}, after training step "
                    f"{self.optimizer.iterations.numpy()}. It has changed no weight. Try a smaller "
                    'learning rate or `clipnorm`, or leave such steps out by `nonfinite="skip"` in '
                    "`compile`."
                ) from error
            raise

    @property
    def metrics(self):
        skipped = [self._skipped_steps] if self.nonfinite == "skip" else []
        return [*self._trackers.values(), *skipped]

    def train_step(self, data):
        images, share, checks = self._checked_images(data)
        # Without it the step counts of the optimizers would go on beside a failed check.
        with tf.control_dependencies(checks):
            to_undo = self._to_undo()
            before = [tf.identity(variable) for variable in to_undo]
            # A function of the step, so that a run that is resumed draws the same noise.
            values = self._step(images, share, self._noise_seed(self.optimizer.iterations))
            values[_SKIPPED] = tf.cast(values[_SKIPPED], values["loss"].dtype)
            values = _replicas.totals(values)
            skipped = tf.minimum(values.pop(_SKIPPED), 1)  # by one replica: by all
            undone = _replicas.assign_if(skipped > 0, to_undo, before)
            if self.nonfinite == "raise":
                with tf.control_dependencies([undone]):
                    tf.debugging.Assert(tf.equal(skipped, 0), [_DIVERGED])
        return self._log(share, values, skipped)

    def _to_undo(self):
        """The variables that a step changes before it is known whether it is to be left out."""
        if self._tries_steps:
            return [*self.weights, *self.optimizer.variables]
        return self.non_trainable_weights

    def test_step(self, data):
        images, share, checks = self._checked_images(data)
        with tf.control_dependencies(checks):
            values = self._values(images, share, self._noise_seed(_EVALUATION_STEP), training=False)
        return self._log(share, _replicas.totals(values))

    def _noise_seed(self, step):
        """The seed of shape (2,) of what is drawn in a step."""
        return tf.stack([self.seed, tf.cast(step, tf.int32)])

    def _checked_images(self, data):
        images, _, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if sample_weight is not None:
            self._raise_for_weights("data with weights")
        share, checks = image_checks.check_batch(
            images, image_shape=self.image_shape, unit_range=self._unit_range
        )
        # Datasets may be float64, as `images / 255` is.
        return tf.cast(images, self.variable_dtype), share, checks

    def _step(self, images, share, noise_seed):
        """Makes a step and returns the values from before it, as `_values` does."""
        variables = self.trainable_variables
        with tf.GradientTape() as tape:
            values = self._values(images, share, noise_seed, training=True)
            loss = self.optimizer.scale_loss(values["loss"])
        skipped = self._apply(values["loss"], tape.gradient(loss, variables), variables)
        return {**values, _SKIPPED: skipped}

    def _apply(self, loss, gradients, variables, skipped=0.0):
        """Has the optimizer take a step, if all is finite; returns how many were skipped, 0 or 1.

        Args:
            loss: Scalar, or several in a tensor.
            gradients: List of tensors, None among them for weights without a gradient.
            variables: List of the weights.
            skipped: 1 if another part of this step was, and so this one is to be; else 0.
        """
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            self.optimizer.apply(gradients, variables)  # It looks at the gradients itself.
            is_finite = tf.reduce_all(tf.math.is_finite(loss))
            return tf.maximum(skipped, tf.where(is_finite, 0.0, 1.0))
        # A sum of squares is finite if all terms are, and one pass over them.
        sums = [tf.nn.l2_loss(g) for g in (loss, *gradients) if g is not None]
        finite = tf.reduce_all(tf.math.is_finite([tf.cast(each, tf.float32) for each in sums]))
        if self._tries_steps:
            # Zeros for a step that is undone again: the Cayley step fails of what is not finite.
            gradients = [g if g is None else tf.where(finite, g, 0) for g in gradients]
            self.optimizer.apply(gradients, variables)
            return tf.maximum(skipped, tf.where(finite, 0.0, 1.0))

        def step():
            self.optimizer.apply(gradients, variables)
            return tf.zeros(())

        return tf.cond(finite & tf.equal(skipped, 0), step, lambda: tf.ones(()))

    @property
    def _tries_steps(self):
        """Whether a step is taken in any case and then undone if it is to be left out.

        The replicas of a strategy, be it one, cannot meet in a branch.
        """
        scales = isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer)
        return tf.distribute.has_strategy() and not scales

    def _log(self, share, values, skipped=None):
        weight = share.weight
        if self.nonfinite == "skip" and skipped is not None:
            self._skipped_steps.update_state(share.of_common(skipped))
            values = {name: _if_skipped(skipped, 0, value) for name, value in values.items()}
            weight = _if_skipped(skipped, 0, weight)
        elif skipped is not None:
            # XLA leaves out the check that ends the training: there the logs have to tell.
            nan = float("nan")
            values = {name: _if_skipped(skipped, nan, value) for name, value in values.items()}
        for name, tracker in self._trackers.items():
            # Weighted, so that a small last batch counts by its images.
            tracker.update_state(values[name], sample_weight=weight)
        logs = self.get_metrics_result()
        if skipped is None:  # of images that it is not trained on
            logs.pop(_SKIPPED, None)
        return _replicas.as_logs(logs)

    def _encoder_features(self, images, training=False):
        """Returns the features, `(batch, feature_dim)`, in full precision."""
        return tf.cast(self.encoder(images, training=training), self.variable_dtype)

    def get_config(self):
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "encoder": serialize(self.encoder),
            "decoder": serialize(self.decoder),
            "latent_dim": self.latent_dim,
            "seed": self.seed,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        networks = {
            key: keras.saving.deserialize_keras_object(config[key], custom_objects=custom_objects)
            for key in ("encoder", "decoder")
        }
        return cls(**{**config, **networks})


class ReconstructingModel(LatentModel):
    """A latent model whose loss has the error of its reconstructions in it.

    Args:
        encoder: As of `LatentModel`.
        decoder: As of `LatentModel`.
        latent_dim: As of `LatentModel`.
        reconstruction_loss: `"binary_crossentropy"` for images in [0, 1], or
            `"mean_squared_error"`; both summed over the pixels of an image.
        **kwargs: As of `LatentModel`.
    """

    log_names = ("loss", "reconstruction_loss")

    def __init__(
        self, encoder, decoder, latent_dim, reconstruction_loss="binary_crossentropy", **kwargs
    ):
        check_choice("reconstruction_loss", reconstruction_loss, losses.RECONSTRUCTION_LOSSES)
        super().__init__(encoder, decoder, latent_dim, **kwargs)
        self.reconstruction_loss = reconstruction_loss

    @property
    def _unit_range(self):
        return self.reconstruction_loss == "binary_crossentropy"

    def _reconstruction_error(self, images, reconstructions):
        """The error of each image, `(batch,)`."""
        return losses.reconstruction_error(images, reconstructions, loss=self.reconstruction_loss)

    def get_config(self):
        return {**super().get_config(), "reconstruction_loss": self.reconstruction_loss}


class LinearLatentModel(ReconstructingModel):
    """A reconstructing model whose decoder gets a linear map of the latents.

    A subclass gives what one of `LatentModel` does, without `_images`.

    Args:
        encoder: As of `ReconstructingModel`.
        decoder: As of `ReconstructingModel`.
        latent_dim: As of `ReconstructingModel`.
        **kwargs: As of `ReconstructingModel`.
    """

    def __init__(self, encoder, decoder, latent_dim, **kwargs):
        super().__init__(encoder, decoder, latent_dim, **kwargs)
        self.latents_to_features = self._dense(
            "latents_to_features", self.latent_dim, self.feature_dim
        )

    def _images(self, latents, training=False):
        return self.decoder(self.latents_to_features(latents), training=training)

    def _reconstruction_loss(self, images, share, latents, training):
        """This replica's share of the error of what is decoded from `latents`, a scalar."""
        return share.mean(self._reconstruction_error(images, self._images(latents, training)))


def _if_skipped(skipped, number, value):
    return tf.where(skipped > 0, tf.constant(number, value.dtype), value)


def _as_list(callbacks):
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks] * bool(callbacks)


def _check_logs(batch, logs):
    for name, value in logs.items():
        if not np.isfinite(value):
            raise FloatingPointError(
                f"Training diverged, or its images are not finite: {name} is {value} in batch "
                f"{batch}. Go on from a model that was saved before."
            )


class _StopOnSkippedEpoch(keras.callbacks.Callback):
    """Ends a training that goes on without taking a step."""

    def on_epoch_begin(self, epoch, logs=None):
        self._num_steps = 0

    def on_train_batch_end(self, batch, logs=None):
        self._num_steps += 1

    def on_epoch_end(self, epoch, logs=None):
        # The log counts those before a checkpoint in mid-epoch too.
        num_steps = self.params["steps"] or self._num_steps
        if num_steps and logs[_SKIPPED] >= num_steps:
            raise FloatingPointError(
                f"Training diverged: all steps of epoch {epoch + 1} were skipped, since a loss or "
                "a gradient was not finite. Go on from a model that was saved before, with a "
                "smaller learning rate."
            )
