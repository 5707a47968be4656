"""What `fit` refuses, and what it says."""

import re

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.models import image_checks
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


def _check_all(data, **arguments):
    """The check before training, then that of each batch in a graph."""
    _check(data, **arguments)
    if isinstance(data, tf.data.Dataset):
        settings = {"image_shape": SHAPE, "unit_range": True, **arguments}

        @tf.function
        def check(images):
            with tf.control_dependencies(image_checks.check_batch(images, **settings)[1]):
                return tf.identity(images)

        for images in data:
            check(images)


CASES = {
    "no channel axis": (_images()[..., 0], r"shape=\((8|None), 4, 4\).*newaxis"),
    "another size": (np.zeros((8, 5, 4, 1), "float32"), r"shape=\((8|None), 5, 4, 1\)"),
    "bytes": (np.zeros((8, *SHAPE), "uint8"), r"dtype=uint8.*/ 255"),
    "NaN": (_images(_2=np.nan), r"1 of 8 images with NaN or Inf, the first at index 2"),
    "Inf": (_images(_3=np.inf), r"1 of 8 images with NaN or Inf, the first at index 3"),
    "above one": (_images(_1=255.0), r"values from 0\.5 to 255"),
    "below zero": (_images(_0=-1.0), r"values from -1 to 0\.5"),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_arrays_are_refused_with_what_was_received(case):
    images, message = CASES[case]
    with pytest.raises(ValueError, match=message):
        _check(images)


@pytest.mark.parametrize("case", list(CASES)[:3])
def test_bad_datasets_are_refused_by_their_specification(case):
    images, message = CASES[case]
    with pytest.raises(ValueError, match=message):
        _check(_dataset(images))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("NaN", image_checks.NOT_FINITE),
        ("Inf", image_checks.NOT_FINITE),
        ("above one", image_checks.OUT_OF_RANGE),
        ("below zero", image_checks.OUT_OF_RANGE),
    ],
)
def test_bad_batches_are_refused_in_the_graph(case, message):
    with pytest.raises(tf.errors.InvalidArgumentError, match=re.escape(message)):
        _check_all(_dataset(CASES[case][0]))


def test_good_batches_pass_in_the_graph():
    _check_all(_dataset(_images()))
    _check_all(_dataset(_images(_1=255.0)), unit_range=False)


def test_a_look_at_a_dataset_does_not_move_it_on():
    drawn = []

    def images():
        for image in _images():
            drawn.append(1)
            yield image

    dataset = tf.data.Dataset.from_generator(images, output_signature=tf.TensorSpec(SHAPE))
    _check(dataset.batch(4))
    assert not drawn


def test_an_unknown_rank_is_refused_with_the_way_out():
    dataset = _dataset(_images()).map(lambda x: tf.numpy_function(lambda y: y, [x], tf.float32))
    with pytest.raises(ValueError, match="ensure_shape"):
        _check(dataset)


def test_nothing_is_refused():
    with pytest.raises(ValueError, match="x=None"):
        _check(None)


def test_any_range_is_fine_for_the_squared_error():
    _check(_images(_1=255.0), unit_range=False)


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (_images()[:1], {}),
        (_images(), {"batch_size": 1}),
        (_images(), {"batch_size": 7}),  # a rest of one
        (tf.data.Dataset.from_tensor_slices(_images()).batch(1, drop_remainder=True), {}),
    ],
)
def test_batches_of_one_are_refused(data, arguments):
    with pytest.raises(ValueError, match="at least two images"):
        _check(data, **arguments)


def test_one_image_is_enough_to_evaluate():
    _check(_images()[:1], min_images=1)


def test_empty_data_are_refused():
    with pytest.raises(ValueError, match="yields no batch"):
        _check(_dataset(_images()).take(0))
    with pytest.raises(ValueError, match=r"at least two images.*Received: 0 images"):
        _check(_images()[:0])


def test_a_dataset_of_dictionaries_is_refused():
    with pytest.raises(ValueError, match="batches `images` or"):
        _check(tf.data.Dataset.from_tensor_slices({"image": _images()}).batch(4))
