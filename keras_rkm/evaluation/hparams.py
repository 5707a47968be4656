"""Trials for the HParams dashboard of TensorBoard: what was chosen, and what came out."""

import os
import shutil
from collections.abc import Mapping
from typing import Any

import tensorflow as tf


def write_trial(
    log_dir: str | os.PathLike,
    hparams: Mapping[str, Any],
    scores: Mapping[str, float],
    *,
    pictures: Mapping[str, bytes] | None = None,
    step: int = 0,
) -> None:
    """Writes the settings of one training as hyperparameters, and its scores as scalars.

    TensorBoard compares all trials below the folder that it is given. They may have different
    hyperparameters and scores.

    Args:
        log_dir: Str or path, a folder for this trial alone; one that is there is replaced.
        hparams: By name; None is left out, and what is neither bool, int, float nor str is written
            as text.
        scores: Floats by tag.
        pictures: PNG files by tag, shown beside the scores.
        step: Int, of the scalars. Defaults to 0.
    """
    from tensorboard.plugins.hparams import api, api_pb2, summary

    plain = {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in hparams.items()
        if value is not None
    }
    # A folder with the events of two trials is one that TensorBoard reads in part.
    shutil.rmtree(log_dir, ignore_errors=True)
    writer = tf.summary.create_file_writer(os.fspath(log_dir))
    with writer.as_default(step=step):
        api.hparams(plain)
        for tag, value in scores.items():
            tf.summary.scalar(tag, value)
        for tag, png in (pictures or {}).items():
            tf.summary.image(tag, tf.io.decode_png(png, channels=3)[tf.newaxis])
        end = summary.session_end_pb(api_pb2.STATUS_SUCCESS)
        tf.summary.experimental.write_raw_pb(end.SerializeToString(), step=0)
    writer.close()
