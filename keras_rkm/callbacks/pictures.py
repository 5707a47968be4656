"""What a model does with images, while it is trained."""

import os

import numpy as np
import tensorflow as tf

from keras_rkm import visualization

from .axes import AxisTracker, LatentAxes, at_least_two
from .summary import SummaryCallback

_FIRST_SECONDS = 0.8  # CPU time of the first pictures at 64x64
_NUM_RECONSTRUCTIONS = 10
_NUM_SAMPLES = 36
_MAX_STRIPS = 16
_STEPS = np.linspace(-3, 3, 9)  # in standard deviations of the latent


class PictureSummary(SummaryCallback):
    """Writes pictures of what the model makes of images: reconstructions, samples, traversals.

        reconstructions             the first ten images over their reconstructions
        samples                     images of latents drawn from a Gaussian that is fitted to those
                                    of `images`; the same noise each time
        traversal/axis_1, ...       images along a principal axis of the latents, from -3 to +3
                                    standard deviations around the mean; at most 16 of them

    The axes are numbered by their variances the first time; later each keeps its number and its
    sign, see `match_axes`, so that a strip shows one and the same axis while U turns. They go to
    the run `pictures`.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.
        images: Array `(num_images, height, width, channels)` of floats in [0, 1], which the model
            is not trained on; some hundreds suffice.
        axes: `AxisTracker` that numbers the axes. Defaults to None, one of its own.
        every: Positive int, epochs between two of them. Defaults to 1.
        max_share: Float in (0, 1], the most of the training time so far that may go into them; an
            epoch for which there is no time is left out. Defaults to None, no limit.
        seed: Int, of the samples. Defaults to 0.

    Raises:
        ValueError: If there are fewer than two images, or `every` or `max_share` is out of range.

    >>> images = np.zeros((256, 28, 28, 1), "float32")
    >>> callback = PictureSummary("logs", images, max_share=0.01)
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        images: np.ndarray,
        *,
        axes: AxisTracker | None = None,
        every: int = 1,
        max_share: float | None = None,
        seed: int = 0,
    ):
        super().__init__(log_dir, "pictures", every, max_share, _FIRST_SECONDS)
        self._images = at_least_two(images)
        self._seed = seed
        self._axes = axes or AxisTracker()

    def _write(self):
        axes = self._axes.update(self.model, self._images)
        pictures = {
            "reconstructions": self._reconstructions(),
            "samples": self._samples(axes),
            **self._strips(axes),
        }
        for tag, picture in pictures.items():
            tf.summary.image(tag, picture[np.newaxis])

    def _decode(self, latents: np.ndarray) -> np.ndarray:
        return visualization.pixels(self.model.decode(latents.astype("float32")))

    def _reconstructions(self) -> np.ndarray:
        images = self._images[:_NUM_RECONSTRUCTIONS]
        found = visualization.pixels(self.model.reconstruct(images))
        return visualization.comparison_grid(visualization.pixels(images), found)

    def _samples(self, axes: LatentAxes) -> np.ndarray:
        # Along the matched axes, so that a sample stays what it is while they turn.
        shape = (_NUM_SAMPLES, len(axes.mean))
        noise = np.random.default_rng(self._seed).standard_normal(shape)
        latents = axes.mean + (noise * np.sqrt(axes.variances)) @ axes.directions.T
        return visualization.image_grid(self._decode(latents))

    def _strips(self, axes: LatentAxes) -> dict[str, np.ndarray]:
        num_axes = min(len(axes.mean), _MAX_STRIPS)
        directions = (axes.directions * np.sqrt(axes.variances)).T[:num_axes]
        latents = axes.mean + _STEPS[:, np.newaxis] * directions[:, np.newaxis]
        images = self._decode(latents.reshape(-1, len(axes.mean)))
        images = images.reshape(num_axes, len(_STEPS), *images.shape[1:])
        strips = {}
        for number, (strip, share) in enumerate(zip(images, axes.shares, strict=False), start=1):
            # As wide in every epoch, so that the strip stays where it is.
            label = f"axis {number}, {100 * share:04.1f} %"
            step_labels = [f"{step:+.3g}" if step else "mean" for step in _STEPS]
            strips[f"traversal/axis_{number}"] = visualization.traversal_grid(
                strip[np.newaxis], labels=[label], step_labels=step_labels
            )
        return strips
