"""The classifier whose features the Frechet distance and others compare, from its file."""

from collections.abc import Sequence
from pathlib import Path

import keras

from keras_rkm import metrics

from .errors import CommandError


def classifier_features(
    name: str, image_shape: tuple[int, int, int], other_names: Sequence[str] = ()
) -> keras.Model:
    """What the last but one layer of a classifier makes of images.

    Args:
        name: The .keras file.
        image_shape: `(height, width, channels)` that it has to take.
        other_names: What the flag takes beside files, for the message.

    Raises:
        CommandError: If there is no such file, it is no classifier, or it takes other images.
    """
    path = Path(name).expanduser()
    if not path.is_file():
        what = ", ".join(["the .keras file of a classifier", *other_names])
        raise CommandError(
            f"--features must be one of: {what}. Received: {name}, which is no file."
        )
    try:
        features = metrics.penultimate_features(keras.saving.load_model(path, compile=False))
        if len(features.inputs) != 1:
            raise ValueError(f"It takes {len(features.inputs)} inputs, and there are images only.")
    except Exception as error:  # of any kind: Keras, HDF5, zip and JSON each have their own
        raise CommandError(f"--features: '{path}' cannot be used. {error}") from error
    expected = features.input_shape[1:]
    fits = len(expected) == len(image_shape) and all(
        size in (None, actual) for size, actual in zip(expected, image_shape, strict=True)
    )
    if not fits:
        raise CommandError(
            f"--features: '{path}' takes images of the shape {expected}, and those of the run have "
            f"{image_shape}. Train one on images of that size."
        )
    features.protocol = f"penultimate layer of {path.name}"
    return features
