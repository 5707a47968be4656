"""TensorFlow's C API out of the installed wheel, by ctypes: its functions, its tensors.

The library is found without an import of TensorFlow, and works in a process that never makes one.
Every `TF_Tensor` and `TF_Status` that is made here is also deleted here.
"""

import contextlib
import ctypes
import functools
import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

# `DataType` of TensorFlow.
STRING = 7
NUMPY_TYPES = {
    1: np.float32,
    2: np.float64,
    3: np.int32,
    4: np.uint8,
    5: np.int16,
    6: np.int8,
    9: np.int64,
    10: np.bool_,
    17: np.uint16,
    19: np.float16,
    22: np.uint32,
    23: np.uint64,
}
_DATA_TYPES = {np.dtype(numpy_type): number for number, numpy_type in NUMPY_TYPES.items()}
_STRING_SIZE = 24  # of a TF_TString

# `TSL_Code`, which is also the code of a gRPC status.
CODE_NAMES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND"),
    *("ALREADY_EXISTS", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION"),
    *("ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"),
    "UNAUTHENTICATED",
)


class Output(ctypes.Structure):
    """`TF_Output`: an output of an operation of a graph, or the input that is fed in its place."""

    _fields_ = (("operation", ctypes.c_void_p), ("index", ctypes.c_int))


