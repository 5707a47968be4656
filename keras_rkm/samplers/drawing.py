"""Random numbers of which every row depends on its own seed alone.

All are plain ops that TensorFlow Serving knows. The noise of a row is one op with a key of its own,
and what follows is elementwise: a product of matrices may round a row differently in another batch.
"""

import operator

import tensorflow as tf

# Rows drawn in one iteration of a loop: alone the loop would take longer than the noise.
_ROWS_AT_ONCE = 8
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


def normal_rows(keys: tf.Tensor, dim: int, stream: int = 0) -> tf.Tensor:
    """Standard normal values `(batch, dim)` of keys `(batch,)`.

    Args:
        keys: `(batch,)`.
        dim: Positive int.
        stream: Int >= 0. Another one gives values of the same keys that are independent of these.
    """
    num_rows = tf.size(keys)
    padded = tf.pad(keys, [[0, -num_rows % _ROWS_AT_ONCE]])
    blocks = tf.map_fn(
        lambda keys: tf.stack(
            [_normal_row(key, dim, stream) for key in tf.split(keys, _ROWS_AT_ONCE)]
        ),
        tf.reshape(padded, [-1, _ROWS_AT_ONCE]),
        fn_output_signature=tf.TensorSpec([_ROWS_AT_ONCE, dim], tf.float32),
    )
    return tf.reshape(blocks, [-1, dim])[:num_rows]


def affine_rows(noise: tf.Tensor, means: tf.Tensor, scale_trils: tf.Tensor) -> tf.Tensor:
    """`means + scale_trils @ noise`, row by row, column after column.

    Args:
        noise: `(batch, dim)`.
        means: `(dim,)`, or one for each row.
        scale_trils: `(dim, dim)`, or one for each row.
    """
    rows = means
    for value, column in zip(
        tf.split(noise, noise.shape[1], axis=1), tf.unstack(scale_trils, axis=-1), strict=True
    ):
        rows += value * column
    return rows


def _normal_row(key: tf.Tensor, dim: int, stream: int) -> tf.Tensor:
    # The key is the seed itself. `tf.random.stateless_normal` would scramble it first, which Philox
    # does not need and which doubles the time of a row.
    return tf.raw_ops.StatelessRandomNormalV2(
        shape=[dim], key=key, counter=tf.constant([0, stream], tf.uint64), alg=_PHILOX
    )
