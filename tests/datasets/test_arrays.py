"""`from_arrays` and its helpers: what is converted, and what is refused."""

import numpy as np
import pytest

from keras_rkm.datasets import Factor, from_arrays
from keras_rkm.datasets.arrays import choose, resize

_GREY = np.arange(2 * 4 * 5).reshape(2, 4, 5)


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16])
def test_integers_are_taken_as_they_are(dtype):
    dataset = from_arrays(_GREY.astype(dtype))
    assert dataset.images.dtype == np.uint8
    np.testing.assert_array_equal(dataset.images[..., 0], _GREY)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_become_the_nearest_of_256_levels(dtype):
    levels = np.arange(256).reshape(1, 16, 16)
    dataset = from_arrays((levels / 255).astype(dtype))
    np.testing.assert_array_equal(dataset.images[..., 0], levels)
    assert from_arrays(np.full((1, 1, 1), 0.999)).images.item() == 255


def test_floats_are_converted_beyond_the_first_chunk():
    images = np.zeros((5000, 1, 1))
    images[-1] = 1
    assert from_arrays(images).images[[0, 4998, 4999], 0, 0, 0].tolist() == [0, 0, 255]


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32])
def test_binary_images_become_black_and_white(dtype):
    images = (_GREY % 3 == 0).astype(dtype)
    before = images.copy()
    np.testing.assert_array_equal(from_arrays(images).images[..., 0], 255 * (_GREY % 3 == 0))
    np.testing.assert_array_equal(images, before)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_channels_are_kept(channels):
    assert from_arrays(np.zeros((7, 5, 6, channels))).images.shape == (7, 5, 6, channels)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((4, 4)), r"shape=\(4, 4\)"),
        (np.zeros((8, 8, 3)), r"shape=\(8, 8, 3\).*a single image a first axis"),
        (np.zeros((5, 3, 8, 8)), r"shape=\(5, 3, 8, 8\).*channels to the last axis"),
        (np.zeros((0, 8, 8)), r"not be empty.*\(0, 8, 8, 1\)"),
        (np.zeros((2, 0, 8, 1)), r"not be empty.*\(2, 0, 8, 1\)"),
        (np.full((2, 2, 2), np.nan), "finite.*NaN"),
        (np.array([0, np.inf, 0, 0]).reshape(1, 2, 2), "finite"),
        (np.full((2, 2, 2), 254.0), r"\[0, 1\].*\[254, 254\].*Divide them by 255"),
        (np.full((2, 2, 2), -0.5), r"\[0, 1\].*\[-0.5, -0.5\].*Rescale"),
        (_GREY - 1, r"\[0, 255\].*\[-1, 38\]"),
        (_GREY + 250, r"\[0, 255\].*\[250, 289\]"),
        (np.full((2, 2, 2), "a"), "dtype=<U1"),
        (np.full((2, 2, 2), None), "dtype=object"),
    ],
)
def test_images_that_cannot_be_right_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(images)


def test_messages_name_the_source():
    with pytest.raises(ValueError, match="in 'holiday'"):
        from_arrays(np.full((2, 2, 2), np.nan), name="holiday")


def test_classes_are_derived_from_values_and_the_other_way_round():
    values = [[0.5, 30.0], [0.25, 10.0], [0.5, 20.0]]
    dataset = from_arrays(np.zeros((3, 2, 2)), factors=values)
    np.testing.assert_array_equal(dataset.factor_classes, [[1, 2], [0, 0], [1, 1]])
    assert dataset.factor_info == (Factor("factor_0", 2), Factor("factor_1", 3))
    dataset = from_arrays(np.zeros((3, 2, 2)), factor_classes=[[0], [4], [1]])
    assert dataset.factors.dtype == np.float64 and dataset.factor_classes.dtype == np.int64
    np.testing.assert_array_equal(dataset.factors, [[0], [4], [1]])
    assert dataset.factor_info == (Factor("factor_0", 5, "categorical"),)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"labels": [1, 2]}, r"`labels`.*\(3,\).*shape=\(2,\)"),
        ({"labels": [0.5, 1, 2]}, "`labels` must be integers.*float64"),
        ({"labels": [[1], [2], [3]]}, r"`labels`.*shape=\(3, 1\)"),
        ({"factors": [[1.0], [2.0]]}, r"`factors`.*\(3, None\).*shape=\(2, 1\)"),
        ({"factors": [[1.0], [np.nan], [2.0]]}, "`factors` must be finite"),
        ({"factor_classes": [[1.5], [2], [3]]}, "`factor_classes` must be integers"),
        ({"factors": np.zeros((3, 2)), "factor_info": [Factor("a", 1)]}, r"expected \(3, 1\)"),
    ],
)
def test_labels_and_factors_that_do_not_fit_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        from_arrays(np.zeros((3, 2, 2)), **parts)


def test_choice_is_seeded_without_replacement_and_ascending():
    chosen = choose(1000, num_images=300, seed=5, name="x")
    assert len(set(chosen)) == 300 and (np.diff(chosen) > 0).all()
    assert chosen.min() < 50 and chosen.max() >= 950
    np.testing.assert_array_equal(chosen, choose(1000, num_images=300, seed=5, name="x"))
    assert (chosen != choose(1000, num_images=300, seed=6, name="x")).any()
    np.testing.assert_array_equal(choose(4, num_images=None, seed=0, name="x"), range(4))


@pytest.mark.parametrize("num_images", [0, -1, 11, 2.5])
def test_choice_of_more_than_there_is_is_refused(num_images):
    with pytest.raises(ValueError, match=f"10 images of 'x'. Received: num_images={num_images}"):
        choose(10, num_images=num_images, seed=0, name="x")


def test_resizing_cuts_to_the_middle_square():
    images = np.zeros((1, 4, 8, 1), np.uint8)
    images[:, :, 2:6] = 200  # the middle
    np.testing.assert_array_equal(resize(images, 2), np.full((1, 2, 2, 1), 200))
    assert resize(images, 6).shape == (1, 6, 6, 1)


def test_resizing_averages_instead_of_skipping():
    stripes = np.tile(np.array([255, 0, 0, 255], np.uint8), (1, 16, 4))[..., np.newaxis]
    small = resize(stripes, 4)[0, :, 1:3, 0]
    assert (small > 90).all() and (small < 165).all()