class Buffer(ctypes.Structure):
    """`TF_Buffer`."""

    _fields_ = (
        ("data", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("deallocator", ctypes.c_void_p),
    )


class StatusError(Exception):
    """What TensorFlow, or the emulator, answers in place of a result.

    Args:
        code: Str, the name of a status code, such as `"INVALID_ARGUMENT"`.
        message: Str.
    """

    def __init__(self, code: str, message: str):
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message


_POINTER, _INT, _SIZE, _TEXT = ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t, ctypes.c_char_p
_INT64 = ctypes.c_int64
# What each function returns, then what it takes.
_FUNCTIONS = {
    "TF_NewStatus": (_POINTER,),
    "TF_DeleteStatus": (None, _POINTER),
    "TF_GetCode": (_INT, _POINTER),
    "TF_Message": (_TEXT, _POINTER),
    "TF_NewBuffer": (ctypes.POINTER(Buffer),),
    "TF_DeleteBuffer": (None, ctypes.POINTER(Buffer)),
    "TF_NewGraph": (_POINTER,),
    "TF_DeleteGraph": (None, _POINTER),
    "TF_GraphOperationByName": (_POINTER, _POINTER, _TEXT),
    "TF_NewSessionOptions": (_POINTER,),
    "TF_DeleteSessionOptions": (None, _POINTER),
    "TF_SetConfig": (None, _POINTER, _TEXT, _SIZE, _POINTER),
    "TF_LoadSessionFromSavedModel": (
        *(_POINTER, _POINTER, _POINTER, _TEXT, ctypes.POINTER(_TEXT), _INT, _POINTER),
        *(ctypes.POINTER(Buffer), _POINTER),
    ),
    "TF_CloseSession": (None, _POINTER, _POINTER),
    "TF_DeleteSession": (None, _POINTER, _POINTER),
    "TF_SessionRun": (
        *(None, _POINTER, _POINTER),
        *(ctypes.POINTER(Output), ctypes.POINTER(_POINTER), _INT),
        *(ctypes.POINTER(Output), ctypes.POINTER(_POINTER), _INT),
        *(_POINTER, _INT, _POINTER, _POINTER),
    ),
    "TF_AllocateTensor": (_POINTER, _INT, ctypes.POINTER(_INT64), _INT, _SIZE),
    "TF_DeleteTensor": (None, _POINTER),
    "TF_TensorType": (_INT, _POINTER),
    "TF_NumDims": (_INT, _POINTER),
    "TF_Dim": (_INT64, _POINTER, _INT),
    "TF_TensorByteSize": (_SIZE, _POINTER),
    "TF_TensorData": (_POINTER, _POINTER),
    "TF_StringInit": (None, _POINTER),
    "TF_StringCopy": (None, _POINTER, _TEXT, _SIZE),
    "TF_StringDealloc": (None, _POINTER),
    "TF_StringGetDataPointer": (_POINTER, _POINTER),
    "TF_StringGetSize": (_SIZE, _POINTER),
}


@functools.cache
def library() -> ctypes.CDLL:
    """The C API, loaded once.

    Raises:
        ImportError: If TensorFlow is not installed.
    """
    spec = importlib.util.find_spec("tensorflow")
    if spec is None:
        raise ImportError("TensorFlow is not installed.")
    loaded = ctypes.CDLL(str(Path(spec.submodule_search_locations[0], "libtensorflow_cc.so.2")))
    for name, (result, *arguments) in _FUNCTIONS.items():
        function = getattr(loaded, name)
        function.restype = result
        function.argtypes = arguments
    return loaded


@contextlib.contextmanager
def checked_status() -> Iterator[int]:
    """A `TF_Status` for the calls of the block.

    Raises:
        StatusError: At the end of the block, if it holds an error.
    """
    api = library()
    status = api.TF_NewStatus()
    try:
        yield status
        if code := api.TF_GetCode(status):
            name = CODE_NAMES[code] if code < len(CODE_NAMES) else "UNKNOWN"
            raise StatusError(name, api.TF_Message(status).decode(errors="replace"))
    finally:
        api.TF_DeleteStatus(status)


@contextlib.contextmanager
def new_tensors(arrays: Sequence[np.ndarray]) -> Iterator[ctypes.Array]:
    """Copies of the arrays as `TF_Tensor`s, which live as long as the block."""
    api = library()
    tensors = (_POINTER * max(len(arrays), 1))()
    strings: list[tuple[int, int]] = []
    try:
        for index, array in enumerate(arrays):
            tensors[index] = _new_tensor(np.asarray(array), strings)
        yield tensors
    finally:
        for data, count in strings:
            for position in range(count):
                api.TF_StringDealloc(data + position * _STRING_SIZE)
        delete_tensors(tensors)


def delete_tensors(tensors: ctypes.Array) -> None:
    """Deletes the `TF_Tensor`s of an array; null pointers are passed over."""
    for tensor in tensors:
        if tensor:
            library().TF_DeleteTensor(tensor)


def to_numpy(tensor: int) -> np.ndarray:
    """A copy of a `TF_Tensor`; strings become an array of the type object that holds bytes.

    Raises:
        StatusError: If NumPy has no such type.
    """
    api = library()
    data_type = api.TF_TensorType(tensor)
    shape = tuple(api.TF_Dim(tensor, axis) for axis in range(api.TF_NumDims(tensor)))
    data = api.TF_TensorData(tensor)
    if data_type == STRING:
        array = np.empty(shape, object)
        array.reshape(-1)[:] = [
            _bytes_of(data + position * _STRING_SIZE) for position in range(array.size)
        ]
        return array
    if data_type not in NUMPY_TYPES:
        raise StatusError("UNIMPLEMENTED", f"a tensor of the type {data_type} for NumPy")
    array = np.empty(shape, NUMPY_TYPES[data_type])
    if array.nbytes:
        ctypes.memmove(array.ctypes.data, data, array.nbytes)
    return array


def _new_tensor(array: np.ndarray, strings: list[tuple[int, int]]) -> int:
    """Allocates and fills a tensor; notes where it holds strings, which have to be freed."""
    is_string = array.dtype.kind in "OSU"
    if not is_string and array.dtype not in _DATA_TYPES:
        raise StatusError("UNIMPLEMENTED", f"a tensor for the NumPy type {array.dtype}")
    data_type = STRING if is_string else _DATA_TYPES[array.dtype]
    size = array.size * _STRING_SIZE if is_string else array.nbytes
    api = library()
    shape = (_INT64 * max(array.ndim, 1))(*array.shape)
    tensor = api.TF_AllocateTensor(data_type, shape, array.ndim, size)
    data = api.TF_TensorData(tensor)
    if not is_string:
        if size:
            ctypes.memmove(data, np.ascontiguousarray(array).ctypes.data, size)
        return tensor
    for position in range(array.size):
        api.TF_StringInit(data + position * _STRING_SIZE)
    strings.append((data, array.size))
    for position, value in enumerate(array.reshape(-1).tolist()):
        value = value.encode() if isinstance(value, str) else bytes(value)
        api.TF_StringCopy(data + position * _STRING_SIZE, value, len(value))
    return tensor


def _bytes_of(string: int) -> bytes:
    api = library()
    return ctypes.string_at(api.TF_StringGetDataPointer(string), api.TF_StringGetSize(string))
