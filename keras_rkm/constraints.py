"""The Keras constraint that says: this weight is a point of the Stiefel manifold."""

import keras
import tensorflow as tf

from keras_rkm.manifolds import stiefel


@keras.saving.register_keras_serializable(package="keras_rkm")
class Stiefel(keras.constraints.Constraint):
    """Keeps the columns of a matrix orthonormal.

    It marks a weight as a point of the Stiefel manifold: `keras_rkm.optimizers.CayleyAdam` moves a
    weight so marked along the manifold. Under any other optimizer Keras calls the constraint after
    each step, and the weight goes back to the nearest point of the manifold.

    A weight should start there too: combine it with `initializer="orthogonal"`.

    Input shape: `(..., n, p)` with `p <= n`; each matrix of the last two axes is a point.

    Raises:
        ValueError: When called with a matrix that has more columns than rows.

    >>> layer = keras.layers.Dense(
    ...     4, kernel_initializer="orthogonal", kernel_constraint=keras_rkm.constraints.Stiefel()
    ... )
    """

    def __call__(self, weight):
        weight = tf.convert_to_tensor(weight)
        # A singular value decomposition exists in these two dtypes only.
        compute_dtype = weight.dtype if weight.dtype == tf.float64 else tf.float32
        return tf.cast(stiefel.projection(tf.cast(weight, compute_dtype)), weight.dtype)


def is_on_manifold(variable) -> bool:
    """Whether a `keras.Variable` carries the `Stiefel` constraint."""
    return isinstance(getattr(variable, "constraint", None), Stiefel)
