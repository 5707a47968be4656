"""What `train` writes for TensorBoard: while it trains, and of the finished run."""

from collections.abc import Callable

import keras
from absl import flags

from keras_rkm import callbacks, evaluation
from keras_rkm.datasets import Dataset

from . import pictures, train_flags
from .run_folder import RunFolder

FINAL_DIR = "final"


def training_callbacks(
    folder: RunFolder, held_out: Dataset, evaluate_every: int, extractor: Callable | None
) -> list[keras.callbacks.Callback]:
    """The callbacks that the flags ask for; TensorBoard's own one comes first.

    Args:
        folder: `RunFolder`.
        held_out: Images that are not trained on.
        evaluate_every: Int, epochs between measures; 0 for none.
        extractor: Of features, for measures of generated images, or None.
    """
    log_dir = str(folder.tensorboard_dir)
    share = train_flags.SUMMARY_SHARE.value
    colorings, kinds = pictures.colorings(held_out)
    found = callbacks.summary_callbacks(
        log_dir,
        held_out.images if share else held_out.images[:1],
        colorings=colorings,
        kinds=kinds,
        max_share=share if 0 < share < 1 else None,
        profile_steps=_profile_steps(),
    )
    if evaluate_every:
        found.append(
            callbacks.EvaluationSummary(
                log_dir,
                held_out.images,
                **held_out.factor_arguments(),
                extractor=extractor,
                every=evaluate_every,
            )
        )
    return found


def write_final(
    folder: RunFolder, scores: dict[str, float], names: list[str], num_steps: int
) -> None:
    """Writes the finished run: its flags as hyperparameters, its scores, and its pictures.

    Args:
        folder: `RunFolder` with the pictures.
        scores: Floats by name.
        names: Names of PNG files in the folder.
        num_steps: Int, how far the run went.
    """
    values = {name: flags.FLAGS[name].value for name in train_flags.RUN_FLAGS}
    hparams = {
        name: ",".join(value) if isinstance(value, list) else value
        for name, value in values.items()
    }
    pngs = {name.removesuffix(".png"): (folder.path / name).read_bytes() for name in names}
    log_dir = folder.tensorboard_dir / FINAL_DIR
    evaluation.write_trial(log_dir, hparams, scores, pictures=pngs, step=num_steps)


def _profile_steps() -> tuple[int, ...] | None:
    return tuple(map(int, train_flags.PROFILE_STEPS.value or ())) or None
