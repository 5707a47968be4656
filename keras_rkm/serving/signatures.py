"""What a model takes and gives, as its server tells it, and whether arrays fit that."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from .errors import InvalidRequestError, ServingError, SignatureNotFoundError

# The types of the signatures that `keras_rkm.export` writes.
_NUMPY_TYPES = {"DT_FLOAT": "float32", "DT_INT64": "int64", "DT_INT32": "int32"}
_STRING = "DT_STRING"


@dataclasses.dataclass(frozen=True)
class TensorSpec:
    """Type and shape of an input or an output.

    Args:
        dtype: Str, as TensorFlow writes it, such as `"DT_FLOAT"`.
        shape: Tuple of ints, None for a free size; None for any shape.
    """

    dtype: str
    shape: tuple[int | None, ...] | None

    @property
    def numpy_type(self) -> np.dtype:
        """The type of an array of it; `object` for strings.

        Raises:
            ServingError: If no signature of this package has it.
        """
        if self.dtype == _STRING:
            return np.dtype(object)
        if self.dtype not in _NUMPY_TYPES:
            raise ServingError(
                f"The model uses the type {self.dtype}, which no signature of keras_rkm has. "
                f"Known: {', '.join([*_NUMPY_TYPES, _STRING])}. Was it exported by keras_rkm?",
                code="UNIMPLEMENTED",
            )
        return np.dtype(_NUMPY_TYPES[self.dtype])

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether an array may have this shape."""
        if self.shape is None:
            return True
        return len(shape) == len(self.shape) and all(
            expected in (None, size) for expected, size in zip(self.shape, shape, strict=True)
        )

    def describe(self) -> str:
        """The shape as text, such as `(batch, 28, 28, 1)`."""
        if self.shape is None:
            return "any"
        free = ("batch", *["any"] * len(self.shape))
        sizes = [
            name if size is None else str(size)
            for name, size in zip(free, self.shape, strict=False)
        ]
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"


@dataclasses.dataclass(frozen=True)
class Signature:
    """Inputs and outputs by name."""

    inputs: Mapping[str, TensorSpec]
    outputs: Mapping[str, TensorSpec]


def check_inputs(
    signatures: Mapping[str, Signature], name: str, inputs: Mapping[str, np.ndarray]
) -> Signature:
    """Checks that a model has a signature, and that arrays fit it.

    Args:
        signatures: What the server tells of the model.
        name: Str, the signature.
        inputs: Arrays by name, the rows along the first axis.

    Returns:
        The signature.

    Raises:
        SignatureNotFoundError: If there is none of this name.
        InvalidRequestError: If its inputs have other names or shapes, or the numbers of rows
            differ.
    """
    if name not in signatures:
        known = ", ".join(sorted(key for key in signatures if not key.startswith("__")))
        raise SignatureNotFoundError(
            f"The model has no signature '{name}'. It has: {known or 'none'}. "
            "Export it by keras_rkm.export, which writes all of them."
        )
    signature = signatures[name]
    if set(inputs) != set(signature.inputs):
        raise InvalidRequestError(
            f"The signature '{name}' takes {', '.join(sorted(signature.inputs))}, but this client "
            f"sends {', '.join(sorted(inputs))}. Was the model exported by keras_rkm?"
        )
    for key, array in inputs.items():
        spec = signature.inputs[key]
        if not spec.accepts(array.shape):
            raise InvalidRequestError(
                f"`{key}` must have the shape {spec.describe()}, which the model on the server "
                f"takes. Received: shape {array.shape}."
            )
    sizes = {key: len(array) for key, array in inputs.items()}
    if len(set(sizes.values())) > 1:
        received = ", ".join(f"{size} {key}" for key, size in sizes.items())
        raise InvalidRequestError(f"All inputs must have equally many rows. Received: {received}.")
    return signature
