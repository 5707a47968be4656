"""The step of CayleyAdam against that of Keras' Adam on a variable of the same shape.

    python benchmarks/cayley_step.py [--repeats=15 --steps=1000 --noxla]

Both run inside one compiled loop of many steps, take turns in one process, and get the same
gradient, a fixed random matrix: what is timed is the optimizer and nothing else. Keras' Adam moves
a plain variable, without the constraint. The drift is that of a separate loop with fresh normal
gradients in every step, measured in float64.
"""

import statistics

import _reporting
import keras
import numpy as np
import tensorflow as tf
from absl import app, flags

from keras_rkm import constraints, optimizers

# The most that a step may cost in steps of Keras' Adam, in graph mode with one thread.
_BARS = {(64, 10): 3.0, (256, 10): 3.0, (256, 32): 4.5, (1024, 10): 3.0, (1024, 64): 7.0}

_SHAPES = flags.DEFINE_list(
    "shapes", [f"{rows}x{columns}" for rows, columns in _BARS], "Shapes of the variable, as 64x10."
)
_STEPS = flags.DEFINE_integer("steps", 1_000, "Steps in one timed loop.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 15, "Timed loops of each kind.", lower_bound=1)
_XLA = flags.DEFINE_bool("xla", True, "Time the loop compiled by XLA too.")
_DRIFT_STEPS = flags.DEFINE_integer(
    "drift_steps", 10_000, "Steps before the drift is measured.", lower_bound=1
)
_THREADS = flags.DEFINE_integer("threads", 1, "Threads of TensorFlow; 0: its choice.", 0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the start and of the gradients.")

_HEADER = (
    "shape",
    "loop",
    "Adam us",
    "CayleyAdam us",
    "ratio",
    "quartiles",
    "bar",
    "drift ||U'U - I||_F",
)


def _compiled_loop(optimizer, variable, gradient, *, xla):
    """A function that makes some steps and waits for the last of them."""
    optimizer.build([variable])

    @tf.function(jit_compile=xla)
    def steps(num_steps):
        for _ in tf.range(num_steps):
            optimizer.apply([gradient], [variable])
        return variable.value[0, 0]

    num_steps = tf.constant(_STEPS.value)
    # Traced here: TensorFlow takes one function per shape for one that is traced again and again.
    traced = steps.get_concrete_function(num_steps)
    return lambda: traced(num_steps).numpy()


def _on_manifold(shape):
    variable = keras.Variable(
        keras.initializers.Orthogonal(seed=_SEED.value), shape=shape, dtype="float32"
    )
    # Not an argument: the constructor takes `constraint`, and drops it without a word.
    variable.constraint = constraints.Stiefel()
    return variable


def _drift(shape):
    """`||U'U - I||_F` in float64 after `--drift_steps` steps along fresh normal gradients."""
    variable, optimizer = _on_manifold(shape), optimizers.CayleyAdam()
    optimizer.build([variable])

    @tf.function
    def steps(num_steps):
        for step in tf.range(num_steps):
            gradient = tf.random.stateless_normal(shape, tf.stack([_SEED.value, step]))
            optimizer.apply([gradient], [variable])

    num_steps = tf.constant(_DRIFT_STEPS.value)
    steps.get_concrete_function(num_steps)(num_steps)
    point = variable.numpy().astype(np.float64)
    return float(np.linalg.norm(point.T @ point - np.eye(shape[1])))


def _rows(shape):
    gradient = tf.random.stateless_normal(shape, [_SEED.value, 0])
    plain = {"initializer": "glorot_uniform", "shape": shape, "dtype": "float32"}
    kinds = {"graph": False, "XLA": True} if _XLA.value else {"graph": False}
    loops = {}
    for kind, xla in kinds.items():
        loops["Adam", kind] = _compiled_loop(
            keras.optimizers.Adam(), keras.Variable(**plain), gradient, xla=xla
        )
        loops["CayleyAdam", kind] = _compiled_loop(
            optimizers.CayleyAdam(), _on_manifold(shape), gradient, xla=xla
        )
    times = _reporting.interleaved_cpu_times(loops, repeats=_REPEATS.value)
    drift = _drift(shape)
    for kind in kinds:
        adam, cayley = times["Adam", kind], times["CayleyAdam", kind]
        microseconds = [1e6 * statistics.median(t) / _STEPS.value for t in (adam, cayley)]
        bar = _BARS.get(shape) if kind == "graph" else None
        yield [
            f"{shape[0]}, {shape[1]}",
            kind,
            *microseconds,
            _reporting.ratio_of_medians(cayley, adam),
            _reporting.spread_of_ratios(cayley, adam),
            f"<= {bar}" if bar else "-",
            drift if kind == "graph" else "-",
        ]


def _parse_shape(text):
    try:
        rows, columns = map(int, text.split("x"))
    except ValueError:
        raise app.UsageError(f"--shapes takes a list like 64x10,256x32, not {text}") from None
    if not 1 <= columns <= rows:
        raise app.UsageError(f"--shapes: {text} must have at least as many rows as columns")
    return rows, columns


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    shapes = [_parse_shape(text) for text in _SHAPES.value]
    _reporting.set_threads(_THREADS.value)
    _reporting.print_setting(
        "CayleyAdam step / Keras Adam step",
        threads=_THREADS.value,
        seeds=_SEED.value,
        timed=f"CPU time, median of {_REPEATS.value} interleaved loops of {_STEPS.value} steps",
        drift=f"after {_DRIFT_STEPS.value} float32 steps, learning rate 1e-2",
    )
    _reporting.print_table(_HEADER, [row for shape in shapes for row in _rows(shape)])


if __name__ == "__main__":
    app.run(main)
