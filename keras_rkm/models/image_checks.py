"""What can be wrong with images, said before any work is lost."""

import numpy as np
import tensorflow as tf


def check_images(data, *, image_shape, unit_range, batch_size=None):
    """Raises a clear error for training data that cannot work.

    Arrays are read as a whole. Of a dataset the specification is read and the first batch; what
    comes later is checked while training, see `StiefelRKM.train_step`.

    Args:
        data: Array of shape `(num_images, *image_shape)`, or a `tf.data.Dataset` of batches
            `images` or `(images, ...)`.
        image_shape: Tuple, what the encoder takes.
        unit_range: Bool, whether values outside [0, 1] are an error.
        batch_size: Int or None, as given to `fit`.

    Raises:
        ValueError: If the images have the wrong shape or dtype, are too few, are not finite, or
            leave [0, 1].
    """
    if isinstance(data, tf.data.Dataset):
        _check_dataset(data, image_shape, unit_range)
    elif isinstance(data, np.ndarray | tf.Tensor):
        _check_shape_and_dtype(data.shape, data.dtype, image_shape)
        if len(data) < 2 or batch_size == 1:
            _raise_for_single_image(f"{len(data)} image(s), batch_size={batch_size}")
        _check_values(np.asarray(data), unit_range)


def _check_dataset(dataset, image_shape, unit_range):
    spec = _images_of(dataset.element_spec)
    if not isinstance(spec, tf.TensorSpec):
        raise ValueError(
            "A dataset must yield batches `images` or `(images, labels)`. "
            f"Received elements of: {dataset.element_spec}"
        )
    _check_shape_and_dtype(spec.shape, spec.dtype, image_shape)
    for element in dataset.take(1):
        images = _images_of(element)
        if images.shape[0] < 2:
            _raise_for_single_image("a first batch of one")
        _check_values(images.numpy(), unit_range)
        return
    raise ValueError(
        "The dataset is empty: it yields no batch. Check the folder or the filter it is made from, "
        "and `drop_remainder` with a batch size above the number of images."
    )


def _images_of(element):
    return element[0] if isinstance(element, tuple) else element


def _check_shape_and_dtype(shape, dtype, image_shape):
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


def _raise_for_single_image(received):
    raise ValueError(
        "A batch needs at least two images: features are centred by the mean of their batch, and "
        f"of a single image nothing is left. Received: {received}."
    )
