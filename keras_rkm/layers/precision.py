"""The precision of what lies between the networks."""

import keras


def full_precision(arguments: dict) -> dict:
    """Gives a layer the variable dtype of its policy to compute in, if it is not told otherwise.

    Under mixed precision a basis in bfloat16 would be off the manifold by 1e-3.
    """
    if arguments.get("dtype") is None:
        return {**arguments, "dtype": keras.config.dtype_policy().variable_dtype}
    return arguments
