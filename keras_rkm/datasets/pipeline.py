"""Batches as a pure function of (seed, step), fast enough to feed small networks."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf


def make_batches(tensors: tuple[tf.Tensor, ...], batch_size: int, **options) -> tf.data.Dataset:
    """A pipeline over images in memory; see `make_indexed_batches`.

    The tensors are captured by the function, not written into its graph, which may not exceed 2 GB.

    Args:
        tensors: uint8 images `(num_images, height, width, channels)` and, optionally, labels
            `(num_images,)`; both on the CPU.
        batch_size: Positive int.
        **options: As in `make_indexed_batches`.
    """

    def fetch(indices):
        return tuple(tf.gather(tensor, indices) for tensor in tensors)

    return make_indexed_batches(fetch, int(tensors[0].shape[0]), batch_size, **options)


def make_indexed_batches(
    fetch: Callable[[tf.Tensor], tuple[tf.Tensor, ...]],
    num_images: int,
    batch_size: int,
    *,
    shuffle: bool = True,
    seed: int = 0,
    drop_remainder: bool = False,
    num_epochs: int | None = 1,
    start_step: int = 0,
) -> tf.data.Dataset:
    """A pipeline over whole batches; see `Dataset.batches` for the arguments.

    The elements are step numbers, and one map turns a step into its batch: the indices of the
    epoch's permutation (computed, never stored), what `fetch` finds there, then the cast. Nothing
    is done per image, and there is no state to save but the step.

    Args:
        fetch: Takes indices `(batch,)`; returns uint8 images and, optionally, labels.
        num_images: Positive int.
        batch_size: Positive int.
        shuffle, seed, drop_remainder, num_epochs, start_step: As in `Dataset.batches`.

    Returns:
        A `tf.data.Dataset` of images or of (images, labels), with a static batch size if every
        batch is full.
    """
    steps_per_epoch, num_steps = plan_steps(
        num_images,
        batch_size,
        seed=seed,
        drop_remainder=drop_remainder,
        num_epochs=num_epochs,
        start_step=start_step,
    )
    if num_steps is None:
        steps = tf.data.Dataset.counter(start_step)
    else:
        steps = tf.data.Dataset.range(start_step, num_steps)
    all_full = drop_remainder or num_images % batch_size == 0

    def batch_at(step):
        epoch = step // steps_per_epoch
        start = (step % steps_per_epoch) * batch_size
        indices = tf.range(start, tf.minimum(start + batch_size, num_images))
        if shuffle:
            indices = permute(indices, num_images, seed, epoch)
        if all_full:
            indices = tf.ensure_shape(indices, (batch_size,))
        return to_floats(*fetch(indices))

    return steps.map(batch_at, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(
        tf.data.AUTOTUNE
    )


def plan_steps(
    num_images: int,
    batch_size: int,
    *,
    seed: int,
    drop_remainder: bool,
    num_epochs: int | None,
    start_step: int,
) -> tuple[int, int | None]:
    """Steps in an epoch, and in all of them (None: for ever).

    Raises:
        ValueError: If an argument is out of range.
    """
    _check_int("batch_size", batch_size, 1)
    _check_int("start_step", start_step, 0)
    _check_int("seed", seed, 0, 2**63)
    steps_per_epoch = num_steps_per_epoch(num_images, batch_size, drop_remainder=drop_remainder)
    if num_epochs is None:
        return steps_per_epoch, None
    _check_int("num_epochs", num_epochs, 1)
    num_steps = steps_per_epoch * num_epochs
    if start_step > num_steps:
        raise ValueError(
            f"`start_step` must not exceed the {num_steps} steps there are. "
            f"Received: start_step={start_step}, num_epochs={num_epochs}, "
            f"steps per epoch={steps_per_epoch}. Use a larger `num_epochs`, or None."
        )
    return steps_per_epoch, num_steps


def to_floats(images: tf.Tensor, *labels: tf.Tensor):
    """uint8 images as float32 in [0, 1], beside their labels if there are any."""
    images = tf.cast(images, tf.float32) / 255.0
    return (images, *labels) if labels else images


def num_steps_per_epoch(num_images: int, batch_size: int, *, drop_remainder: bool = False) -> int:
    """How many batches an epoch has.

    Raises:
        ValueError: If that is none, because `drop_remainder` leaves out the only one.

    Example:

    >>> num_steps_per_epoch(10, 4), num_steps_per_epoch(10, 4, drop_remainder=True)
    (3, 2)
    """
    steps = num_images // batch_size if drop_remainder else -(-num_images // batch_size)
    if not steps:
        raise ValueError(
            "`batch_size` must not exceed the number of images when the remainder is dropped. "
            f"Received: batch_size={batch_size}, num_images={num_images}. "
            "Use a smaller `batch_size` or `drop_remainder=False`."
        )
    return steps


def permute(
    indices: tf.Tensor, num_images: int | tf.Tensor, seed: int, epoch: tf.Tensor
) -> tf.Tensor:
    """Where a permutation of `range(num_images)` that depends on seed and epoch sends `indices`.

    The op behind `tf.random.experimental.index_shuffle`, which itself would not do: it takes only
    the lowest 8 bits of each word of its key for sets of up to 65,536 images, so that the seeds 0
    and 256 gave one order and epoch 256 repeated epoch 0; and its 4 rounds leave a pattern in
    which image follows which. Hashed words and 16 rounds cost 0.1 us per image; such a set has
    2**24 orders.
    """
    key = tf.random.stateless_uniform(
        (3,), [tf.constant(seed, tf.int64), epoch], None, None, tf.int32, alg="philox"
    )
    last = tf.cast(num_images - 1, indices.dtype)
    return tf.raw_ops.RandomIndexShuffle(index=indices, seed=key, max_index=last, rounds=16)


def _check_int(name: str, value: int, minimum: int, limit: int | None = None) -> None:
    is_int = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_int or value < minimum or (limit is not None and value >= limit):
        bound = f"at least {minimum}" if limit is None else f"in [{minimum}, {limit})"
        raise ValueError(f"`{name}` must be an int {bound}. Received: {name}={value!r}.")
