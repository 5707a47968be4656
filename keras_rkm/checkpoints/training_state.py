"""What a training needs beside its model to go on: where it is, running means, random numbers."""

import base64
import dataclasses
import random

import keras
import numpy as np
from keras.src.backend.common import global_state
from keras.src.random.seed_generator import GLOBAL_SEED_GENERATOR

_SEED_GENERATOR_STATE = "seed_generator_state"  # how Keras names the variable


@dataclasses.dataclass(frozen=True)
class Position:
    """Where a training is.

    Args:
        step: Int, training steps that are done.
        epoch: Int, epochs that are done.
        epoch_step: Int, steps that are done of the epoch after these.
        logs: The logs of the moment by name.
    """

    step: int = 0
    epoch: int = 0
    epoch_step: int = 0
    logs: dict[str, float] = dataclasses.field(default_factory=dict)


def capture(model: keras.Model) -> dict:
    """What `.keras` files leave out, as JSON can hold it.

    That is the states of the seed generators of the layers, of the metrics, and of the generators
    of random numbers of Python, NumPy and Keras that the whole process shares.

    Args:
        model: Compiled model.
    """
    version, words, gauss = random.getstate()
    kind, keys, *rest = np.random.get_state()
    shared = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
    return {
        "seed_generators": [_encode(variable) for variable in _seed_states(model)],
        "metrics": [_encode(_sum_of(model, variable)) for variable in _metric_states(model)],
        "python": [version, _encode(np.array(words, "uint32")), gauss],
        "numpy": [kind, _encode(keys), *rest],
        "keras": None if shared is None else _encode(shared.state),
    }


def restore_seed_generators(model: keras.Model, state: dict) -> None:
    """Gives the seed generators of the layers the states of `capture`.

    Raises:
        ValueError: If the model has others.
    """
    variables, values = _seed_states(model), state["seed_generators"]
    if len(variables) != len(values):
        raise ValueError(
            f"The model must have the seed generators of the checkpoint. Received: "
            f"{len(variables)} of them where the checkpoint has {len(values)}."
        )
    _assign(variables, values)


def restore_metrics(model: keras.Model, state: dict) -> None:
    """Gives the metrics the states of `capture`; Keras resets them when an epoch begins.

    Those of `compile(metrics=...)`, which come last, are left out: Keras makes their variables in
    the first step after that.
    """
    for variable, value in zip(_metric_states(model), state["metrics"], strict=False):
        share = _decode(value) / model.distribute_strategy.num_replicas_in_sync
        for copy in _copies(model, variable):
            copy.assign(share.astype(value["dtype"]))


def restore_shared_generators(state: dict) -> None:
    """Gives the generators that the whole process shares the states of `capture`."""
    version, words, gauss = state["python"]
    random.setstate((version, tuple(_decode(words).tolist()), gauss))
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, _decode(keys), *rest))
    if state["keras"] is not None:
        shared = global_state.get_global_attribute(GLOBAL_SEED_GENERATOR)
        if shared is None:
            shared = keras.random.SeedGenerator(0)
            global_state.set_global_attribute(GLOBAL_SEED_GENERATOR, shared)
        shared.state.assign(_decode(state["keras"]))


def _seed_states(model):
    return [v for v in model.variables if v.name == _SEED_GENERATOR_STATE]


def _metric_states(model):
    return [variable for metric in model.metrics for variable in metric.variables]


def _sum_of(model, variable):
    """The sum over all replicas of a variable of a metric, as far as this process can know it.

    To read the variable would have all workers add up, and only one of them saves; so the replicas
    of the others are taken to have what its own have, as is true of the models of this package.
    """
    copies = [np.asarray(copy) for copy in _copies(model, variable)]
    num_replicas = model.distribute_strategy.num_replicas_in_sync
    return np.sum(copies, axis=0, dtype=copies[0].dtype) * (num_replicas // len(copies))


def _copies(model, variable):
    return model.distribute_strategy.experimental_local_results(variable.value)


def _assign(variables, values):
    for variable, value in zip(variables, values, strict=False):
        variable.assign(_decode(value))


def _encode(array) -> dict:
    array = np.asarray(array)
    data = base64.b64encode(array.tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": array.shape, "data": data}


def _decode(value: dict) -> np.ndarray:
    data = base64.b64decode(value["data"])
    return np.frombuffer(data, value["dtype"]).reshape(value["shape"]).copy()
