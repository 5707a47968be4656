"""The variances of the latents while training."""

import os

import numpy as np
import tensorflow as tf

from .axes import at_least_two, latent_moments
from .summary import SummaryCallback


class LatentSpectrum(SummaryCallback):
    """Writes the variances of the latents after every epoch.

    The variances are those along the principal axes of the latents of a few fixed images, in
    descending order, so a scalar keeps its meaning while the basis turns:

        explained_variance/axis_1, axis_2, ...    eigenvalues of the covariance of the latents
        explained_variance_ratio                  their sum over the variance of all features

    The ratio is left out for a model without a basis: its latents are no part of its features.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.
        images: Array `(num_images, height, width, channels)`; some hundreds suffice.
        max_share: Float in (0, 1], the most of the training time so far that this may take; an
            epoch for which there is no time is left out. Defaults to None, no limit.

    Raises:
        ValueError: If there are fewer than two images, or `max_share` is out of range.

    >>> callback = LatentSpectrum("logs", np.zeros((256, 28, 28, 1), "float32"))
    """

    def __init__(
        self, log_dir: str | os.PathLike, images: np.ndarray, *, max_share: float | None = None
    ):
        super().__init__(log_dir, "latents", max_share=max_share)
        self._images = at_least_two(images)

    def _write(self):
        moments = latent_moments(self.model, self._images)
        variances = np.linalg.eigvalsh(moments.covariance)[::-1]
        for number, variance in enumerate(variances, start=1):
            tf.summary.scalar(f"explained_variance/axis_{number}", variance)
        if moments.total_variance is not None:
            total = moments.total_variance
            tf.summary.scalar("explained_variance_ratio", variances.sum() / total if total else 0.0)
