"""Runs the steps of a decoder by TensorFlow, to see what they come to."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from .decoder_steps import Step


def run_steps(steps: Sequence[Step], inputs: np.ndarray) -> list[np.ndarray]:
    """Runs steps as the page does.

    Args:
        steps: `Step`s.
        inputs: `(batch, dim)`.

    Returns:
        What each step gets, and last what the last one gives; float32 arrays `(batch, ...)`.

    Example:

    >>> step = Step("dense", {}, {"kernel": np.ones((2, 1), "float32")})
    >>> run_steps([step], np.array([[1.0, 2.0]]))[-1]
    array([[3.]], dtype=float32)
    """
    values = [tf.cast(inputs, tf.float32)]
    for step in steps:
        values.append(_run(step, values[-1]))
    return [value.numpy() for value in values]


def _run(step: Step, x: tf.Tensor) -> tf.Tensor:
    arrays = {name: tf.cast(array, tf.float32) for name, array in step.arrays.items()}
    options, bias = step.options, arrays.get("bias", 0.0)
    match step.op:
        case "dense":
            return tf.tensordot(x, arrays["kernel"], 1) + bias
        case "conv2d":
            return bias + tf.nn.conv2d(
                x,
                arrays["kernel"],
                options["strides"],
                options["padding"].upper(),
                dilations=options["dilations"],
            )
        case "conv2d_transpose":
            return bias + tf.nn.conv2d_transpose(
                x,
                arrays["kernel"],
                [len(x), *options["shape"]],
                options["strides"],
                options["padding"].upper(),
            )
        case "reshape":
            return tf.reshape(x, [len(x), *options["shape"]])
        case "resize":
            return tf.image.resize(x, options["size"], options["interpolation"])
        case "affine":
            return x * arrays["scale"] + arrays["offset"]
        case "leaky_relu":
            return tf.nn.leaky_relu(x, options["negative_slope"])
    return keras.activations.get(step.op)(x)
