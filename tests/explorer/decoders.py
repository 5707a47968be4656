"""Small decoders, whose pictures change a lot with their inputs."""

import keras
from keras import layers

FEATURE_DIM = 6


def strengthened(decoder: keras.Model) -> keras.Model:
    """Without training all its pictures would be grey."""
    for weight in decoder.trainable_weights:
        weight.assign(3 * weight + (0.1 if len(weight.shape) == 1 else 0))
    return decoder


def with_many_layers() -> keras.Model:
    """A decoder of 8x8x1 with every kind of layer and activation but those of `networks`."""
    inner = keras.Sequential(
        [
            layers.Conv2D(4, 3, padding="same", activation="relu6"),
            layers.Conv2D(4, (2, 3), padding="valid", use_bias=False, activation="softplus"),
            layers.Conv2DTranspose(3, (2, 3), strides=1, padding="valid", activation="elu"),
        ],
        name="inner",
    )
    x = inputs = keras.Input((FEATURE_DIM,))
    x = layers.Dense(12, activation="silu")(x)
    x = layers.Dropout(0.5)(x)
    x = layers.Dense(16, activation="selu", use_bias=False)(x)
    x = layers.Reshape((2, 2, 4))(x)
    x = layers.Dense(4, activation="leaky_relu")(x)
    x = layers.BatchNormalization()(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = inner(x)
    x = layers.ReLU()(x)
    x = layers.UpSampling2D((2, 2))(x)
    x = layers.Conv2D(3, 3, padding="same", dilation_rate=2, activation="tanh")(x)
    x = layers.ELU()(x)
    x = layers.Conv2D(3, 1, activation="exponential")(x)
    x = layers.Activation("relu")(x)
    x = layers.Conv2DTranspose(1, 3, strides=1, padding="same")(x)
    x = layers.Rescaling(0.5, offset=0.1)(x)
    x = layers.Flatten()(x)
    outputs = layers.Reshape((8, 8, 1))(x)
    decoder = keras.Model(inputs, outputs)
    for weight in decoder.weights:
        if "moving" in weight.path:
            weight.assign(keras.random.uniform(weight.shape, 0.5, 1.5, seed=1))
    return decoder
