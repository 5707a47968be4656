"""Subtracts the mean of the features."""

import keras
import tensorflow as tf

from keras_rkm import _replicas
from keras_rkm.layers.precision import full_precision

_MANY_IMAGES = 2.0**23


@keras.saving.register_keras_serializable(package="keras_rkm")
class FeatureCentering(keras.layers.Layer):
    """Centres features: by the mean of the batch in training, by a known mean otherwise.

    Under a `tf.distribute` strategy the batch is that of all replicas.

    The known mean, `feature_mean`, is tracked while training: the average over all images at first,
    an exponential moving average of the batch means later on. `StiefelRKM.fit_principal_axes`
    replaces it by the exact mean over a data set.

    Args:
        momentum: Float in [0, 1), the share of the old mean that a batch leaves once the average
            has settled. Defaults to `0.99`.

    Input shape: `(batch, feature_dim)`. Output shape: the same, in float32 (float64 for a float64
    layer) under every mixed-precision policy.

    Raises:
        ValueError: If `momentum` is out of range.

    >>> layer = keras_rkm.layers.FeatureCentering()
    >>> layer(np.array([[1.0, 5.0], [3.0, 5.0]], "float32"), training=True).numpy()
    array([[-1.,  0.],
           [ 1.,  0.]], dtype=float32)
    >>> layer.feature_mean.numpy()
    array([2., 5.], dtype=float32)
    """

    def __init__(self, momentum=0.99, **kwargs):
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must lie in [0, 1). Received: momentum={momentum}")
        super().__init__(**full_precision(kwargs))
        self.momentum = momentum

    def build(self, input_shape):
        state = {"trainable": False, "initializer": "zeros", "aggregation": "mean"}
        self.feature_mean = self.add_weight(
            name="feature_mean", shape=(input_shape[-1],), autocast=False, **state
        )
        self.num_images = self.add_weight(name="num_images", shape=(), autocast=False, **state)

    def call(self, features, training=False):
        return features - self.mean(features, training=training)

    def mean(self, features, training=False):
        """Returns what `call` subtracts, `(feature_dim,)`; in training it is tracked."""
        if not training:
            return tf.convert_to_tensor(self.feature_mean)
        mean, num_images = _replicas.mean_of_rows(features)
        self._track(mean, tf.cast(num_images, self.num_images.dtype))
        return mean

    def set_mean(self, mean):
        """Replaces `feature_mean`, of shape `(feature_dim,)`, by one known to be exact."""
        self.feature_mean.assign(mean)
        # From here on new batches move the mean slowly, however few images were seen before.
        self.num_images.assign(_MANY_IMAGES)

    def _track(self, batch_mean, batch_size):
        num_images = self.num_images + batch_size
        rate = tf.maximum(batch_size / num_images, 1 - self.momentum)
        mean = self.feature_mean + rate * (batch_mean - self.feature_mean)
        # A mean with NaN in it would stay NaN for ever.
        is_finite = tf.reduce_all(tf.math.is_finite(mean))
        self.feature_mean.assign(tf.where(is_finite, mean, self.feature_mean))
        # float32 counts no further than 2^24.
        num_images = tf.where(is_finite, num_images, self.num_images)
        self.num_images.assign(tf.minimum(num_images, _MANY_IMAGES))

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}
