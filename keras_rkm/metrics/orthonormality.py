"""A Keras metric for how far a basis is from having orthonormal columns."""

import keras

from keras_rkm.manifolds import stiefel


@keras.saving.register_keras_serializable(package="keras_rkm")
class OrthonormalityError(keras.metrics.Mean):
    """Tracks `||U'U - I||_F` of a matrix U, averaged over the updates.

    Zero on the Stiefel manifold, lower is better; float32 rounding leaves about 1e-7 times the
    number of columns. It watches weights, not predictions: call `update_state(model.basis)` in a
    training step or a callback rather than passing it to `compile`.

    Args:
        name: Str. Defaults to `"orthonormality_error"`.
        dtype: Dtype of the average. Defaults to None, Keras' own.

    Example:

    >>> metric = keras_rkm.metrics.OrthonormalityError()
    >>> metric.update_state(tf.constant([[2.0], [0.0]]))  # |2 * 2 - 1|
    >>> float(metric.result())
    3.0
    """

    def __init__(self, name="orthonormality_error", dtype=None):
        super().__init__(name=name, dtype=dtype)

    def update_state(self, matrix, sample_weight=None):
        """Adds a matrix `(n, p)`, or several `(..., n, p)`, as a variable or a tensor.

        Args:
            matrix: The matrix U, or a batch of them.
            sample_weight: Weight of this update, such as the size of a batch of images.

        Raises:
            ValueError: If `matrix` has fewer than two axes.
        """
        if len(matrix.shape) < 2:
            raise ValueError(
                "`matrix` must have the shape (..., n, p). "
                f"Received: shape={tuple(matrix.shape)}. Pass `model.basis`."
            )
        error = stiefel.orthonormality_error(matrix)
        super().update_state(error, sample_weight=sample_weight)
