"""`TensorProto`s as arrays and back, the values in the field of their type.

TensorFlow Serving answers with such fields (`float_val`) and not with `tensor_content`, as
`tf.make_tensor_proto` does, so a client has to read both.
"""

import numpy as np

from .c_library import StatusError

_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "int32": "int_val",
    "int16": "int_val",
    "int8": "int_val",
    "uint8": "int_val",
    "uint16": "int_val",
    "int64": "int64_val",
    "bool": "bool_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
    "object": "string_val",
}


def to_array(tensor) -> np.ndarray:
    """The array of a `TensorProto`.

    Raises:
        StatusError: If it is damaged.
    """
    import tensorflow as tf

    try:
        return np.asarray(tf.make_ndarray(tensor))
    except (TypeError, ValueError) as error:
        raise StatusError("INVALID_ARGUMENT", f"tensor parsing error: {error}") from error


def to_proto(array: np.ndarray):
    """The `TensorProto` of an array; that of bytes has the type object."""
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    data_type = tf.string if array.dtype == object else tf.as_dtype(array.dtype)
    return tensor_pb2.TensorProto(
        dtype=data_type.as_datatype_enum,
        tensor_shape=tf.TensorShape(array.shape).as_proto(),
        **{_FIELDS[array.dtype.name]: array.reshape(-1).tolist()},
    )
