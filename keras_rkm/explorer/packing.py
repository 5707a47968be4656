"""Weights in few bytes: large Dense kernels by what matters to the pictures, the rest in 16 bits.

A Dense kernel W meets inputs x that fill few directions: behind a narrow code they are a smooth
function of it. In the eigenvectors V of the second moment of x, `W'x = (V'W)'(V'x)`, the row i of
V'W counts by the root of the eigenvalue i. Rounding it to a step in proportion to the inverse root
spreads the error evenly (reverse water-filling, as in the transform coding of pictures): most rows
become small integers or zeros, which `gzip` then makes short.
"""

import dataclasses
import gzip
from collections.abc import Sequence

import numpy as np

from .decoder_steps import Step

_LARGE = 2**16  # entries of a kernel that is worth two
_MANY = 2**12  # numbers that are worth half precision
_MAX_LEVEL = 2**15 - 1  # of a 16-bit integer
# Added to every eigenvalue, as a share of their sum: directions that the inputs at hand hardly show
# may matter to others.
_FLOOR = 1e-7


@dataclasses.dataclass(frozen=True, eq=False)
class PackedSteps:
    """Steps whose arrays lie in one block of bytes.

    Attributes:
        steps: List of dicts: `op`, the options, and under the name of each array its index.
        arrays: List of dicts: `shape`, `kind` (`"float32"`, `"float16"` or `"zigzag16"`), `offset`
            and `length` in bytes.
        data: Bytes, compressed by gzip.
    """

    steps: list[dict]
    arrays: list[dict]
    data: bytes


def is_large(step: Step) -> bool:
    """Whether a step is a Dense layer that `factorized` is for."""
    return step.op == "dense" and step.arrays["kernel"].size >= _LARGE


def factorized(
    kernel: np.ndarray, inputs: np.ndarray, error: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes a Dense kernel as a product of a small matrix, a scale and small integers.

    Args:
        kernel: `(input_dim, units)`.
        inputs: `(num_samples, input_dim)`, what it meets.
        error: Float, how large an error of its outputs may be, relative to their root mean square.

    Returns:
        `vectors`, float32 `(input_dim, rank)`, `scale`, float32 `(rank,)`, and `levels`, int16
        `(rank, units)`; `(vectors * scale) @ levels` is about `kernel` on such inputs.

    Example:

    >>> generator = np.random.default_rng(0)
    >>> inputs = generator.normal(size=(100, 3)) @ generator.normal(size=(3, 20))
    >>> kernel = generator.normal(size=(20, 50))
    >>> vectors, scale, levels = factorized(kernel, inputs, 1e-3)
    >>> difference = inputs @ ((vectors * scale) @ levels - kernel)
    >>> bool(np.sqrt(np.mean(difference**2) / np.mean((inputs @ kernel) ** 2)) < 1e-3)
    True
    """
    kernel, inputs = kernel.astype("float64"), inputs.astype("float64")
    eigenvalues, vectors = np.linalg.eigh(inputs.T @ inputs / len(inputs))
    roots = np.sqrt(np.maximum(eigenvalues, 0) + _FLOOR * eigenvalues.sum())
    rows = vectors.T @ kernel
    size = np.sqrt(np.mean(np.square(roots[:, np.newaxis] * rows), axis=1).sum())
    # Rounding to a step makes an error of step / sqrt(12), and the errors of the rows add up.
    scale = error * size * np.sqrt(12 / len(roots)) / roots
    scale = np.maximum(scale, np.abs(rows).max(axis=1) / _MAX_LEVEL)
    levels = np.round(rows / scale[:, np.newaxis]).astype("int16")
    used = levels.any(axis=1)
    return vectors[:, used].astype("float32"), scale[used].astype("float32"), levels[used]


def pack(steps: Sequence[Step], *, dtype: str = "float16") -> PackedSteps:
    """Lays the arrays of steps out in one block.

    Args:
        steps: `Step`s. Arrays of int16 are kept as they are.
        dtype: `"float16"` or `"float32"`, for arrays of many numbers; others are float32.
    """
    blocks, arrays, packed = [], [], []
    offset = 0
    for step in steps:
        indices = {}
        for name, array in step.arrays.items():
            kind, block = _encoded(array, dtype)
            indices[name] = len(arrays)
            arrays.append(
                {"shape": list(array.shape), "kind": kind, "offset": offset, "length": len(block)}
            )
            # A multiple of four bytes, where a Float32Array may begin.
            blocks.append(block + bytes(-len(block) % 4))
            offset += len(blocks[-1])
        packed.append({"op": step.op, **step.options, **indices})
    # Without the time, so that the same model gives the same file.
    return PackedSteps(packed, arrays, gzip.compress(b"".join(blocks), 9, mtime=0))


def rounded(array: np.ndarray, *, dtype: str = "float16") -> np.ndarray:
    """What is left of an array after `pack`."""
    if array.dtype == np.int16:
        return array
    return array.astype(_kind(array, dtype)).astype("float32")


def _encoded(array: np.ndarray, dtype: str) -> tuple[str, bytes]:
    if array.dtype == np.int16:
        # 0, -1, 1, -2, ... as 0, 1, 2, 3, ...: the high bytes of small numbers are zero. They come
        # after all low ones, where they take no room.
        unsigned = ((array << 1) ^ (array >> 15)).astype("<u2").ravel()
        return "zigzag16", unsigned.view("u1").reshape(-1, 2).T.tobytes()
    kind = _kind(array, dtype)
    return kind, array.astype(np.dtype(kind).newbyteorder("<")).tobytes()


def _kind(array: np.ndarray, dtype: str) -> str:
    return dtype if array.size >= _MANY else "float32"
