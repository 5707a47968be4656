"""A guard against divergence."""

import keras
import numpy as np


class StopOnNonFinite(keras.callbacks.Callback):
    """Ends training with an error as soon as a log or, after an epoch, a weight is not finite.

    Put it first, so that no callback after it, such as one that saves, sees the broken model.
    `keras.callbacks.TerminateOnNaN` ends training too, but as if it had come to its end.

    Raises:
        FloatingPointError: While training; names the epoch and the step in it, from 1.

    >>> callback = StopOnNonFinite()
    """

    def __init__(self):
        super().__init__()
        self._epoch = 0

    def on_epoch_begin(self, epoch, logs=None):
        self._epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        self._check_logs(logs, f"epoch {self._epoch + 1}, step {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        self._check_logs(logs, f"the end of epoch {epoch + 1}")
        for variable in self.model.trainable_variables:
            if not np.isfinite(np.asarray(variable, "float32")).all():
                self._stop(f"a weight, {variable.path}, was not finite", f"epoch {epoch + 1}")

    def _check_logs(self, logs, where):
        for name, value in (logs or {}).items():
            if not np.isfinite(float(value)):
                self._stop(f"`{name}` was {float(value)}", where)

    def _stop(self, what, where):
        raise FloatingPointError(
            f"Training diverged: {what} at {where}. Try a smaller learning rate."
        )
