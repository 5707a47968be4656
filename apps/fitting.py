"""Training that can break off at any moment and go on as if it had not."""

import contextlib
import os
import time
import warnings
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from keras_rkm import _replicas, callbacks
from keras_rkm.checkpoints import Checkpoint, Position, ResumeTraining, SaveCheckpoints
from keras_rkm.datasets import Dataset
from keras_rkm.models import StiefelRKM

from .errors import CommandError, Terminated, describe
from .run_folder import RunFolder
from .stop_signals import StopSignals
from .strategy import GONE
from .summaries import training_callbacks

_SECONDS_BETWEEN_LOOKS = 1.0


def fit(
    folder: RunFolder,
    model: StiefelRKM,
    train: Dataset,
    held_out: Dataset,
    *,
    batch_size: int,
    num_steps: int,
    seed: int,
    resumed_from: Checkpoint | None = None,
    signals: StopSignals | None = None,
    checkpoint_every: int = 1,
    checkpoint_steps: int | None = None,
    checkpoint_minutes: float | None = None,
    evaluate_every: int = 0,
    extractor: Callable | None = None,
    to_device: Callable[[tf.data.Dataset], tf.data.Dataset] | None = None,
    verbose: int = 1,
    writes: bool = True,
) -> None:
    """Trains up to step `num_steps`, keeping `folder` up to date.

    Args:
        folder: `RunFolder` for the checkpoints, the history and TensorBoard's logs.
        model: Compiled `StiefelRKM`; that of `resumed_from` if there is one.
        train: Images to train on.
        held_out: Images for the logs that begin with `val_`.
        batch_size: Int; an epoch has only full batches, and leaves out other images each time.
        num_steps: Int, the last epoch ends there.
        seed: Int, decides the order of the images.
        resumed_from: `Checkpoint` to go on from, or None.
        signals: `StopSignals`; the training saves and ends after the step in which one comes, or
            with several workers soon after it, whichever of them it comes to.
        checkpoint_every: Int, epochs between checkpoints; the last step has one too.
        checkpoint_steps: Int, steps between further ones, or None.
        checkpoint_minutes: Float, minutes from any one to the next, or None.
        evaluate_every: Int, epochs between measures of held-out images; 0 for none.
        extractor: Of features, for measures of generated images, or None.
        to_device: What the batches to train on go through last, or None.
        verbose: As in `keras.Model.fit`.
        writes: Whether this process keeps the folder; with several workers one of them does.

    Raises:
        CommandError: If it breaks off; says which checkpoint there is.
    """
    steps_per_epoch = train.num_images // batch_size
    start = resumed_from.position if resumed_from else Position()
    checkpoints, records = None, []
    if writes:
        folder.truncate_history(start.epoch)
        checkpoints = SaveCheckpoints(
            folder.store,
            every_epochs=checkpoint_every,
            every_steps=checkpoint_steps,
            every_minutes=checkpoint_minutes,
            resumed_from=start,
        )
        records = [
            *training_callbacks(folder, held_out, evaluate_every, extractor),
            _History(folder.history_file, append=True),
        ]
        if _replicas.in_multi_worker_mode(model.distribute_strategy):
            records.append(_StopOnRequest(folder, checkpoints))
    postponed = contextlib.nullcontext()
    if signals and writes:
        postponed = signals.postponed(checkpoints.save_soon)
    elif signals:
        postponed = _asking_chief(folder, signals)
    batches = train.batches(
        batch_size, seed=seed, drop_remainder=True, num_epochs=None, start_step=start.step
    )
    with explained(folder, checkpoints), postponed, warnings_as_lines("Training"):
        model.fit(
            to_device(batches) if to_device else batches,
            validation_data=held_out.batches(batch_size, shuffle=False),
            initial_epoch=start.epoch,
            epochs=-(-num_steps // steps_per_epoch),
            steps_per_epoch=steps_per_epoch,
            shuffle=False,
            verbose=verbose,
            callbacks=[
                *([ResumeTraining(resumed_from)] if resumed_from else []),
                _StopOnNonFinite(start.epoch_step),
                *records,
                callbacks.CorrectDrift(),
                _LastStep(start.step, num_steps),
                *([checkpoints] if checkpoints else []),
            ],
        )


@contextlib.contextmanager
def explained(folder: RunFolder, checkpoints: SaveCheckpoints | None = None) -> Iterator[None]:
    """Turns what can break off a run into a line that says how to go on.

    Args:
        folder: `RunFolder` of the run.
        checkpoints: The callback that knows the step, while training.

    Raises:
        CommandError: In place of a signal, and of errors of the data, the disk and the numbers.
    """
    try:
        yield
    except GONE:
        raise  # said by `strategy.Devices`
    except KeyboardInterrupt as error:
        message, status = describe(error)
        raise CommandError(f"{message}. {folder.describe_checkpoint()}", status=status) from None
    except (ValueError, FloatingPointError, OSError, MemoryError, tf.errors.OpError) as error:
        message, status = describe(error)
        if isinstance(error, tf.errors.OpError):
            message = f"a batch of images failed: {message}"
        # The batch, the full disk and the callback say where; the model does not know the epoch.
        if checkpoints and isinstance(error, FloatingPointError) and error.__cause__:
            position = checkpoints.position
            message += f" It was at epoch {position.epoch + 1}, step {position.epoch_step + 1}"
        raise CommandError(
            f"{message.rstrip('.')}. {folder.describe_checkpoint()}", status=status
        ) from error


@contextlib.contextmanager
def warnings_as_lines(subject: str) -> Iterator[None]:
    """Prints a warning when it comes, as `subject: what it says`, without where in the code."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = lambda message, *_, **__: print(f"{subject}: {message}", flush=True)
        yield


@contextlib.contextmanager
def _asking_chief(folder: RunFolder, signals: StopSignals) -> Iterator[None]:
    """Has a signal ask the chief, which alone can, to save and to end, as it ends this worker."""
    came = []

    def ask(error):
        try:
            folder.stop_file.touch()
        except OSError:  # It shares no folder with the chief, or may not write.
            raise error from None
        came.append(error)

    with signals.postponed(ask):
        try:
            yield
        except GONE:
            if not came:
                raise
        if came:
            raise came[0]


class _StopOnRequest(keras.callbacks.Callback):
    """Saves and ends the training when another worker asks for it."""

    def __init__(self, folder: RunFolder, checkpoints: SaveCheckpoints):
        super().__init__()
        self._file = folder.stop_file
        self._checkpoints = checkpoints
        self._last_look = 0.0

    def on_train_batch_end(self, batch, logs=None):
        now = time.monotonic()
        if now - self._last_look >= _SECONDS_BETWEEN_LOOKS:
            self._last_look = now
            if self._file.exists():
                self._checkpoints.save_soon(Terminated())


class _StopOnNonFinite(callbacks.StopOnNonFinite):
    """Counts the steps of an epoch that is gone on with from its beginning, for the message."""

    def __init__(self, steps_before: int):
        super().__init__()
        self._steps_before = steps_before

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(self._steps_before + batch, logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        self._steps_before = 0


class _History(keras.callbacks.CSVLogger):
    """Has a row reach the disk before the checkpoint of its epoch does."""

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        os.fsync(self.csv_file.fileno())


class _LastStep(keras.callbacks.Callback):
    """Ends the training at a step, not by the optimizer's count: it omits what loss scaling skips.

    `SaveCheckpoints`, which comes after it, then saves at the end of the epoch that this makes.
    """

    def __init__(self, start_step: int, num_steps: int):
        super().__init__()
        self._step = start_step
        self._num_steps = num_steps

    def on_train_batch_end(self, batch, logs=None):
        self._step += 1
        if self._step >= self._num_steps:
            self.model.stop_training = True
