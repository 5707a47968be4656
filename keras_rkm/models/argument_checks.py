"""What can be wrong with the arguments of a model."""

import numbers


def check_choice(name, value, choices):
    """Raises a ValueError unless the argument `name` has one of the values of `choices`."""
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {', '.join(choices)}. Received: {name}={value!r}"
        )


def check_not_negative(name, value):
    """Raises a ValueError unless the argument `name` is a number >= 0."""
    if not value >= 0:
        raise ValueError(f"`{name}` must be zero or a positive number. Received: {name}={value!r}")


def check_positive_int(name, value):
    """Raises a ValueError unless the argument `name` is an int >= 1."""
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"`{name}` must be a positive int. Received: {name}={value!r}")


def feature_dim_of(encoder, decoder):
    """The size of the features; an error unless the two networks fit together."""
    shapes = {}
    for name, network in (("encoder", encoder), ("decoder", decoder)):
        try:
            shapes[name] = tuple(network.input_shape), tuple(network.output_shape)
        except AttributeError:
            raise ValueError(
                f"`{name}` must be a Keras model with one input and one output of known shapes, "
                f"functional or Sequential with an Input. Received: {name}={network!r}"
            ) from None
    (image_shape, feature_shape), (decoder_input, decoder_output) = shapes.values()
    if len(feature_shape) != 2 or feature_shape[-1] is None:
        raise ValueError(
            "`encoder` must return features of shape (batch, feature_dim). "
            f"Received: an encoder with output_shape={feature_shape}. Add a Flatten or a Dense "
            "layer."
        )
    if decoder_input != feature_shape or decoder_output != image_shape:
        raise ValueError(
            "`decoder` must take what `encoder` returns, and return what it takes. Received: "
            f"encoder {image_shape} -> {feature_shape}, decoder {decoder_input} -> {decoder_output}"
        )
    return feature_shape[-1]
