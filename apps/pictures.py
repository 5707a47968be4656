"""The pictures of a trained model, and the PNG files with them in its run folder."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from keras_rkm import visualization
from keras_rkm.datasets import Dataset
from keras_rkm.models import StiefelRKM
from keras_rkm.samplers import Sampler
from keras_rkm.visualization import pixels

from .run_folder import RunFolder

_STEPS = np.arange(-3, 3.5, 0.5)  # in standard deviations of the latent
_NUM_RECONSTRUCTIONS = 20
_NUM_SAMPLES = 64
_NUM_POINTS = 500


class Traversal(NamedTuple):
    """Images along some axes, `(num_axes, num_steps, height, width, channels)` uint8."""

    images: np.ndarray
    labels: Sequence[str]
    step_labels: Sequence[str]


def draw_all(
    run: RunFolder, model: StiefelRKM, sampler: Sampler, held_out: Dataset, *, seed: int
) -> list[str]:
    """Draws every picture of a run.

    Args:
        run: `RunFolder` with a `history.csv`.
        model: `StiefelRKM` after `fit_principal_axes`.
        sampler: Adapted sampler of latents.
        held_out: Images that the model was not trained on, to encode and to reconstruct.
        seed: Int, selects the samples.

    Returns:
        The names of the files.
    """
    some = held_out.subset(np.arange(min(_NUM_POINTS, held_out.num_images)))
    images = some.images.astype("float32") / 255
    pictures = {
        "reconstructions": reconstructions(model, images[:_NUM_RECONSTRUCTIONS]),
        "samples": visualization.image_grid(
            pixels(model.generate(_NUM_SAMPLES, sampler, seed=seed))
        ),
        "traversal": traversal_still(traverse(model)),
        "latents": latents(model, images, *colorings(some)),
        "spectrum": visualization.spectrum_plot(_ratio(model)),
    }
    if history := run.read_history():
        pictures["training_curves"] = visualization.training_curves(history)
    for name, picture in pictures.items():
        visualization.save_png(picture, run.path / f"{name}.png")
    return [f"{name}.png" for name in pictures]


def reconstructions(model: StiefelRKM, images: np.ndarray) -> np.ndarray:
    """Images over their reconstructions, `(height, width, 3)` uint8."""
    return visualization.comparison_grid(images, pixels(model.reconstruct(images)))


def latents(
    model: StiefelRKM,
    images: np.ndarray,
    colors: Mapping[str, np.ndarray],
    kinds: Mapping[str, str],
) -> np.ndarray:
    """The latents of images along the first two axes, `(height, width, 3)` uint8."""
    points = np.asarray(model.encode(images))[:, :2]
    return visualization.scatter_plots(points, colors, kinds=kinds)


def colorings(dataset: Dataset) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """What is known of the images and its kind, by title, as `scatter_plots` takes it."""
    values, kinds = {}, {}
    if dataset.labels is not None:
        values["label"], kinds["label"] = dataset.labels, "categorical"
    for index, factor in enumerate(dataset.factor_info):
        values[factor.name], kinds[factor.name] = dataset.factors[:, index], factor.kind
    return values, kinds


def traverse(
    model: StiefelRKM,
    steps: np.ndarray = _STEPS,
    *,
    axes: Sequence[int] | None = None,
    start: np.ndarray | None = None,
) -> Traversal:
    """The images along the axes: one latent takes several values, the others stay.

    Args:
        model: `StiefelRKM` after `fit_principal_axes`.
        steps: `(num_steps,)`, the values, in standard deviations of the latent.
        axes: Which axes, the first one 1. Defaults to None, all of them in their order.
        start: `(latent_dim,)`, the latents that stay. Defaults to None, the mean, which is zero.
    """
    deviations, shares = np.sqrt(np.asarray(model.explained_variance)), _ratio(model)
    axes = range(1, model.latent_dim + 1) if axes is None else axes
    origin = np.zeros(model.latent_dim) if start is None else np.asarray(start)
    images = []
    for axis in axes:
        latents = np.tile(origin.astype("float32"), (len(steps), 1))
        latents[:, axis - 1] = steps * deviations[axis - 1]
        images.append(pixels(model.decode(latents)))
    middle = "mean" if start is None else "0"
    return Traversal(
        np.stack(images),
        labels=[f"axis {axis}, {shares[axis - 1]:.1%}".replace("%", " %") for axis in axes],
        step_labels=[f"{step:+.3g}" if step else middle for step in steps],
    )


def traversal_still(traversal: Traversal) -> np.ndarray:
    """One row of images per axis, `(height, width, 3)` uint8."""
    return visualization.traversal_grid(
        traversal.images, labels=traversal.labels, step_labels=traversal.step_labels
    )


def traversal_animation(traversal: Traversal) -> np.ndarray:
    """All axes side by side, there and back, `(2 * num_steps - 2, height, width, 3)` uint8."""
    frames = visualization.traversal_frames(
        traversal.images, labels=traversal.labels, step_labels=traversal.step_labels
    )
    return np.concatenate([frames, frames[-2:0:-1]])


def _ratio(model: StiefelRKM) -> np.ndarray:
    return np.asarray(model.explained_variance_ratio)
