"""The pictures of a trained model, as PNG files in its run folder."""

import numpy as np

from keras_rkm import visualization
from keras_rkm.models import StiefelRKM
from keras_rkm.samplers import Sampler

from .run_folder import RunFolder

_STEPS = np.arange(-3, 3.5, 0.5)  # in standard deviations of the latent
_NUM_RECONSTRUCTIONS = 20
_NUM_SAMPLES = 64


def draw_all(
    run: RunFolder, model: StiefelRKM, sampler: Sampler, images: np.ndarray, *, seed: int
) -> list[str]:
    """Draws every picture of a run.

    Args:
        run: `RunFolder` with a `history.csv`.
        model: `StiefelRKM` after `fit_principal_axes`.
        sampler: Adapted sampler of latents.
        images: Float images `(num_images, height, width, channels)` to reconstruct.
        seed: Int, selects the samples.

    Returns:
        The names of the files.
    """
    pictures = {
        "reconstructions": reconstructions(model, images[:_NUM_RECONSTRUCTIONS]),
        "samples": visualization.image_grid(
            _visible(model.generate(_NUM_SAMPLES, sampler, seed=seed))
        ),
        "traversal": traversal(model),
        "spectrum": visualization.spectrum_plot(_ratio(model)),
    }
    if history := run.read_history():
        pictures["training_curves"] = visualization.training_curves(history)
    for name, picture in pictures.items():
        visualization.save_png(picture, run.path / f"{name}.png")
    return [f"{name}.png" for name in pictures]


def reconstructions(model: StiefelRKM, images: np.ndarray) -> np.ndarray:
    """Images over their reconstructions, `(height, width, 3)` uint8."""
    return visualization.comparison_grid(images, _visible(model.reconstruct(images)))


def traversal(model: StiefelRKM, steps: np.ndarray = _STEPS) -> np.ndarray:
    """One row of images per principal axis, `(height, width, 3)` uint8.

    Args:
        model: `StiefelRKM` after `fit_principal_axes`.
        steps: `(num_steps,)`, how far to go from the mean along the axis, in standard deviations
            of the latent.
    """
    deviations = np.sqrt(np.asarray(model.explained_variance))
    latents = steps[np.newaxis, :, np.newaxis] * np.diag(deviations)[:, np.newaxis]
    images = _visible(model.decode(latents.reshape(-1, model.latent_dim).astype("float32")))
    return visualization.traversal_grid(
        images.reshape(model.latent_dim, len(steps), *model.image_shape),
        labels=[
            f"axis {index}, {share:.1%}".replace("%", " %")
            for index, share in enumerate(_ratio(model), start=1)
        ],
        step_labels=[f"{step:+g}" if step else "mean" for step in steps],
    )


def _ratio(model: StiefelRKM) -> np.ndarray:
    return np.asarray(model.explained_variance_ratio)


def _visible(images) -> np.ndarray:
    return np.clip(np.asarray(images, "float32"), 0, 1)
