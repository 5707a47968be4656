"""Builders of encoders and decoders; they know nothing of kernel machines.

The convolutional pair is the one of the authors of the Stiefel-Restricted Kernel Machine [1]: three
convolutions that widen, one hidden dense layer, LeakyReLU in between, and its mirror image.

References:
    [1] A. Pandey, M. Fanuel, J. Schreurs, J. A. K. Suykens, "Disentangled Representation Learning
        and Generation with Manifold Optimization", Neural Computation 34(10), 2022,
        arXiv:2006.07046.
"""

import math
import numbers
import random
from collections.abc import Iterator, Sequence

import keras
from keras import layers


def convolutional_encoder(
    input_shape: Sequence[int],
    feature_dim: int,
    *,
    capacity: int = 64,
    hidden_dim: int = 256,
    negative_slope: float = 0.2,
    seed: int | None = None,
    name: str = "encoder",
) -> keras.Model:
    """Maps images to features by three convolutions and two dense layers.

    The convolutions have `capacity`, `2 * capacity` and `4 * capacity` filters, kernel 4 and
    stride 2. Where a quarter of the height or width is odd, as for 28x28 images, it cannot be
    halved once more and the third one has kernel 3 and stride 1 instead. The features are linear
    in the last hidden layer, and float32 under mixed precision too.

    Args:
        input_shape: `(height, width, channels)`; height and width divisible by 4.
        feature_dim: Positive int, the number of features.
        capacity: Positive int, the number of filters of the first convolution. Defaults to 64.
        hidden_dim: Positive int, the units of the hidden dense layer. Defaults to 256.
        negative_slope: Slope of every LeakyReLU below zero. Defaults to 0.2.
        seed: Int; the same seed gives the same initial weights. Defaults to None, fresh ones.
        name: Name of the model. Defaults to "encoder".

    Returns:
        A functional model. Input shape: `(batch, height, width, channels)`. Output shape:
        `(batch, feature_dim)`.

    Raises:
        ValueError: If a size is not positive, or height or width is not divisible by 4.

    Example:

    >>> encoder = convolutional_encoder((28, 28, 1), feature_dim=128, capacity=8)
    >>> encoder.output_shape
    (None, 128)
    """
    height, width, _ = _check_image_shape(input_shape, "input_shape")
    _check_positive(feature_dim=feature_dim, capacity=capacity, hidden_dim=hidden_dim)
    initializers = _initializers(seed)

    inputs = keras.Input(input_shape, dtype=_full_precision())
    x = inputs
    for factor, stage in zip((1, 2, 4), _stages(height, width), strict=True):
        x = _convolution(layers.Conv2D, factor * capacity, stage, initializers)(x)
        x = layers.LeakyReLU(negative_slope)(x)
    x = layers.Flatten(data_format="channels_last")(x)
    x = _dense_stack(x, (hidden_dim,), negative_slope, initializers)
    features = _features(x, feature_dim, initializers)
    return keras.Model(inputs, features, name=name)


