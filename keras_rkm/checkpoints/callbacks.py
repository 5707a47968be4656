"""Keras callbacks that save checkpoints while training, and go on from one."""

import time

import keras

from keras_rkm.checkpoints import training_state
from keras_rkm.checkpoints.store import Checkpoint, CheckpointStore
from keras_rkm.checkpoints.training_state import Position


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves checkpoints at the end of epochs, between them, and on demand.

    Put it last, so that what the others write of an epoch is written before its checkpoint. The
    training has a last checkpoint in any case. One that is due at the last step of an epoch is
    saved when the epoch has ended, after its validation: there is no going on in between.

    Args:
        store: `CheckpointStore`.
        every_epochs: Positive int, epochs between two of them. Defaults to 1.
        every_steps: Positive int, steps between two of them, or None.
        every_minutes: Positive float, minutes from any one to the next, or None.
        monitor: Name of the log whose least value makes a checkpoint the best. Defaults to
            `"val_loss"`; nothing is the best where there is no such log.
        resumed_from: `Position` that the training goes on from, or None for the start.

    Raises:
        ValueError: If an interval is not positive; while training, if the number of steps of an
            epoch is not known, or the data end before the epoch.

    To go on in the middle of an epoch, with data that are a function of the step:

    >>> def train(model, data, store, epochs, steps_per_epoch):
    ...     found = store.load()
    ...     at = found.position if found else Position()
    ...     model = found.model if found else model
    ...     model.fit(
    ...         data.batches(16, num_epochs=None, drop_remainder=True, start_step=at.step),
    ...         initial_epoch=at.epoch,
    ...         epochs=epochs,
    ...         steps_per_epoch=steps_per_epoch,
    ...         shuffle=False,
    ...         callbacks=[
    ...             *([ResumeTraining(found)] if found else []),
    ...             SaveCheckpoints(store, every_steps=1000, resumed_from=at),
    ...         ],
    ...     )
    """

    def __init__(
        self,
        store: CheckpointStore,
        *,
        every_epochs: int = 1,
        every_steps: int | None = None,
        every_minutes: float | None = None,
        monitor: str = "val_loss",
        resumed_from: Position | None = None,
    ):
        super().__init__()
        intervals = {"every_epochs": every_epochs}
        intervals |= {"every_steps": every_steps, "every_minutes": every_minutes}
        for name, value in intervals.items():
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` must be positive. Received: {name}={value!r}.")
        self._store = store
        self._every_epochs = every_epochs
        self._every_steps = every_steps
        self._every_minutes = every_minutes
        self._monitor = monitor
        self.position = resumed_from or Position()
        self._requested = False
        self._then_raise = None

    def save_soon(self, then_raise: BaseException | None = None) -> None:
        """Asks for a checkpoint after the step that is going on; a signal handler may call it.

        Args:
            then_raise: Exception that leaves `fit` when it is saved, or None.
        """
        self._then_raise = then_raise
        self._requested = True

    def on_train_begin(self, logs=None):
        self._steps_per_epoch = self.params["steps"]
        if self._steps_per_epoch is None:
            raise ValueError(
                "SaveCheckpoints needs to know when an epoch ends. Received: data of unknown size. "
                "Pass `steps_per_epoch` to `fit`."
            )
        self._saved_step = self.position.step
        self._saved_time = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        # Of the epoch that is gone on with; later ones begin at their first step.
        self._first_step = self.position.epoch_step
        self._step_before = self.position.step - self._first_step
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        epoch_step = min(self._first_step + batch + 1, self._steps_per_epoch)
        self.position = Position(self._step_before + epoch_step, self._epoch, epoch_step, logs)
        if epoch_step == self._steps_per_epoch or self.model.stop_training:
            return
        if self._requested or self._is_due():
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        position = self.position
        if position.epoch_step == self._steps_per_epoch:
            self.position = Position(position.step, epoch + 1, 0, logs)
        elif self.model.stop_training:
            self.position = Position(position.step, epoch, position.epoch_step, logs)
        else:
            raise ValueError(
                f"The data ended in epoch {epoch + 1} after {position.epoch_step} of "
                f"{self._steps_per_epoch} steps. Look for files that were cut off or removed."
            )
        is_last = self.model.stop_training or epoch + 1 == self.params["epochs"]
        is_regular = (epoch + 1) % self._every_epochs == 0
        if is_last or is_regular or self._requested or self._is_due():
            self._save()

    def on_train_end(self, logs=None):
        if self._requested:
            self._save()

    def _is_due(self) -> bool:
        steps, seconds = self._every_steps, 60 * (self._every_minutes or 0)
        if steps and self.position.step // steps > self._saved_step // steps:
            return True
        return bool(seconds) and time.monotonic() - self._saved_time >= seconds

    def _save(self) -> None:
        logs = {name: float(value) for name, value in (self.position.logs or {}).items()}
        position = Position(self.position.step, self.position.epoch, self.position.epoch_step, logs)
        self._store.save(self.model, position, monitored=logs.get(self._monitor))
        self._saved_step, self._saved_time = position.step, time.monotonic()
        self._requested = False
        if self._then_raise is not None:
            raise self._then_raise


class ResumeTraining(keras.callbacks.Callback):
    """Has `fit` go on from a checkpoint, in the middle of an epoch if that is where it is.

    Put it first. When the first epoch has begun it restores the means of the logs so far, which
    Keras has reset, and the generators of random numbers; and it ends that epoch early by the steps
    that were done before. `fit` needs `steps_per_epoch`, `initial_epoch` as the position says, and
    data that begin at its step and do not end with an epoch.

    Not in a checkpoint are the states of other callbacks; and the means of `compile(metrics=...)`,
    which the models of this package do not have, are of the rest of that epoch.

    Args:
        checkpoint: `Checkpoint` of a `CheckpointStore`; `fit` is that of its model.

    `SaveCheckpoints` has an example.
    """

    def __init__(self, checkpoint: Checkpoint):
        super().__init__()
        self._checkpoint = checkpoint
        self._is_first = True
        self._has_stopped = False

    def on_epoch_begin(self, epoch, logs=None):
        if not self._is_first:
            return
        if self._checkpoint.position.epoch_step:
            training_state.restore_metrics(self.model, self._checkpoint.state)
        training_state.restore_shared_generators(self._checkpoint.state)

    def on_train_batch_end(self, batch, logs=None):
        done = self._checkpoint.position.epoch_step
        is_whole = done and done + batch + 1 >= self.params["steps"]
        if self._is_first and is_whole and not self.model.stop_training:
            # It ends the loop over the steps, and after the validation that over the epochs.
            self.model.stop_training = self._has_stopped = True

    def on_epoch_end(self, epoch, logs=None):
        if self._has_stopped:  # and no other callback, which would mean it
            self.model.stop_training = self._has_stopped = False
        self._is_first = False
