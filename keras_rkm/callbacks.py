"""Keras callbacks: what TensorBoard's own one leaves out, and a guard against divergence.

`keras.callbacks.TensorBoard` writes the logs (`orthonormality_error` among them) and the learning
rates of both optimizers. These callbacks write beside it, each a run of its own in a sub-folder of
the same `log_dir`: a folder with two writers is one that TensorBoard reads in part.
"""

import os
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from keras_rkm import evaluation, samplers
from keras_rkm.metrics.feature_extraction import image_batches


class _SummaryCallback(keras.callbacks.Callback):
    """Opens `log_dir/name` when training begins and closes it at the end."""

    def __init__(self, log_dir: str | os.PathLike, name: str, every: int = 1):
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be a positive int. Received: every={every}.")
        self._every = every
        self._folder = os.path.join(os.fspath(log_dir), name)
        self._writer = None

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(self._folder)

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._every:
            return
        with self._writer.as_default(step=epoch):
            self._write()
        self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()

    def _write(self):
        raise NotImplementedError


class LatentSpectrum(_SummaryCallback):
    """Writes the variances of the latents after every epoch.

    The variances are those along the principal axes of the latents of a few fixed images, in
    descending order, so a scalar keeps its meaning while the basis turns:

        explained_variance/axis_1, axis_2, ...    eigenvalues of the covariance of the latents
        explained_variance_ratio                  their sum over the variance of all features

    The ratio is left out for a model without a basis: its latents are no part of its features.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.
        images: Array `(num_images, height, width, channels)`; some hundreds suffice.

    Raises:
        ValueError: If there are fewer than two images.

    >>> callback = LatentSpectrum("logs", np.zeros((256, 28, 28, 1), "float32"))
    """

    def __init__(self, log_dir: str | os.PathLike, images: np.ndarray):
        super().__init__(log_dir, "latents")
        if len(images) < 2:
            raise ValueError(
                f"`images` must be at least two, to have a variance. Received: {len(images)}."
            )
        self._images = images

    def _write(self):
        latents = np.asarray(self.model.encode(self._images), "float64")
        covariance = np.atleast_2d(np.cov(latents, rowvar=False, bias=True))
        variances = np.linalg.eigvalsh(covariance)[::-1]
        for number, variance in enumerate(variances, start=1):
            tf.summary.scalar(f"explained_variance/axis_{number}", variance)
        if hasattr(self.model, "basis"):
            features = np.asarray(self.model.encoder(self._images, training=False), "float64")
            total = features.var(axis=0).sum()
            tf.summary.scalar("explained_variance_ratio", variances.sum() / total if total else 0.0)


class BasisSummary(_SummaryCallback):
    """Writes the histogram of U, and how far U has turned since the epoch before.

        basis               histogram of the entries
        basis_turn          largest principal angle in radians, from the second epoch on

    `TensorBoard(histogram_freq=1)` writes a histogram of U as well, but of all other weights too.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.

    Raises:
        ValueError: When training begins, if the model has no basis.

    >>> callback = BasisSummary("logs")
    """

    def __init__(self, log_dir: str | os.PathLike):
        super().__init__(log_dir, "basis")
        self._last = None

    def on_train_begin(self, logs=None):
        if not hasattr(self.model, "basis"):
            raise ValueError(
                "BasisSummary takes a model with a basis, a StiefelRKM. Received: a "
                f"{type(self.model).__name__}. Leave the callback out."
            )
        super().on_train_begin(logs)

    def _write(self):
        basis = np.asarray(self.model.basis, "float64")
        tf.summary.histogram("basis", basis)
        if self._last is not None:
            # The cosine loses small angles to rounding; the sine of the rest does not.
            rest = basis - self._last @ (self._last.T @ basis)
            sine = np.linalg.svd(rest, compute_uv=False)[0]
            tf.summary.scalar("basis_turn", np.arcsin(min(sine, 1.0)))
        self._last = basis


class EvaluationSummary(_SummaryCallback):
    """Takes measures of held-out images while training, in the principal axes of the moment.

    Writes `group/measure/score` of `keras_rkm.evaluation.evaluate`, and heat maps of how much each
    axis counts for each factor. The preset `"fast"` takes some seconds. With an `extractor`
    generated images are measured as well, of one Gaussian fitted to the latents of `images`.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.
        images: Array `(num_images, height, width, channels)` that the model is not trained on.
        factors: `(num_images, num_factors)`, or None.
        factor_kinds: As of `keras_rkm.metrics.dci`.
        factor_names: Str per factor.
        extractor: Callable from images to features, or None.
        preset: As of `evaluate`. Defaults to `"fast"`.
        every: Positive int, epochs between two evaluations. Defaults to 1.
        seed: Int. Defaults to 0.

    Raises:
        ValueError: If `every` is not positive; as of `evaluate`, after the first epoch.

    >>> dataset = keras_rkm.datasets.load("dsprites_like", num_images=64, image_size=16)
    >>> callback = EvaluationSummary("logs", dataset.images, **dataset.factor_arguments())
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        images: np.ndarray,
        *,
        factors: np.ndarray | None = None,
        factor_kinds=None,
        factor_names=None,
        extractor: Callable | None = None,
        preset: str | evaluation.Preset = "fast",
        every: int = 1,
        seed: int = 0,
    ):
        super().__init__(log_dir, "evaluation", every)
        self._arguments = {
            "images": images,
            "factors": factors,
            "factor_kinds": factor_kinds,
            "factor_names": factor_names,
            "extractor": extractor,
            "preset": preset,
            "seed": seed,
        }

    def _write(self):
        sampler = None
        if self._arguments["extractor"] is not None:
            images = image_batches(self._arguments["images"])
            sampler = samplers.GaussianSampler().adapt(images, transform=self.model.encode)
        found = evaluation.evaluate(
            self.model, sampler=sampler, principal_axes=True, **self._arguments
        )
        evaluation.write_summaries(found)


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends training with an error as soon as a log or, after an epoch, a weight is not finite.

    Put it first, so that no callback after it, such as one that saves, sees the broken model.
    `keras.callbacks.TerminateOnNaN` ends training too, but as if it had come to its end.

    Raises:
        FloatingPointError: While training; names the epoch and the step in it, from 1.

    >>> callback = StopOnNonFinite()
    """

    def __init__(self):
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._check_logs(logs, f"epoch {self._epoch + 1}, step {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        self._check_logs(logs, f"the end of epoch {epoch + 1}")
        for variable in self.model.trainable_variables:
            if not np.isfinite(np.asarray(variable, "float32")).all():
                self._stop(f"a weight, {variable.path}, was not finite", f"epoch {epoch + 1}")

    def _check_logs(self, logs, where):
        for name, value in (logs or {}).items():
            if not np.isfinite(float(value)):
                self._stop(f"`{name}` was {float(value)}", where)

    def _stop(self, what, where):
        raise FloatingPointError(
            f"Training diverged: {what} at {where}. Try a smaller learning rate."
        )
