"""Losses of the restricted kernel machine: one number per image, summed over its pixels."""

import keras
import tensorflow as tf

RECONSTRUCTION_LOSSES = ("binary_crossentropy", "mean_squared_error")


def reconstruction_error(images, reconstructions, *, loss):
    """Returns the reconstruction error of each image, SUMMED over its pixels and channels.

    Args:
        images: Tensor of shape `(batch, ...)`; in [0, 1] for the cross-entropy.
        reconstructions: Tensor of the same shape; probabilities for the cross-entropy.
        loss: `"binary_crossentropy"` (nats) or `"mean_squared_error"` (the squared error; summed
            like the other, in spite of the name that Keras users expect).

    Returns:
        A float32 tensor of shape `(batch,)`, float64 for float64 images.

    Raises:
        ValueError: If `loss` is neither.

    >>> keras_rkm.losses.reconstruction_error(
    ...     np.ones((1, 2)), np.array([[0.0, 0.5]]), loss="mean_squared_error"
    ... ).numpy()
    array([1.25])
    """
    dtype = tf.float64 if images.dtype == tf.float64 else tf.float32
    images, reconstructions = _cast(images, dtype), _cast(reconstructions, dtype)
    if loss == "binary_crossentropy":
        errors = keras.ops.binary_crossentropy(images, reconstructions)
    elif loss == "mean_squared_error":
        errors = tf.square(images - reconstructions)
    else:
        raise ValueError(
            f"`loss` must be one of {', '.join(RECONSTRUCTION_LOSSES)}. Received: loss={loss!r}"
        )
    return tf.reduce_sum(errors, axis=list(range(1, len(errors.shape))))


def pca_reconstruction_error(features, projected_features):
    """Returns `||z - U U' z||^2` for each row z of the centred features.

    It is the part of the features that the latents do not carry. Its mean over a training set is,
    at best, the sum of the trailing eigenvalues of the feature covariance.

    Args:
        features: Tensor of shape `(batch, feature_dim)`, centred.
        projected_features: Tensor of the same shape, `features @ basis @ basis'`.

    Returns:
        A tensor of shape `(batch,)`.

    >>> features, projected_features = np.array([[3.0, 4.0]]), np.array([[3.0, 0.0]])
    >>> keras_rkm.losses.pca_reconstruction_error(features, projected_features).numpy()
    array([16.])
    """
    return tf.reduce_sum(tf.square(features - projected_features), axis=-1)


def _cast(tensor, dtype):
    # Not where the dtype is right already: a sigmoid's output carries its logits with it, from
    # which Keras computes the cross-entropy without overflow, and a cast would lose them.
    return tensor if tensor.dtype == dtype else tf.cast(tensor, dtype)
