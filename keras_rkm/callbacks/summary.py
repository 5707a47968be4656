"""What the callbacks that write for TensorBoard share."""

import os

import keras
import tensorflow as tf

from .time_share import TimeShare


class SummaryCallback(keras.callbacks.Callback):
    """Opens `log_dir/name` when training begins and closes it at the end.

    A subclass gives `_write()`, which is called after epochs.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.
        name: Str, the sub-folder.
        every: Positive int, epochs between two of them. Defaults to 1.
        max_share: Float in (0, 1], the most of the training time so far that may go into writing:
            an epoch for which there is no time is left out. Defaults to None, no limit.
        first_seconds: Float, what the first time is taken to cost. Defaults to 0.
        num_reserved: Int, how many more have to be affordable. Defaults to 0.

    Raises:
        ValueError: If `every` or `max_share` is out of range.
    """

    def __init__(
        self,
        log_dir: str | os.PathLike,
        name: str,
        every: int = 1,
        max_share: float | None = None,
        first_seconds: float = 0.0,
        num_reserved: int = 0,
    ):
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be a positive int. Received: every={every}.")
        self._every = every
        self._time = TimeShare(max_share, first_seconds=first_seconds, num_reserved=num_reserved)
        self._folder = os.path.join(os.fspath(log_dir), name)
        self._writer = None

    def on_train_begin(self, logs=None):
        self._writer = tf.summary.create_file_writer(self._folder)
        self._time.start()

    def on_epoch_end(self, epoch, logs=None):
        if (epoch + 1) % self._every or not self._time.affords():
            return
        with self._time:
            with self._writer.as_default(step=epoch):
                self._write()
            self._writer.flush()

    def on_train_end(self, logs=None):
        self._writer.close()

    def _write(self):
        raise NotImplementedError
