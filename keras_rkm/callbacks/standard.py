"""All that TensorBoard shows of a training, at a bounded cost."""

import os
from collections.abc import Mapping, Sequence

import keras
import numpy as np

from .axes import AxisTracker
from .basis import BasisSummary
from .embedding import EmbeddingProjector
from .pictures import PictureSummary
from .scatter import LatentScatter
from .spectrum import LatentSpectrum

_NUM_IMAGES = 256  # that spectrum and pictures look at
# Parts of `max_share`: each has its own, so that none starves because of the others.
_SPECTRUM, _PICTURES, _SCATTER, _PROJECTOR = 0.15, 0.4, 0.25, 0.2


def summary_callbacks(
    log_dir: str | os.PathLike,
    images: np.ndarray,
    *,
    colorings: Mapping[str, Sequence] | None = None,
    kinds: Mapping[str, str] | None = None,
    max_share: float | None = 0.02,
    profile_steps: tuple[int, int] | None = None,
) -> list[keras.callbacks.Callback]:
    """Keras' own callback for TensorBoard and those of this package for a StiefelRKM.

    They are `keras.callbacks.TensorBoard` with the steps per second, `BasisSummary`,
    `LatentSpectrum`, `PictureSummary`, `LatentScatter` and `EmbeddingProjector`. The last four are
    left out if there is a single image.

    Args:
        log_dir: Str or path.
        images: uint8 array `(num_images, height, width, channels)` that the model is not trained
            on; the first 256 are looked at, and the first 1,000 are in the projector.
        colorings: A value for each image, by title, such as a label or factor.
        kinds: As of `keras_rkm.visualization.scatter_plots`.
        max_share: Float in (0, 1], the most of the training time so far that the last four may
            take together: epochs for which there is no time are left out. None for no limit.
            Defaults to 0.02.
        profile_steps: First and last step to profile, counted from 1 in this call of `fit`.
            Defaults to None.

    Returns:
        A list of callbacks.

    >>> images = np.zeros((300, 8, 8, 1), "uint8")
    >>> [type(each).__name__ for each in summary_callbacks("logs", images)][1:]
    ['BasisSummary', 'LatentSpectrum', 'PictureSummary', 'LatentScatter', 'EmbeddingProjector']
    """
    stock = keras.callbacks.TensorBoard(
        log_dir, write_graph=False, write_steps_per_second=True, profile_batch=profile_steps or 0
    )
    found = [stock, BasisSummary(log_dir)]
    if len(images) > 1:
        few = images[:_NUM_IMAGES].astype("float32") / 255
        values = {title: values[:_NUM_IMAGES] for title, values in (colorings or {}).items()}
        axes = AxisTracker()
        metadata = {"index": np.arange(len(images)), **(colorings or {})}

        def part(share):
            return None if max_share is None else share * max_share

        found += [
            LatentSpectrum(log_dir, few, max_share=part(_SPECTRUM)),
            PictureSummary(log_dir, few, axes=axes, max_share=part(_PICTURES)),
            LatentScatter(
                log_dir,
                few,
                colorings=values,
                kinds=kinds,
                axes=axes,
                max_share=part(_SCATTER),
            ),
            EmbeddingProjector(log_dir, images, metadata=metadata, max_share=part(_PROJECTOR)),
        ]
    return found
