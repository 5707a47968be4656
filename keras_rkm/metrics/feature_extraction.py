"""From images to features, batch by batch, by any Keras model or callable."""

from collections.abc import Callable, Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf

from .feature_checks import as_features, check_int, check_same_width

_OVERSHOOT = 0.5


def extract_features(
    images, extractor: Callable, *, batch_size: int = 256, num_samples: int | None = None
) -> np.ndarray:
    """Returns the features of images, in their order.

    Args:
        images: An array `(num_images, height, width, channels)`, uint8 or floats in [0, 1]; or a
            `tf.data.Dataset` or another iterable of such batches, or of tuples that begin with
            them.
        extractor: A Keras model or callable from float32 images in [0, 1] to features `(batch,
            num_features)`, such as `penultimate_features(classifier)` or an `InceptionV3`.
        batch_size: Positive int, for arrays. Defaults to 256.
        num_samples: Positive int, take so many images from the start. Defaults to None, all.

    Returns:
        An array `(num_images, num_features)` of what the extractor returns.

    Raises:
        ValueError: If there are fewer images than `num_samples`, images are of another shape or
            type, or features are not finite or no matrix.

    Example:

    >>> images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 1), np.uint8)
    >>> features = keras_rkm.metrics.extract_features(images, keras.layers.Flatten())
    >>> features.shape, bool(features.max() <= 1)
    ((10, 16), True)
    """
    batches = image_batches(images, batch_size=batch_size, num_samples=num_samples)
    return np.concatenate(list(feature_batches(batches, extractor)))


def penultimate_features(classifier: keras.Model) -> keras.Model:
    """Returns the model that ends where the last layer of a classifier begins.

    Args:
        classifier: A functional or sequential `keras.Model`.

    Raises:
        ValueError: If its last layer does not read one matrix `(batch, num_features)`.

    Example:

    >>> dense = keras.layers.Dense
    >>> classifier = keras.Sequential([keras.Input((5,)), dense(7, "relu"), dense(3)])
    >>> keras_rkm.metrics.penultimate_features(classifier).output_shape
    (None, 7)
    """
    layer = classifier.layers[-1] if classifier.layers else None
    inputs = getattr(layer, "input", None)
    if not hasattr(inputs, "shape") or len(inputs.shape) != 2:
        raise ValueError(
            "`classifier` must end with a layer on features of the shape (batch, num_features). "
            f"Received: last layer {layer}. Cut the model yourself and pass it as an extractor."
        )
    return keras.Model(classifier.inputs, inputs, name=f"{classifier.name}_features")


def protocol_of(extractor: Callable) -> str:
    """How an extractor calls itself in reports: its `protocol`, else its name.

    Measures of plain features cannot know it: pass `protocol=protocol_of(extractor)` on to them.

    >>> keras_rkm.metrics.protocol_of(keras.layers.Flatten(name="pixels"))
    'features of the Keras model pixels'
    """
    protocol = getattr(extractor, "protocol", None)
    if protocol is not None:
        return protocol
    if isinstance(extractor, keras.Model | keras.layers.Layer):
        return f"features of the Keras model {extractor.name}"
    return f"features of {getattr(extractor, '__qualname__', type(extractor).__qualname__)}"


def feature_batches(batches: Iterable[tf.Tensor], extractor: Callable) -> Iterator[np.ndarray]:
    """Yields the features of batches of images, checked, `(batch, num_features)`."""
    extract = _inference(extractor)
    width = None
    for batch in batches:
        features = np.asarray(extract(batch))
        as_features(features, "features of `extractor`", min_samples=1)
        if len(features) != len(batch):
            raise ValueError(
                "`extractor` must return one row for each image. "
                f"Received: shape={features.shape} for {len(batch)} images."
            )
        width = features.shape[1] if width is None else width
        check_same_width(width, features.shape[1], ("features", "features of a later batch"))
        yield features


def image_batches(
    images, *, batch_size: int = 256, num_samples: int | None = None
) -> Iterator[tf.Tensor]:
    """Yields float32 batches `(batch, height, width, channels)`; see `extract_features`."""
    check_int("batch_size", batch_size)
    if num_samples is not None:
        check_int("num_samples", num_samples)
    count = 0
    for element in _elements(images, batch_size, num_samples):
        batch = _as_float_images(element)
        if num_samples is not None:
            batch = batch[: num_samples - count]
        count += len(batch)
        yield batch
        if count == num_samples:
            return
    if count < (num_samples or 1):
        raise ValueError(
            "`images` must hold as many images as are asked for. "
            f"Received: {count} images, num_samples={num_samples}."
        )


def first_images(images, number: int) -> tf.Tensor:
    """The first `number` images, or all if there are fewer; converted as by `image_batches`."""
    taken, count = [], 0
    for batch in image_batches(images, batch_size=number):
        taken.append(batch)
        count += len(batch)
        if count >= number:
            break
    return tf.concat(taken, axis=0)[:number]


def _elements(images, batch_size: int, num_samples: int | None) -> Iterable:
    if isinstance(images, tf.data.Dataset):
        if num_samples is None and images.cardinality() == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "`images` must end, since all of them are read. Received: a dataset that repeats "
                "for ever. Leave out `repeat()`, or pass `num_samples=`."
            )
        return images
    if hasattr(images, "shape"):
        if len(images.shape) != 4:
            raise _not_images(images)
        starts = range(0, len(images), batch_size)
        return (images[start : start + batch_size] for start in starts)
    if isinstance(images, Iterable) and not isinstance(images, str | bytes):
        return images
    raise ValueError(
        "`images` must be an array, a tf.data.Dataset or an iterable of batches. "
        f"Received: {images!r} of type {type(images).__name__}. A `keras_rkm.datasets.Dataset` "
        "has `.images` and `.batches(batch_size)`."
    )


def _as_float_images(element) -> tf.Tensor:
    batch = tf.convert_to_tensor(element[0] if isinstance(element, tuple) else element)
    if len(batch.shape) != 4 or not (batch.dtype.is_floating or batch.dtype == tf.uint8):
        raise _not_images(batch)
    if batch.dtype == tf.uint8:
        return tf.cast(batch, tf.float32) / 255
    batch = tf.cast(batch, tf.float32)
    low, high = (float(reduce(batch)) for reduce in (tf.reduce_min, tf.reduce_max))
    # A decoder without a sigmoid may overshoot; images in [0, 255] or [-1, 1] are a mistake.
    if not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT):
        raise ValueError(
            "`images` must be floats in [0, 1], or uint8. "
            f"Received: floats from {low:g} to {high:g}. Scale them."
        )
    return batch


def _inference(extractor: Callable) -> Callable:
    if not callable(extractor):
        raise ValueError(
            "`extractor` must be a Keras model or a callable. "
            f"Received: {extractor!r} of type {type(extractor).__name__}."
        )
    if not isinstance(extractor, keras.Model):
        return extractor

    @tf.function(reduce_retracing=True)
    def infer(images):
        return extractor(images, training=False)

    return infer


def _not_images(images) -> ValueError:
    return ValueError(
        "`images` must be uint8, or floats in [0, 1], of the shape (num_images, height, width, "
        f"channels). Received: shape={tuple(images.shape)}, dtype={images.dtype}."
    )
