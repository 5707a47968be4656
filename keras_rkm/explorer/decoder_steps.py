"""A Keras decoder as a list of plain steps, which a small program can run anywhere."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

# Names that the runtime of the page knows.
_ACTIVATIONS = (
    "elu",
    "exponential",
    "leaky_relu",
    "linear",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
    "tanh",
)
_WITHOUT_EFFECT = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout2D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.ActivityRegularization,
    keras.layers.Identity,
)


class Step(NamedTuple):
    """One operation on `(batch, ...)`.

    Attributes:
        op: Str.
        options: Dict of plain data.
        arrays: Dict of float32 arrays by the name of the argument.
    """

    op: str
    options: dict[str, Any]
    arrays: dict[str, np.ndarray]


def decoder_steps(decoder: keras.Model) -> list[Step]:
    """Turns a decoder into steps.

    Args:
        decoder: Functional or Sequential model, a chain of layers: Dense, Reshape, Flatten, Conv2D,
            Conv2DTranspose, UpSampling2D, BatchNormalization, Rescaling, activations, and those
            that do nothing after training.

    Raises:
        ValueError: If it has another layer or is no chain. The error names the layer.

    Example:

    >>> decoder = keras_rkm.networks.dense_decoder(3, (4, 4, 1), hidden_dims=(8,))
    >>> [step.op for step in decoder_steps(decoder)]
    ['dense', 'leaky_relu', 'dense', 'sigmoid', 'reshape']
    """
    return [step for layer in _chain(decoder) for step in _steps(layer)]


def _chain(model: keras.Model) -> Iterator[keras.layers.Layer]:
    """The layers in their order, those of nested models among them."""
    if not getattr(model, "outputs", None):
        raise _unsupported(model, "it has a `call` of its own")
    tensor = model.inputs[0]
    for layer in model.layers:
        if isinstance(layer, keras.layers.InputLayer):
            continue
        node = _node_from(layer, tensor)
        if node is None or len(node.input_tensors) != 1 or len(node.output_tensors) != 1:
            raise _unsupported(layer, "it does not follow on the layer before it alone")
        tensor = node.output_tensors[0]
        if isinstance(layer, keras.Model):
            yield from _chain(layer)
        else:
            yield layer
    if [tensor is output for output in model.outputs] != [True]:
        raise _unsupported(model, "its output is not that of its last layer alone")


def _node_from(layer, tensor):
    """The call of the layer on a tensor, or None."""
    calls = (node for node in layer._inbound_nodes if any(t is tensor for t in node.input_tensors))
    return next(calls, None)


def _steps(layer: keras.layers.Layer) -> list[Step]:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise _unsupported(layer, "its data_format is channels_first")
    # In the order of their classes: Conv2DTranspose is a Conv2D to Keras by its base alone.
    match layer:
        case keras.layers.Dense():
            return [Step("dense", {}, _weights(layer)), *_activation(layer)]
        case keras.layers.Conv2DTranspose():
            return [_transposed_convolution(layer), *_activation(layer)]
        case keras.layers.Conv2D():
            return [_convolution(layer), *_activation(layer)]
        case keras.layers.Reshape() | keras.layers.Flatten():
            return [Step("reshape", {"shape": list(layer.output.shape[1:])}, {})]
        case keras.layers.UpSampling2D():
            return [_upsampling(layer)]
        case keras.layers.BatchNormalization():
            return [_normalization(layer)]
        case keras.layers.Rescaling():
            scale, offset = (np.asarray(v, "float32") for v in (layer.scale, layer.offset))
            return [Step("affine", {}, {"scale": scale, "offset": offset})]
        case keras.layers.LeakyReLU():
            return [_leaky_relu(layer.negative_slope)]
        case keras.layers.ELU():
            if float(layer.alpha) == 1:
                return [Step("elu", {}, {})]
        case keras.layers.ReLU():
            if not layer.threshold and layer.max_value is None:
                return [_leaky_relu(layer.negative_slope)]
        case keras.layers.Activation():
            return _activation(layer)
    if isinstance(layer, _WITHOUT_EFFECT):
        return []
    raise _unsupported(layer)


def _weights(layer) -> dict[str, np.ndarray]:
    arrays = {"kernel": layer.kernel} | ({"bias": layer.bias} if layer.use_bias else {})
    return {name: np.asarray(value, "float32") for name, value in arrays.items()}


def _convolution(layer) -> Step:
    if layer.groups != 1 or layer.padding not in ("same", "valid"):
        raise _unsupported(layer, "it has groups, or a padding of its own")
    options = {
        "strides": list(layer.strides),
        "padding": layer.padding,
        "dilations": list(layer.dilation_rate),
    }
    return Step("conv2d", options, _weights(layer))


def _transposed_convolution(layer) -> Step:
    if layer.output_padding is not None or tuple(layer.dilation_rate) != (1, 1):
        raise _unsupported(layer, "it has an output_padding or is dilated")
    if layer.padding == "valid" and np.any(np.array(layer.strides) > layer.kernel_size):
        raise _unsupported(layer, "its strides exceed its kernel")
    options = {
        "strides": list(layer.strides),
        "padding": layer.padding,
        "shape": list(layer.output.shape[1:]),
    }
    return Step("conv2d_transpose", options, _weights(layer))


def _upsampling(layer) -> Step:
    if layer.interpolation not in ("nearest", "bilinear"):
        raise _unsupported(layer, f"its interpolation is {layer.interpolation}")
    options = {"size": list(layer.output.shape[1:3]), "interpolation": layer.interpolation}
    return Step("resize", options, {})


def _normalization(layer) -> Step:
    """What it does after training, as a product and a sum."""
    if layer.axis not in (-1, len(layer.output.shape) - 1):
        raise _unsupported(layer, "it does not normalize the last axis")
    scale = 1 / np.sqrt(np.asarray(layer.moving_variance, "float64") + layer.epsilon)
    if layer.scale:
        scale *= np.asarray(layer.gamma)
    offset = -scale * np.asarray(layer.moving_mean)
    if layer.center:
        offset += np.asarray(layer.beta)
    arrays = {"scale": scale.astype("float32"), "offset": offset.astype("float32")}
    return Step("affine", {}, arrays)


def _activation(layer) -> list[Step]:
    name = getattr(layer.activation, "__name__", type(layer.activation).__name__)
    if name not in _ACTIVATIONS:
        raise _unsupported(layer, f"its activation is {name}")
    if name == "linear":
        return []
    return [_leaky_relu(0.2) if name == "leaky_relu" else Step(name, {}, {})]


def _leaky_relu(negative_slope) -> Step:
    return Step("leaky_relu", {"negative_slope": float(negative_slope)}, {})


def _unsupported(layer, why: str = "") -> ValueError:
    what = f"the layer '{layer.name}', a {type(layer).__name__}" + (f": {why}" if why else "")
    return ValueError(
        f"`decoder` has a layer that the explorer cannot run in a browser. Received: {what}. "
        "Serve the model, and let the page ask the server."
    )
