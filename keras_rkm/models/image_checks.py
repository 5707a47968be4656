"""What can be wrong with images, said before any work is lost."""

import numpy as np
import tensorflow as tf

from keras_rkm import _replicas

NOT_FINITE = "Images must be finite. Received: NaN or Inf"
OUT_OF_RANGE = "Images must lie in [0, 1] for the binary cross-entropy. Received: others"
DATASETS = (tf.data.Dataset, tf.distribute.DistributedDataset)
EMPTY = (
    "There are no images: the dataset yields no batch. Check the folder or the filter it is made "
    "from, and `drop_remainder` with a batch size above the number of images."
)


def images_of(data):
    """The images of what Keras takes: of `(images, ...)` the first entry."""
    return data[0] if isinstance(data, list | tuple) else data


def check_images(data, *, image_shape, unit_range, batch_size=None, min_images=2):
    """Raises a clear error for data that cannot work, as far as can be seen without reading it.

    Arrays are read as a whole. Of a dataset only the specification is looked at: to read a batch
    would move on a shuffled or one-shot dataset. What comes in batches is checked there, see
    `check_batch`.

    Args:
        data: Array of shape `(num_images, *image_shape)`, a `tf.data.Dataset` of batches `images`
            or `(images, ...)`, or anything else that Keras takes.
        image_shape: Tuple, what the encoder takes.
        unit_range: Bool, whether values outside [0, 1] are an error.
        batch_size: Int for arrays, to look at the last batch too; None does not.
        min_images: Int, the images that a batch needs: 2 to train on, 1 to evaluate.

    Raises:
        ValueError: If the images have the wrong shape or dtype, are too few, are not finite, or
            leave [0, 1].
    """
    if data is None:
        raise ValueError(
            "There is nothing to read images from. Received: x=None. Pass an array of images or a "
            "dataset of batches."
        )
    if isinstance(data, tf.data.Dataset):
        _check_dataset(data, image_shape, min_images)
    elif isinstance(data, np.ndarray | tf.Tensor):
        _check_array(np.asarray(data), image_shape, unit_range, batch_size, min_images)


def check_batch(images, *, image_shape, unit_range):
    """Looks at a batch inside a graph.

    A check that fails on one replica alone would leave the others waiting for it.

    Args:
        images: Tensor of shape `(batch, *image_shape)`; there may be none.
        image_shape: Tuple, what the encoder takes.
        unit_range: Bool, whether values outside [0, 1] are an error.

    Returns:
        The share of this replica, a `keras_rkm._replicas.Share`, and the checks: operations that
        fail, on all replicas if it is on any, with one of the messages.

    Raises:
        ValueError: While tracing, if the shape or the dtype is wrong.
    """
    check_spec(images.shape, images.dtype, image_shape)
    flags = {NOT_FINITE: tf.reduce_any(~tf.math.is_finite(images))}
    if unit_range:
        flags[OUT_OF_RANGE] = (tf.reduce_min(images) < 0) | (tf.reduce_max(images) > 1)
    share, failed = _replicas.Share.with_flags(images, *flags.values())
    checks = []
    for message, flag in zip(flags, failed, strict=True):
        with tf.control_dependencies(checks):  # so that the first one is the one that is told
            checks.append(tf.debugging.Assert(~flag, [message]))
    return share, checks


def _check_array(images, image_shape, unit_range, batch_size, min_images):
    check_spec(images.shape, images.dtype, image_shape)
    batch_size = batch_size or len(images) or 1
    if min(len(images) % batch_size or batch_size, len(images)) < min_images:
        _raise_for_small_batch(f"{len(images)} images in batches of {batch_size}")
    _check_values(images, unit_range)


def _check_dataset(dataset, image_shape, min_images):
    spec = images_of(dataset.element_spec)
    if not isinstance(spec, tf.TensorSpec):
        raise ValueError(
            "A dataset must yield batches `images` or `(images, labels)`. "
            f"Received elements of: {dataset.element_spec}"
        )
    check_spec(spec.shape, spec.dtype, image_shape)
    if dataset.cardinality() == 0:
        raise ValueError(EMPTY)
    if spec.shape[0] is not None and spec.shape[0] < min_images:
        _raise_for_small_batch("batches of one")


def check_spec(shape, dtype, image_shape):
    """Raises a ValueError unless batches of this shape and dtype are images of `image_shape`."""
    if tf.TensorShape(shape).rank is None:
        raise ValueError(
            "The rank of the images must be known. Received: a dataset of unknown shape. Tell it "
            f"by `dataset.map(lambda images: tf.ensure_shape(images, (None, *{image_shape})))`."
        )
    shape = tuple(shape)
    if len(shape) != len(image_shape) + 1 or any(
        size not in (None, expected) for size, expected in zip(shape[1:], image_shape, strict=True)
    ):
        raise ValueError(
            "Images must come in batches of the shape that the encoder was built for, "
            f"(batch, {', '.join(map(str, image_shape))}). Received: shape={shape}. Add a channel "
            "axis with `images[..., np.newaxis]`, batch the dataset, or build the encoder for this "
            "shape."
        )
    if not tf.as_dtype(dtype).is_floating:
        raise ValueError(
            f"Images must be floats. Received: dtype={tf.as_dtype(dtype).name}. Convert 8-bit "
            "images with `images.astype('float32') / 255`."
        )


def _check_values(images, unit_range):
    lowest, highest = images.min(), images.max()  # NaN if any is
    if not (np.isfinite(lowest) and np.isfinite(highest)):
        wrong = np.flatnonzero(~np.isfinite(images).reshape(len(images), -1).all(axis=1))
        raise ValueError(
            f"Images must be finite. Received: {len(wrong)} of {len(images)} images with NaN or "
            f"Inf, the first at index {wrong[0]}. Remove them or repair what made them."
        )
    if unit_range and (lowest < 0 or highest > 1):
        raise ValueError(
            "Images must lie in [0, 1] for the binary cross-entropy. "
            f"Received: values from {lowest:.6g} to {highest:.6g}. Rescale them, or use "
            '`reconstruction_loss="mean_squared_error"` with a decoder that reaches these values.'
        )


def _raise_for_small_batch(received):
    raise ValueError(
        "A batch needs at least two images to train on, and one at all: features are centred by "
        "the mean of their batch, and of a single image nothing is left. "
        f"Received: {received}. Use another batch size, or leave an image out."
    )
