"""The JSON of TensorFlow Serving's REST API: requests to arrays, arrays to answers.

Of the wording of an error the part is kept that tells one from another. Dictionaries come in the
order of the signature; the order of TensorFlow Serving is that of a hash table.
"""

import base64
import json
import math
from collections.abc import Mapping

import numpy as np

from .c_library import NUMPY_TYPES, STRING, StatusError
from .signature_defs import TensorInfo

_ROWS, _COLUMNS = "instances", "inputs"
_BYTES_SUFFIX = "_bytes"  # marks outputs that JSON carries in base 64
_NAMES = {1: "float", 2: "double", STRING: "string", 10: "bool"}
_MAX_FLOAT = float(np.finfo(np.float32).max)
_MAX_WHOLE_FLOAT = {1: 2**24 - 1, 2: 2**53 - 1}


def parse_body(body: bytes) -> dict:
    """The object that a request consists of.

    Raises:
        StatusError: If it is none, or its signature name is no string.
    """
    try:
        request = json.loads(body)
    except ValueError as error:
        raise _refusal(f"JSON Parse error: {error}") from error
    if not isinstance(request, dict):
        raise _refusal(f"JSON Value: {json.dumps(request)} Is not object")
    if not isinstance(request.get("signature_name", ""), str):
        raise _refusal("'signature_name' key must be a string value.")
    return request


def parse_inputs(
    request: Mapping, infos: Mapping[str, TensorInfo]
) -> tuple[dict[str, np.ndarray], bool]:
    """The arrays of a request.

    Args:
        request: The object.
        infos: What the signature takes.

    Returns:
        Arrays by name, and whether they came in rows.

    Raises:
        StatusError: As TensorFlow Serving, if they do not fit the signature.
    """
    if _ROWS in request and _COLUMNS in request:
        raise _refusal("Not formatted correctly expecting only one of 'inputs' or 'instances' keys")
    if _ROWS in request:
        return _parse_rows(request, infos), True
    if _COLUMNS in request:
        return _parse_columns(request[_COLUMNS], infos), False
    raise _refusal("Missing 'inputs' or 'instances' key")


def format_outputs(outputs: Mapping[str, np.ndarray], *, in_rows: bool) -> str:
    """The answer to a request; a single output stands without its name.

    Raises:
        StatusError: If rows are asked for and the outputs have not equally many.
    """
    columns = {name: _to_json(name, array) for name, array in outputs.items()}
    if not in_rows:
        only = next(iter(columns.values()))
        return json.dumps({"outputs": columns if len(columns) > 1 else only})
    sizes = {array.shape[:1] for array in outputs.values()}
    if len(sizes) > 1 or () in sizes:
        raise _refusal(f"Tensor name: {', '.join(outputs)} has inconsistent batch size")
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    if len(columns) == 1:
        (rows,) = columns.values()
    return json.dumps({"predictions": rows})


def _parse_rows(request: Mapping, infos: Mapping[str, TensorInfo]) -> dict[str, np.ndarray]:
    rows = request[_ROWS]
    if not isinstance(rows, list):
        raise _refusal("Excepting 'instances' to be an list/array")
    if not rows:
        raise _refusal(f"JSON Value: {json.dumps(request)} No values in 'instances' array")
    if not isinstance(rows[0], dict) and len(infos) > 1:
        raise _refusal("instances is a plain list, but expecting list of objects")
    are_named = _is_named(rows[0])
    columns = {name: [] for name in infos}
    for index, row in enumerate(rows):
        where = f"Failed to process element: {index} of 'instances' list."
        if _is_named(row) != are_named:
            raise _refusal(f"Expecting {'object' if are_named else 'value/list'} at item {index}")
        if are_named and set(row) != set(infos):
            keys = ",".join(sorted(infos))
            raise _refusal(f"{where} JSON object: {json.dumps(row)} keys must be equal to: {keys}")
        named = row if are_named else {next(iter(infos)): row}
        for name, value in named.items():
            try:
                columns[name].append(_to_array(value, infos[name]))
            except StatusError as error:
                raise _refusal(f"{where} Error: {error}") from error
            if columns[name][-1].shape != columns[name][0].shape:
                expected, received = (list(columns[name][at].shape) for at in (0, -1))
                raise _refusal(f"{where} Expecting shape {expected} but got: {received}")
    return {name: np.stack(values) for name, values in columns.items()}


