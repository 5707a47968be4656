"""The latents in a plane, while training."""

import os
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf

from keras_rkm import visualization

from .axes import AxisTracker, at_least_two
from .summary import SummaryCallback

_FIRST_SECONDS = 1.2  # CPU time of the first picture, loading Matplotlib


class LatentScatter(SummaryCallback):
    """Draws latents along their first two principal axes, coloured by what is known of the images.

    The picture `latents` has a panel for each of `colorings`; it goes to the run `scatter`. The
    axes are those of `PictureSummary`.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.
        images: Array `(num_images, height, width, channels)` of floats in [0, 1], which the model
            is not trained on; some hundreds suffice.
        colorings: A value for each image, by title, such as a label or factor; at most nine.
            Defaults to None, one panel in one colour.
        kinds: As of `keras_rkm.visualization.scatter_plots`.
        axes: `AxisTracker`, the one of a `PictureSummary` of the same images, so that both number
            the axes alike. Defaults to None, one of its own.
        every: Positive int, epochs between two of them. Defaults to 1.
        max_share: Float in (0, 1], the most of the training time so far that may go into them; an
            epoch for which there is no time is left out. Defaults to None, no limit.

    Raises:
        ValueError: If there are fewer than two images, or `every` or `max_share` is out of range.

    >>> images = np.zeros((256, 28, 28, 1), "float32")
    >>> callback = LatentScatter("logs", images, colorings={"label": np.arange(256) % 10})
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        images: np.ndarray,
        *,
        colorings: Mapping[str, Sequence] | None = None,
        kinds: Mapping[str, str] | None = None,
        axes: AxisTracker | None = None,
        every: int = 1,
        max_share: float | None = None,
    ):
        super().__init__(log_dir, "scatter", every, max_share, _FIRST_SECONDS)
        self._images = at_least_two(images)
        self._colorings, self._kinds = colorings, kinds
        self._axes = axes or AxisTracker()

    def _write(self):
        points = self._axes.update(self.model, self._images).scores[:, :2]
        picture = visualization.scatter_plots(points, self._colorings, kinds=self._kinds)
        tf.summary.image("latents", picture[np.newaxis])