def convolutional_decoder(
    feature_dim: int,
    output_shape: Sequence[int],
    *,
    capacity: int = 64,
    hidden_dim: int = 256,
    negative_slope: float = 0.2,
    output_activation: str | None = "sigmoid",
    seed: int | None = None,
    name: str = "decoder",
) -> keras.Model:
    """Maps features to images: the mirror image of `convolutional_encoder`.

    Args:
        feature_dim: Positive int, the number of features.
        output_shape: `(height, width, channels)`; height and width divisible by 4.
        capacity: Positive int, the number of channels before the last layer. Defaults to 64.
        hidden_dim: Positive int, the units of the hidden dense layer. Defaults to 256.
        negative_slope: Slope of every LeakyReLU below zero. Defaults to 0.2.
        output_activation: Activation of the pixels, computed in float32 under mixed precision too.
            Defaults to "sigmoid", for images in [0, 1].
        seed: Int; the same seed gives the same initial weights. Defaults to None, fresh ones.
        name: Name of the model. Defaults to "decoder".

    Returns:
        A functional model. Input shape: `(batch, feature_dim)`. Output shape:
        `(batch, height, width, channels)`.

    Raises:
        ValueError: If a size is not positive, or height or width is not divisible by 4.

    Example:

    >>> decoder = convolutional_decoder(128, (28, 28, 1), capacity=8)
    >>> decoder.output_shape
    (None, 28, 28, 1)
    """
    height, width, channels = _check_image_shape(output_shape, "output_shape")
    _check_positive(feature_dim=feature_dim, capacity=capacity, hidden_dim=hidden_dim)
    initializers = _initializers(seed)
    stages = _stages(height, width)
    total_stride = math.prod(strides for _, strides in stages)
    smallest = (height // total_stride, width // total_stride, 4 * capacity)

    inputs = keras.Input((feature_dim,), dtype=_full_precision())
    x = _dense_stack(inputs, (hidden_dim, math.prod(smallest)), negative_slope, initializers)
    x = layers.Reshape(smallest)(x)
    for factor, stage in zip((2, 1), stages[:0:-1], strict=True):
        x = _convolution(layers.Conv2DTranspose, factor * capacity, stage, initializers)(x)
        x = layers.LeakyReLU(negative_slope)(x)
    images = _convolution(
        layers.Conv2DTranspose,
        channels,
        stages[0],
        initializers,
        activation=output_activation,
        dtype=_full_precision(),
        name="reconstructions",
    )(x)
    return keras.Model(inputs, images, name=name)


def dense_encoder(
    input_shape: Sequence[int],
    feature_dim: int,
    *,
    hidden_dims: Sequence[int] = (512, 256),
    negative_slope: float = 0.2,
    seed: int | None = None,
    name: str = "encoder",
) -> keras.Model:
    """Maps arrays of any shape to features by dense layers.

    Args:
        input_shape: Shape of one sample, e.g. `(28, 28, 1)` or `(20,)`.
        feature_dim: Positive int, the number of features, linear in the last hidden layer.
        hidden_dims: Units of the hidden layers; `()` makes a linear encoder.
            Defaults to `(512, 256)`.
        negative_slope: Slope of every LeakyReLU below zero. Defaults to 0.2.
        seed: Int; the same seed gives the same initial weights. Defaults to None, fresh ones.
        name: Name of the model. Defaults to "encoder".

    Returns:
        A functional model. Input shape: `(batch, *input_shape)`. Output shape:
        `(batch, feature_dim)`.

    Raises:
        ValueError: If a size is not positive.

    Example:

    >>> dense_encoder((28, 28, 1), feature_dim=32).output_shape
    (None, 32)
    """
    _check_sizes(input_shape, "input_shape")
    _check_sizes(hidden_dims, "hidden_dims")
    _check_positive(feature_dim=feature_dim)
    initializers = _initializers(seed)

    inputs = keras.Input(input_shape, dtype=_full_precision())
    x = layers.Flatten(data_format="channels_last")(inputs)
    x = _dense_stack(x, hidden_dims, negative_slope, initializers)
    features = _features(x, feature_dim, initializers)
    return keras.Model(inputs, features, name=name)


def dense_decoder(
    feature_dim: int,
    output_shape: Sequence[int],
    *,
    hidden_dims: Sequence[int] = (256, 512),
    negative_slope: float = 0.2,
    output_activation: str | None = "sigmoid",
    seed: int | None = None,
    name: str = "decoder",
) -> keras.Model:
    """Maps features to arrays of any shape by dense layers.

    Args:
        feature_dim: Positive int, the number of features.
        output_shape: Shape of one sample, e.g. `(28, 28, 1)` or `(20,)`.
        hidden_dims: Units of the hidden layers; `()` makes a linear decoder, before the
            activation. Defaults to `(256, 512)`.
        negative_slope: Slope of every LeakyReLU below zero. Defaults to 0.2.
        output_activation: Activation of the outputs, computed in float32 under mixed precision
            too. Defaults to "sigmoid", for values in [0, 1]; None leaves them linear.
        seed: Int; the same seed gives the same initial weights. Defaults to None, fresh ones.
        name: Name of the model. Defaults to "decoder".

    Returns:
        A functional model. Input shape: `(batch, feature_dim)`. Output shape:
        `(batch, *output_shape)`.

    Raises:
        ValueError: If a size is not positive.

    Example:

    >>> dense_decoder(32, (28, 28, 1)).output_shape
    (None, 28, 28, 1)
    """
    _check_sizes(output_shape, "output_shape")
    _check_sizes(hidden_dims, "hidden_dims")
    _check_positive(feature_dim=feature_dim)
    initializers = _initializers(seed)

    inputs = keras.Input((feature_dim,), dtype=_full_precision())
    x = _dense_stack(inputs, hidden_dims, negative_slope, initializers)
    x = layers.Dense(
        math.prod(output_shape),
        activation=output_activation,
        kernel_initializer=next(initializers),
        dtype=_full_precision(),
    )(x)
    outputs = layers.Reshape(tuple(output_shape), dtype=_full_precision(), name="reconstructions")(
        x
    )
    return keras.Model(inputs, outputs, name=name)


def _initializers(seed: int | None) -> Iterator[keras.initializers.Initializer]:
    """An endless supply of initializers, each with a seed of its own derived from `seed`."""
    # Equal seeds in two layers would start them with correlated weights.
    seeds = None if seed is None else random.Random(seed)
    while True:
        yield keras.initializers.GlorotUniform(
            seed=None if seeds is None else seeds.getrandbits(31)
        )


def _stages(height: int, width: int) -> list[tuple[int, int]]:
    """The kernel size and the stride of each convolution, from the image inwards."""
    third_is_even = height % 8 == 0 and width % 8 == 0
    return [(4, 2), (4, 2), (4, 2) if third_is_even else (3, 1)]


def _convolution(layer_class, filters, stage, initializers, **arguments):
    """A convolution on images of shape (height, width, channels), whatever keras.json says."""
    kernel_size, strides = stage
    return layer_class(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        data_format="channels_last",
        kernel_initializer=next(initializers),
        **arguments,
    )


def _dense_stack(x, hidden_dims, negative_slope, initializers):
    for units in hidden_dims:
        x = layers.Dense(units, kernel_initializer=next(initializers))(x)
        x = layers.LeakyReLU(negative_slope)(x)
    return x


def _features(x, feature_dim, initializers):
    return layers.Dense(
        feature_dim, kernel_initializer=next(initializers), dtype=_full_precision(), name="features"
    )(x)


def _full_precision() -> str:
    """The dtype of what goes in and comes out, whatever the policy has between: float32 at least.

    Of an Input Keras takes `floatx` instead, and rounds to it what goes into a float64 network.
    """
    return "float64" if keras.config.dtype_policy().variable_dtype == "float64" else "float32"


def _check_image_shape(shape: Sequence[int], argument: str) -> tuple[int, int, int]:
    _check_sizes(shape, argument)
    if len(shape) != 3:
        raise ValueError(
            f"`{argument}` must be (height, width, channels). Received: {argument}={shape}. For "
            "grey images add a last axis of size 1; for other data use the dense networks."
        )
    height, width, channels = shape
    if height % 4 or width % 4:
        larger = (height + -height % 4, width + -width % 4, channels)
        raise ValueError(
            f"`{argument}` must have a height and a width divisible by 4, since two convolutions "
            f"halve them. Received: {argument}={shape}. Pad or resize the images, e.g. to "
            f"{larger}, or use the dense networks."
        )
    return height, width, channels


def _check_sizes(sizes: Sequence[int], argument: str) -> None:
    if not all(_is_positive_int(size) for size in sizes):
        raise ValueError(
            f"`{argument}` must hold positive ints only. Received: {argument}={sizes}."
        )


def _check_positive(**values: int) -> None:
    for argument, value in values.items():
        if not _is_positive_int(value):
            raise ValueError(f"`{argument}` must be a positive int. Received: {argument}={value}.")


def _is_positive_int(value) -> bool:
    return isinstance(value, numbers.Integral) and value > 0
