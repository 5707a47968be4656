"""U while training."""

import os

import numpy as np
import tensorflow as tf

from keras_rkm.manifolds import stiefel

from .summary import SummaryCallback


class BasisSummary(SummaryCallback):
    """Writes the histogram of U, its drift, and how far it has turned since the epoch before.

        basis                   histogram of the entries
        orthonormality_error    ||U'U - I||_F at the end of the epoch
        basis_turn              largest principal angle in radians, from the second epoch on

    `TensorBoard(histogram_freq=1)` writes a histogram of U as well, but of all other weights too.

    Args:
        log_dir: Str or path, the one given to `keras.callbacks.TensorBoard`.

    Raises:
        ValueError: When training begins, if the model has no basis.

    >>> callback = BasisSummary("logs")
    """

    def __init__(self, log_dir: str | os.PathLike):
        super().__init__(log_dir, "basis")
        self._last = None

    def on_train_begin(self, logs=None):
        if not hasattr(self.model, "basis"):
            raise ValueError(
                "BasisSummary takes a model with a basis, a StiefelRKM. Received: a "
                f"{type(self.model).__name__}. Leave the callback out."
            )
        super().on_train_begin(logs)

    def _write(self):
        basis = np.asarray(self.model.basis, "float64")
        tf.summary.histogram("basis", basis)
        error = stiefel.orthonormality_error(tf.constant(basis))
        tf.summary.scalar("orthonormality_error", error)
        if self._last is not None:
            # The cosine loses small angles to rounding; the sine of the rest does not.
            rest = basis - self._last @ (self._last.T @ basis)
            sine = np.linalg.svd(rest, compute_uv=False)[0]
            tf.summary.scalar("basis_turn", np.arcsin(min(sine, 1.0)))
        self._last = basis
