"""What `fit` refuses, and what it says."""

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.models.image_checks import check_images

SHAPE = (4, 4, 1)


def _check(data, **arguments):
    check_images(data, **{"image_shape": SHAPE, "unit_range": True, **arguments})


def _dataset(images, batch_size=4):
    return tf.data.Dataset.from_tensor_slices(images).batch(batch_size)


def _images(**changes):
    images = np.full((8, *SHAPE), 0.5, "float32")
    for index, value in changes.items():
        images[int(index.strip("_"))] = value
    return images


@pytest.mark.parametrize("wrap", [lambda x: x, tf.constant, _dataset])
def test_good_images_pass(wrap):
    _check(wrap(_images()))


CASES = {
    "no channel axis": (_images()[..., 0], r"shape=\((8|None), 4, 4\).*newaxis"),
    "another size": (np.zeros((8, 5, 4, 1), "float32"), r"shape=\((8|None), 5, 4, 1\)"),
    "bytes": (np.zeros((8, *SHAPE), "uint8"), r"dtype=uint8.*/ 255"),
    "NaN": (_images(_2=np.nan), r"1 of (8|4) images with NaN or Inf, the first at index 2"),
    "Inf": (_images(_3=np.inf), r"1 of (8|4) images with NaN or Inf, the first at index 3"),
    "above one": (_images(_1=255.0), r"values from 0\.5 to 255"),
    "below zero": (_images(_0=-1.0), r"values from -1 to 0\.5"),
}


@pytest.mark.parametrize("wrap", [lambda x: x, _dataset], ids=["array", "dataset"])
@pytest.mark.parametrize("case", CASES)
def test_bad_images_are_refused_with_what_was_received(case, wrap):
    images, message = CASES[case]
    with pytest.raises(ValueError, match=message):
        _check(wrap(images))


def test_any_range_is_fine_for_the_squared_error():
    _check(_images(_1=255.0), unit_range=False)


@pytest.mark.parametrize(
    ("data", "arguments"),
    [(_images()[:1], {}), (_images(), {"batch_size": 1}), (_dataset(_images(), 1), {})],
)
def test_batches_of_one_are_refused(data, arguments):
    with pytest.raises(ValueError, match="at least two images"):
        _check(data, **arguments)


def test_empty_data_are_refused():
    with pytest.raises(ValueError, match="yields no batch"):
        _check(_dataset(_images()).take(0))
    with pytest.raises(ValueError, match=r"at least two images.*Received: 0 image"):
        _check(_images()[:0])


def test_a_dataset_of_dictionaries_is_refused():
    with pytest.raises(ValueError, match="batches `images` or"):
        _check(tf.data.Dataset.from_tensor_slices({"image": _images()}).batch(4))
