"""How far reconstructions are from their images."""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from .feature_extraction import image_batches
from .reports import Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReconstructionReport(Report):
    """What `reconstruction_error` returns.

    Attributes:
        squared_error: Float, the squared error summed over an image, mean over images.
        mean_squared_error: Float, the same per value of a pixel.
        unexplained_variance: Float, the squared error over that of the mean image; 1 for a model
            that reconstructs the mean image whatever it sees, or None if the images are all equal.
        num_samples: Int, the number of images.
        num_values: Int, the values in one.
    """

    squared_error: float
    mean_squared_error: float
    unexplained_variance: float | None
    num_samples: int
    num_values: int

    metric: ClassVar[str] = "reconstruction_error"
    directions: ClassVar[dict[str, str]] = {
        "squared_error": "lower is better",
        "mean_squared_error": "lower is better",
        "unexplained_variance": "lower is better",
    }


def reconstruction_error(
    images, reconstruct: Callable, *, batch_size: int = 256
) -> ReconstructionReport:
    """Measures the squared error of reconstructions, in one pass.

    Args:
        images: As for `extract_features`.
        reconstruct: Callable from float32 images in [0, 1] to reconstructions of the same shape,
            such as `model.reconstruct`.
        batch_size: Positive int, for arrays. Defaults to 256.

    Returns:
        A `ReconstructionReport`.

    Raises:
        ValueError: If images are of another shape or type, or reconstructions have another shape or
            are not finite.

    Example:

    >>> images = np.random.default_rng(0).random((100, 8, 8, 1))
    >>> report = keras_rkm.metrics.reconstruction_error(images, lambda batch: batch + 0.5)
    >>> round(report.squared_error, 3), round(report.mean_squared_error, 3)
    (16.0, 0.25)
    """
    count, squares, total, total_squares = 0, 0.0, 0.0, 0.0
    for batch in image_batches(images, batch_size=batch_size):
        batch = np.asarray(batch)
        reconstructions = np.asarray(reconstruct(batch), np.float64)
        if reconstructions.shape != batch.shape or not np.isfinite(reconstructions).all():
            raise ValueError(
                "`reconstruct` must return finite images of the shape that it gets. Received: "
                f"shape={reconstructions.shape} for {batch.shape}, "
                f"{np.sum(~np.isfinite(reconstructions))} values that are not finite."
            )
        count += len(batch)
        squares += np.sum(np.square(reconstructions - batch))
        total = total + batch.sum(axis=0, dtype=np.float64)
        total_squares += np.sum(np.square(batch, dtype=np.float64))
    # Of the mean image: what is left of it by cancellation is good to about 1e-15 of the squares.
    variance = total_squares - np.sum(np.square(total)) / count
    return ReconstructionReport(
        squared_error=float(squares / count),
        mean_squared_error=float(squares / count / total.size),
        unexplained_variance=(
            float(squares / variance) if variance > 1e-9 * total_squares else None
        ),
        num_samples=count,
        num_values=total.size,
    )
