"""Stiefel-Restricted Kernel Machines for Keras 3 on TensorFlow.

An auto-encoder whose feature space carries a PCA term; the basis of the principal subspace is a
point of the Stiefel manifold and is trained there, together with the networks.
"""

import os
import sys

from keras_rkm._version import __version__

_BACKEND = "tensorflow"


def _select_backend():
    """Has Keras run on TensorFlow, or says why it cannot.

    An environment variable set before the first import of Keras outranks keras.json. Once Keras is
    loaded its backend is settled, whatever the variable says then.
    """
    keras = sys.modules.get("keras")
    if keras is not None:
        backend = keras.config.backend()
        if backend != _BACKEND:
            raise ImportError(
                f"keras_rkm runs on the Keras backend '{_BACKEND}' only, but Keras is already "
                f"imported with the backend '{backend}'. Import keras_rkm before keras, or set the "
                f"environment variable KERAS_BACKEND={_BACKEND}."
            )
        return
    # Keras reads an empty variable as one that is not set.
    backend = os.environ.get("KERAS_BACKEND") or _BACKEND
    if backend != _BACKEND:
        raise ImportError(
            f"keras_rkm runs on the Keras backend '{_BACKEND}' only. Received: "
            f"KERAS_BACKEND={backend} in the environment. Unset it, or set "
            f"KERAS_BACKEND={_BACKEND}."
        )
    os.environ["KERAS_BACKEND"] = _BACKEND


_select_backend()

# All of them, not on demand: `keras.models.load_model` finds a registered class only once its
# module is imported.
from keras_rkm import (
    callbacks,
    checkpoints,
    constraints,
    datasets,
    evaluation,
    explorer,
    export,
    layers,
    losses,
    manifolds,
    metrics,
    models,
    networks,
    optimizers,
    rotations,
    samplers,
    serving,
    visualization,
)
from keras_rkm.loading import load

__all__ = [
    "__version__",
    "callbacks",
    "checkpoints",
    "constraints",
    "datasets",
    "evaluation",
    "explorer",
    "export",
    "layers",
    "load",
    "losses",
    "manifolds",
    "metrics",
    "models",
    "networks",
    "optimizers",
    "rotations",
    "samplers",
    "serving",
    "visualization",
]
