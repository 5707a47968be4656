"""Random numbers of which every row depends on its own seed alone.

All are plain ops that TensorFlow Serving knows, and a row is drawn by itself, on tensors of the
same shape whatever the batch: a product of matrices may round a row differently in another batch.
"""

import operator
from collections.abc import Callable

import tensorflow as tf

_PHILOX = 1  # The same numbers on every device; "auto" is another generator on a TPU.
KEYS = tf.TensorSpec([None], tf.uint64)


def row_seeds(num_samples: int, seed: int | None) -> tf.Tensor:
    """Derives seeds `(num_samples,)` from one; those for fewer samples are the first of them."""
    num_samples = _integer(num_samples, "num_samples")
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be at least 1. Received: num_samples={num_samples}.")
    if seed is None:
        return tf.fill([num_samples], tf.constant(-1, tf.int64))
    seed = _integer(seed, "seed")
    if not 0 <= seed < 2**63:
        raise ValueError(
            f"`seed` must be in [0, 2**63). Received: seed={seed}. Use None for fresh entropy."
        )
    pair = tf.constant([seed, 0], tf.int64)
    return tf.random.stateless_uniform(
        [num_samples], pair, minval=0, maxval=tf.int64.max, dtype=tf.int64, alg="philox"
    )


def _integer(value: int, name: str) -> int:
    try:
        return operator.index(value)
    except TypeError:
        raise TypeError(
            f"`{name}` must be an int. Received: {name}={value!r} of type {type(value).__name__}."
        ) from None


def row_keys(seeds) -> tf.Tensor:
    """Turns integer seeds `(batch,)` into uint64 keys `(batch,)`, the negative ones at random.

    Raises:
        ValueError: If `seeds` is not a vector of integers.
    """
    seeds = tf.convert_to_tensor(seeds)
    if not seeds.dtype.is_integer or seeds.shape.rank not in (1, None):
        raise ValueError(
            "`seeds` must be integers of the shape (batch,), one for every row. "
            f"Received: shape={seeds.shape}, dtype={seeds.dtype.name}."
        )
    seeds = tf.cast(seeds, tf.int64)
    # Not tf.random.uniform: where a global seed was set, as for training, an exported graph would
    # keep it and draw the same "fresh" numbers after every start.
    fresh = tf.raw_ops.NonDeterministicInts(
        shape=tf.shape(seeds, out_type=tf.int64), dtype=tf.int64
    )
    return tf.bitcast(tf.where(seeds < 0, fresh, seeds), tf.uint64)


def map_rows(draw_row: Callable, keys: tf.Tensor) -> tf.Tensor:
    """Applies `draw_row` to one key `(1,)` after the other and stacks the float32 results."""
    return tf.map_fn(draw_row, keys[:, tf.newaxis], fn_output_signature=tf.float32)


# The key is the seed itself. `tf.random.stateless_normal` would scramble it first, which Philox
# does not need and which doubles the time of a row. The second word of the counter separates the
# streams of a row.
def normal_row(key: tf.Tensor, dim: tf.Tensor) -> tf.Tensor:
    """Standard normal values `(dim,)`."""
    return tf.raw_ops.StatelessRandomNormalV2(
        shape=tf.reshape(dim, [1]), key=key, counter=_counter(0), alg=_PHILOX
    )


def uniform_row(key: tf.Tensor) -> tf.Tensor:
    """A value `(1,)` uniform in [0, 1), independent of `normal_row`."""
    return tf.raw_ops.StatelessRandomUniformV2(shape=[1], key=key, counter=_counter(1), alg=_PHILOX)


def _counter(stream: int) -> tf.Tensor:
    return tf.constant([0, stream], tf.uint64)
