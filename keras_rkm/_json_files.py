"""JSON from a file that may be damaged, or come from a stranger."""

import json
import os
from pathlib import Path

MAX_BYTES = 2**24  # 16 MiB: a hundred times what this package writes


def read_json(path: str | os.PathLike, *, allow_nan: bool = False) -> dict:
    """The object in a JSON file of at most `MAX_BYTES`.

    Args:
        path: Str or path of a plain file.
        allow_nan: Bool, take `NaN` and `Infinity`, which are no JSON. Default False.

    Raises:
        OSError: If the file cannot be read.
        ValueError: If it is too large, nested too deep, not UTF-8, no JSON, or no object.
    """
    path = Path(path)
    if not path.is_file():  # a pipe would be waited for
        raise FileNotFoundError(2, "No such file", str(path))
    with path.open("rb") as file:
        text = file.read(MAX_BYTES + 1)
    return parse_json(text, allow_nan=allow_nan)


def parse_json(text: bytes, *, allow_nan: bool = False) -> dict:
    """The object that a JSON text holds; see `read_json`.

    Example:

    >>> parse_json(b'{"a": 1}')
    {'a': 1}
    >>> parse_json(b'{"a": NaN}')
    Traceback (most recent call last):
    ValueError: NaN is not a number that JSON knows
    """
    if len(text) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    constants = {} if allow_nan else {"parse_constant": _refuse_constant}
    try:
        value = json.loads(text.decode("utf-8"), **constants)
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__}, not an object")
    return value


def _refuse_constant(name: str):
    raise ValueError(f"{name} is not a number that JSON knows")
