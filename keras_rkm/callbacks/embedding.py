"""The latents of images in the embedding projector of TensorBoard."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from keras_rkm import visualization
from keras_rkm.metrics.feature_extraction import image_batches

from .summary import SummaryCallback

_FIRST_SECONDS = 1.3  # CPU time of 1,000 points at 64x64


class EmbeddingProjector(SummaryCallback):
    """Keeps the latents of images in the projector, with the images as sprites.

    The projector shows the last ones that were written: while training when there is time for it,
    and in any case at the end. What is written besides is the scalar `num_points`, since
    TensorBoard looks for the projector's files in folders with events only. All files go to the run
    `projector`.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.
        images: Array `(num_images, height, width, channels)`, uint8 or floats in [0, 1], which the
            model is not trained on.
        metadata: A value for each image, by name, such as labels and factors.
        num_points: Positive int, how many of the images are shown at most: the first ones. Defaults
            to 1,000.
        every: Positive int, epochs between two of them. Defaults to 1.
        max_share: Float in (0, 1], the most of the training time so far that may go into them.
            Defaults to None, no limit.

    Raises:
        ValueError: If a number is out of range.

    >>> images = np.zeros((256, 28, 28, 1), "uint8")
    >>> callback = EmbeddingProjector("logs", images, metadata={"label": np.arange(256) % 10})
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        images: np.ndarray,
        *,
        metadata: Mapping[str, Sequence] | None = None,
        num_points: int = 1_000,
        every: int = 1,
        max_share: float | None = None,
    ):
        # One is reserved for the end.
        super().__init__(log_dir, "projector", every, max_share, _FIRST_SECONDS, num_reserved=1)
        if num_points < 1:
            raise ValueError(
                f"`num_points` must be a positive int. Received: num_points={num_points}."
            )
        self._images = images[:num_points]
        self._metadata = {name: values[:num_points] for name, values in (metadata or {}).items()}
        self._epoch = self._written = -1

    def on_train_begin(self, logs=None):
        super().on_train_begin(logs)
        self._epoch = self._written = -1  # of this training; the one before may have had as many

    def on_epoch_end(self, epoch, logs=None):
        self._epoch = epoch
        super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs=None):
        if self._epoch != self._written:
            with self._writer.as_default(step=self._epoch):
                self._write()
        super().on_train_end(logs)

    def _write(self):
        latents = [np.asarray(self.model.encode(batch)) for batch in image_batches(self._images)]
        images = self._images
        if images.dtype != np.uint8:
            images = visualization.pixels(images)
        visualization.write_projector(self._folder, np.concatenate(latents), images, self._metadata)
        tf.summary.scalar("num_points", len(images))
        self._written = self._epoch
