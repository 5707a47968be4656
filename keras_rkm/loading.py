"""From a run folder to the model and the sampler in it; the names of those files stand here."""

import os
from pathlib import Path
from typing import NamedTuple

import keras

from keras_rkm import models
from keras_rkm._keras_files import load_keras_file
from keras_rkm.checkpoints import CheckpointStore
from keras_rkm.samplers import Sampler

MODEL_FILE = "model.keras"
SAMPLER_FILE = "sampler.keras"
CHECKPOINT_DIR = "checkpoints"


class Loaded(NamedTuple):
    """A trained model, and the distribution of its latents if there is one."""

    model: keras.Model
    sampler: Sampler | None


def load(path: str | os.PathLike) -> Loaded:
    """Loads what a training run has left: a model and a sampler that fits its latents.

    Args:
        path: Str or path of a run folder that `keras-rkm train` has written, or of a `.keras` file
            with one of the models of this package.

    A file that comes from a stranger runs no code, and its weights take no more memory than a few
    times what it stores.

    Returns:
        `Loaded(model, sampler)`. The sampler is None for a file, and for a folder without one.

    Raises:
        ValueError: If there is nothing at `path`; if the folder holds no model, or the checkpoint
            of a run that has not ended; if a file is damaged or holds something else.

    Example:

    >>> import tempfile
    >>> model = keras_rkm.models.StiefelRKM(
    ...     keras_rkm.networks.dense_encoder((4, 4, 1), 8, hidden_dims=(8,)),
    ...     keras_rkm.networks.dense_decoder(8, (4, 4, 1), hidden_dims=(8,)),
    ...     latent_dim=2,
    ... )
    >>> with tempfile.TemporaryDirectory() as run:
    ...     model.save(f"{run}/model.keras")
    ...     keras_rkm.samplers.StandardNormalSampler(latent_dim=2).save(f"{run}/sampler.keras")
    ...     model, sampler = load(run)
    >>> model.generate(3, sampler, seed=0).shape
    TensorShape([3, 4, 4, 1])
    """
    path = Path(path).expanduser()
    if not path.is_dir():
        return Loaded(_read(path, _is_model, "one of the models of keras_rkm"), None)
    if not (path / MODEL_FILE).is_file():
        _raise_for_no_model(path)
    sampler_file = path / SAMPLER_FILE
    sampler = load_sampler_file(sampler_file) if sampler_file.exists() else None
    return load(path / MODEL_FILE)._replace(sampler=sampler)


def load_sampler_file(path: str | os.PathLike) -> Sampler:
    """Reads a sampler, with the same errors as `load`.

    Args:
        path: Str or path of a `.keras` file that `Sampler.save` has written.

    Raises:
        ValueError: If there is no such file, or it is damaged or holds something else.
    """
    return _read(Path(path).expanduser(), lambda value: isinstance(value, Sampler), "a sampler")


def _read(path: Path, is_right, kind: str):
    """What a `.keras` file holds, if it is what it should be."""
    if not path.is_file():
        raise ValueError(
            f"`path` must be a run folder or a .keras file. Received: '{path}', which "
            f"{'is a folder' if path.is_dir() else 'does not exist'}. Check the spelling."
        )
    try:
        value = load_keras_file(path)
    except Exception as error:  # of any kind: Keras, HDF5, zip and JSON each have their own
        raise ValueError(
            f"'{path}' cannot be read: it is damaged, of another version, or has layers whose "
            f"module is not imported. {error}"
        ) from error
    if not is_right(value):
        raise ValueError(
            f"'{path}' must hold {kind}. Received: a file with a {type(value).__name__}. "
            "`keras.saving.load_model` reads any file of Keras."
        )
    return value


def _is_model(value) -> bool:
    return isinstance(value, keras.Model) and any(
        base.__module__.startswith(models.__name__) for base in type(value).__mro__
    )


def _raise_for_no_model(folder: Path):
    found = CheckpointStore(folder / CHECKPOINT_DIR).latest()
    if found is None:
        raise ValueError(
            f"`path` must be the folder of a run that has ended. Received: '{folder}', which holds "
            f"neither {MODEL_FILE} nor a checkpoint. Check the spelling."
        )
    checkpoint, step = found
    raise ValueError(
        f"`path` must be the folder of a run that has ended. Received: '{folder}', which holds "
        f"no {MODEL_FILE} yet, only the checkpoint after {step} steps. End the run by `keras-rkm "
        f"train --output_dir={folder} --resume`, or load the checkpoint, whose axes are not in "
        f"order, by `keras_rkm.load('{checkpoint}')`."
    )
