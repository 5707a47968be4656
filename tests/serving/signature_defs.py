"""The signatures of a MetaGraphDef, read from its bytes without TensorFlow's Python.

The generated classes (`tensorflow.core.protobuf`) import all of TensorFlow with them. What is
needed here are four messages of a few fields, in protobuf's wire format: a varint `number << 3 |
type` before every field, a varint length before strings and messages.
"""

import dataclasses
from collections.abc import Iterator

_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5

# Field numbers of tensorflow/core/protobuf/meta_graph.proto and framework/tensor_shape.proto.
_META_GRAPH_SIGNATURES = 5
_SIGNATURE_INPUTS, _SIGNATURE_OUTPUTS, _SIGNATURE_METHOD = 1, 2, 3
_TENSOR_NAME, _TENSOR_DTYPE, _TENSOR_SHAPE = 1, 2, 3
_SHAPE_DIM, _SHAPE_UNKNOWN_RANK = 2, 3
_DIM_SIZE = 1
_MAP_KEY, _MAP_VALUE = 1, 2


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """Where a value enters or leaves the graph.

    Args:
        tensor: Str, such as `"serving_default_seed:0"`.
        dtype: Int, a `DataType` of TensorFlow.
        shape: Tuple of ints, -1 for a free one; None for an unknown rank.
    """

    tensor: str
    dtype: int
    shape: tuple[int, ...] | None


@dataclasses.dataclass(frozen=True)
class SignatureDef:
    """What a signature takes and gives, by the names that its caller uses."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]
    method_name: str


def read_signature_defs(meta_graph_def: bytes) -> dict[str, SignatureDef]:
    """Finds the signatures in a serialized MetaGraphDef.

    Args:
        meta_graph_def: Bytes.

    Returns:
        The signatures by name.

    Raises:
        ValueError: If the bytes are no message.
    """
    fields = _fields(memoryview(meta_graph_def))
    entries = [value for number, value in fields if number == _META_GRAPH_SIGNATURES]
    return {name: _signature(value) for name, value in map(_map_entry, entries)}


def _signature(message: memoryview) -> SignatureDef:
    tensors = {_SIGNATURE_INPUTS: {}, _SIGNATURE_OUTPUTS: {}}
    method_name = ""
    for number, value in _fields(message):
        if number in tensors:
            name, info = _map_entry(value)
            tensors[number][name] = _tensor_info(info)
        elif number == _SIGNATURE_METHOD:
            method_name = _text(value)
    return SignatureDef(tensors[_SIGNATURE_INPUTS], tensors[_SIGNATURE_OUTPUTS], method_name)


def _tensor_info(message: memoryview) -> TensorInfo:
    fields = dict(_fields(message))
    return TensorInfo(
        _text(fields.get(_TENSOR_NAME, b"")),
        fields.get(_TENSOR_DTYPE, 0),
        _shape(fields.get(_TENSOR_SHAPE, memoryview(b""))),
    )


def _shape(message: memoryview) -> tuple[int, ...] | None:
    sizes = []
    for number, value in _fields(message):
        if number == _SHAPE_UNKNOWN_RANK and value:
            return None
        if number == _SHAPE_DIM:
            sizes.append(_signed(dict(_fields(value)).get(_DIM_SIZE, 0)))
    return tuple(sizes)


def _map_entry(message: memoryview) -> tuple[str, memoryview]:
    fields = dict(_fields(message))
    return _text(fields.get(_MAP_KEY, b"")), fields.get(_MAP_VALUE, memoryview(b""))


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    position = 0
    while position < len(message):
        tag, position = _varint(message, position)
        kind = tag & 7
        if kind == _VARINT:
            value, position = _varint(message, position)
        elif kind in (_LENGTH, _FIXED32, _FIXED64):
            size = {_FIXED32: 4, _FIXED64: 8}.get(kind)
            if size is None:
                size, position = _varint(message, position)
            value, position = message[position : position + size], position + size
        else:
            raise ValueError(f"`meta_graph_def` is no message. Received: a field of type {kind}.")
        if position > len(message):
            raise ValueError("`meta_graph_def` is no message: it ends within a field.")
        yield tag >> 3, value


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value = shift = 0
    while position < len(message):
        byte = message[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
    raise ValueError("`meta_graph_def` is no message: it ends within a number.")


def _signed(value: int) -> int:
    return value - 2**64 if value >= 2**63 else value


def _text(value: memoryview | bytes) -> str:
    return bytes(value).decode()