def _parse_columns(value: object, infos: Mapping[str, TensorInfo]) -> dict[str, np.ndarray]:
    if not _is_named(value):
        if len(infos) > 1:
            raise _refusal("inputs is a plain value/list, but expecting an object")
        value = {next(iter(infos)): value}
    for name in infos:
        if name not in value:
            raise _refusal(f"Missing named input: {name} in 'inputs' object.")
    return {name: _to_array(value[name], info) for name, info in infos.items()}


def _is_named(value: object) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: object) -> bool:
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _to_array(value: object, info: TensorInfo) -> np.ndarray:
    """Nested lists as an array, of the shape that their first elements show."""
    shape = []
    inner = value
    while isinstance(inner, list):
        shape.append(len(inner))
        inner = inner[0] if inner else None
    values = []
    _collect(value, shape, 0, info.dtype, values)
    array = np.empty(len(values), NUMPY_TYPES.get(info.dtype, object))
    array[:] = values
    return array.reshape(shape)


def _collect(value: object, shape: list[int], level: int, dtype: int, values: list) -> None:
    if not isinstance(value, list):
        if level != len(shape):
            raise _refusal(f"JSON Value: {json.dumps(value)} found at incorrect level: {level + 1}")
        values.append(_to_scalar(value, dtype))
        return
    if level >= len(shape):
        raise _refusal(f"Encountered list at unexpected level: {level} expected < {len(shape)}")
    if len(value) != shape[level]:
        raise _refusal(
            f"Encountered list at unexpected size: {len(value)} at level: {level} "
            f"expected size: {shape[level]}"
        )
    for inner in value:
        _collect(inner, shape, level + 1, dtype, values)


def _to_scalar(value: object, dtype: int) -> object:
    if dtype == STRING:
        if _is_base64(value):
            return base64.b64decode(value["b64"])
        if isinstance(value, str):
            return value.encode()
    elif dtype == 10:
        if isinstance(value, bool):
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if dtype in _MAX_WHOLE_FLOAT:
            return _to_float(value, dtype)
        bounds = np.iinfo(NUMPY_TYPES[dtype])
        if isinstance(value, int) and bounds.min <= value <= bounds.max:
            return value
    name = _NAMES.get(dtype) or np.dtype(NUMPY_TYPES[dtype]).name
    raise _refusal(
        f"JSON Value: {json.dumps(value)} Type: {_kind(value)} is not of expected type: {name}"
    )


def _to_float(value: int | float, dtype: int) -> float:
    is_lossy = isinstance(value, int) and abs(value) > _MAX_WHOLE_FLOAT[dtype]
    if is_lossy or (dtype == 1 and math.isfinite(value) and abs(value) > _MAX_FLOAT):
        raise _refusal(
            f"Cannot convert JSON value: {value} to {_NAMES[dtype]} without loss of precision."
        )
    return float(value)


def _to_json(name: str, array: np.ndarray) -> object:
    if array.dtype == object:
        is_bytes = name.endswith(_BYTES_SUFFIX)
        boxed = np.empty(array.size, object)
        for index, value in enumerate(array.reshape(-1)):
            text = base64.b64encode(value).decode() if is_bytes else value.decode()
            boxed[index] = {"b64": text} if is_bytes else text
        return boxed.reshape(array.shape).tolist()
    if array.dtype == np.float32:
        return _shortened(array).tolist()
    return array.tolist()


def _shortened(array: np.ndarray) -> np.ndarray:
    """float32 as numbers of six digits, or of nine where six are not the same number."""
    values = array.reshape(-1).tolist()
    six, nine = (np.array([float(f"{value:.{n}g}") for value in values]) for n in (6, 9))
    is_same = six.astype("float32") == array.reshape(-1)
    return np.where(is_same, six, nine).reshape(array.shape)


def _kind(value: object) -> str:
    names = {bool: str(value), str: "String", list: "Array", dict: "Object", type(None): "Null"}
    return names.get(type(value), "Number")


def _refusal(message: str) -> StatusError:
    return StatusError("INVALID_ARGUMENT", message)
