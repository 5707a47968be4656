"""Gram matrices of what a decoder does along directions of its latents, in forward mode."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

_NOT_DIFFERENTIABLE = (
    "`decode` must be made of TensorFlow operations on the latents, or it has no derivatives here. "
    "Received: images that do not depend on them by such operations. Pass `model.decode`, not a "
    "function of NumPy arrays."
)


def decoder_grams(
    decode: Callable,
    latents: np.ndarray,
    axes: np.ndarray,
    *,
    batch_size: int = 32,
    dtype: str = "float32",
) -> np.ndarray:
    """Returns `A' J(h)' J(h) A` at every code h, in float64.

    J(h) is the Jacobian of the pixels with respect to the latents. Its products with the columns
    of A are taken one by one, each at the cost of about two passes through the decoder; J itself,
    of the size pixels times latents, is never formed beyond these columns.

    Args:
        decode: Callable of TensorFlow operations from latents `(batch, latent_dim)` to images
            `(batch, ...)`, each image a function of its own code.
        latents: `(num_samples, latent_dim)`.
        axes: `(latent_dim, num_axes)`, the directions as columns.
        batch_size: Positive int, codes at a time. Defaults to 32.
        dtype: That of the codes that `decode` gets. Defaults to `"float32"`.

    Returns:
        `(num_samples, num_axes, num_axes)`.

    Raises:
        ValueError: If TensorFlow cannot differentiate `decode`, or the derivatives are not finite.

    Example:

    >>> weights = tf.constant([[3.0, 0.0, 4.0], [0.0, 2.0, 0.0]])
    >>> decoder_grams(lambda latents: latents @ weights, np.zeros((1, 2)), np.eye(2))
    array([[[25.,  0.],
            [ 0.,  4.]]])
    """

    @tf.function(reduce_retracing=True)
    def derivative(codes, direction):
        tangents = tf.broadcast_to(direction, tf.shape(codes))
        with tf.autodiff.ForwardAccumulator(codes, tangents) as accumulator:
            images = decode(codes)
        found = accumulator.jvp(images)
        if found is None:
            raise ValueError(_NOT_DIFFERENTIABLE)
        return tf.reshape(found, (tf.shape(codes)[0], -1))

    directions = [tf.constant(axis[np.newaxis], dtype) for axis in np.asarray(axes).T]
    grams = []
    for start in range(0, len(latents), batch_size):
        codes = tf.constant(latents[start : start + batch_size], dtype)
        try:
            columns = tf.stack([derivative(codes, direction) for direction in directions], axis=1)
        except (AttributeError, NotImplementedError) as error:  # what NumPy makes of a graph
            raise ValueError(_NOT_DIFFERENTIABLE) from error
        columns = tf.cast(columns, tf.float64)
        grams.append(tf.matmul(columns, columns, transpose_b=True).numpy())
    grams = np.concatenate(grams)
    if not np.isfinite(grams).all():
        raise ValueError(
            "The derivatives of `decode` must be finite. Received: NaN or Inf in those of "
            f"{int(np.sum(~np.isfinite(grams).all((1, 2))))} of {len(grams)} codes."
        )
    return grams
