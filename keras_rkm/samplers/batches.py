"""One way to read latents: an array, a `tf.data.Dataset` or batches, through a model or not."""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

# Rows of an array that go through `transform` at a time: a batch of images that an encoder bears.
_CHUNK = 256


def latent_batches(latents, transform: Callable | None = None) -> Iterator[np.ndarray]:
    """Yields float64 batches `(num_samples, latent_dim)`, all of one width and finite.

    Args:
        latents: An array or tensor `(num_samples, ...)`, or a finite iterable of such batches. Of
            a tuple `(images, labels)` the first entry is taken.
        transform: Callable applied to every batch, such as `model.encode`. Defaults to None.

    Raises:
        ValueError: If a batch is not a matrix, holds NaN or infinity, or differs in its width.
        TypeError: If `latents` is neither an array nor an iterable.
    """
    latent_dim = None
    for batch in _elements(latents):
        batch = batch[0] if isinstance(batch, tuple) else batch
        batch = _checked(batch if transform is None else transform(batch), latent_dim)
        latent_dim = batch.shape[1]
        if len(batch):
            yield batch


def _elements(latents) -> Iterable:
    if isinstance(latents, tf.data.Dataset):
        if latents.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "`latents` must end, since all of them are read. Received: a dataset that repeats "
                "for ever. Leave out `repeat()`, or use `dataset.take(num_batches)`."
            )
        return latents
    if hasattr(latents, "shape"):
        if not len(latents.shape):
            raise _not_a_matrix(latents.shape)
        starts = range(0, max(int(latents.shape[0]), 1), _CHUNK)
        return (latents[start : start + _CHUNK] for start in starts)
    if not isinstance(latents, Iterable):
        raise TypeError(
            "`latents` must be an array (num_samples, latent_dim), a tf.data.Dataset or an "
            f"iterable of such arrays. Received: {latents!r} of type {type(latents).__name__}."
        )
    return latents


def _checked(batch, latent_dim: int | None) -> np.ndarray:
    batch = np.asarray(batch, "float64")
    if batch.ndim != 2 or not batch.shape[1]:
        raise _not_a_matrix(batch.shape)
    if latent_dim is not None and batch.shape[1] != latent_dim:
        raise ValueError(
            "`latents` must have the same number of columns in every batch. "
            f"Received: {batch.shape[1]} after {latent_dim}."
        )
    # In float32, since that is what samples are: 1e300 would become infinite there.
    bad = ~(np.abs(batch) <= np.finfo("float32").max)
    if bad.any():
        rows, columns = np.nonzero(bad)
        raise ValueError(
            "`latents` must be finite in float32. "
            f"Received: {bad.sum()} values that are not, the first {batch[rows[0], columns[0]]} in "
            f"row {rows[0]} and column {columns[0]} of a batch. Has the training diverged?"
        )
    return batch


def _not_a_matrix(shape) -> ValueError:
    return ValueError(
        "`latents` must have the shape (num_samples, latent_dim), or be batches of that shape. "
        f"Received: shape={tuple(shape)}. Give a list of rows as `np.asarray(rows)`, and images "
        "together with `transform=model.encode`."
    )
