"""A guard against drift off the Stiefel manifold."""

import warnings

import keras
import numpy as np

from keras_rkm import _replicas
from keras_rkm.constraints import is_on_manifold
from keras_rkm.manifolds import stiefel


class CorrectDrift(keras.callbacks.Callback):
    """Puts weights with the `Stiefel` constraint back on the manifold, and says so.

    At the end of each epoch it looks at `||X'X - I||_F` of every such weight X. `CayleyAdam` keeps
    it below 1e-5 in float32; where it exceeds `tolerance` something else has moved X, and X becomes
    the nearest point of the manifold, with a warning. Otherwise no weight is touched.

    Put it before callbacks that save. Under a strategy the copies of all replicas are looked at,
    and all become that of the first one; with several workers all have to have the callback.

    Args:
        tolerance: Positive float, in units of `||X'X - I||_F`. Defaults to 1e-4.

    Attributes:
        num_corrections: Int, how many there were in the last call of `fit`.

    Raises:
        ValueError: If `tolerance` is not positive.

    Warns:
        UserWarning: At a correction; names the weight, the epoch from 1, and both distances.

    >>> callback = CorrectDrift(tolerance=1e-3)
    """

    def __init__(self, tolerance: float = 1e-4):
        super().__init__()
        if not tolerance > 0:
            raise ValueError(f"`tolerance` must be positive. Received: tolerance={tolerance!r}.")
        self.tolerance = tolerance
        self.num_corrections = 0

    def on_train_begin(self, logs=None):
        self.num_corrections = 0

    def on_epoch_end(self, epoch, logs=None):
        for variable in self.model.weights:
            if is_on_manifold(variable):
                self._correct(variable, epoch)

    def _correct(self, variable, epoch):
        strategy = self.model.distribute_strategy
        error = self._drift(strategy, variable)
        if error is None:
            return
        nearest = variable.constraint(variable.numpy())
        variable.assign(_replicas.of_first_worker(strategy, nearest))
        self.num_corrections += 1
        warnings.warn(
            f"{variable.path} had left the Stiefel manifold by the end of epoch {epoch + 1}: "
            f"||X'X - I||_F was {error:.2g}, above {self.tolerance:.2g}. It was projected back, to "
            f"{_error(strategy, variable):.2g}.",
            stacklevel=2,
        )

    def _drift(self, strategy, variable):
        """The error of a weight, if it is too large for any worker, else None."""
        error = _error(strategy, variable)
        # What is not finite has no nearest point; `StopOnNonFinite` tells of it.
        is_off = self.tolerance < error < np.inf
        # The decision of all, since all have to take part in what follows.
        total, num_off = _replicas.total_over_workers(
            strategy, [error if is_off else 0.0, float(is_off)]
        )
        return total / num_off if num_off else None


def _error(strategy, variable):
    """The largest `||X'X - I||_F` of the copies on the devices of this process."""
    copies = [
        np.asarray(copy, "float64") for copy in strategy.experimental_local_results(variable.value)
    ]
    return float(np.max(stiefel.orthonormality_error(np.stack(copies))))
