import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.samplers.batches import latent_batches

_ROWS = np.random.default_rng(0).normal(size=(600, 3)).astype("float32")


def _double(batch):
    return 2 * batch


def _whole(latents, transform=None):
    return np.concatenate(list(latent_batches(latents, transform)))


@pytest.mark.parametrize(
    "latents",
    [
        _ROWS,
        tf.constant(_ROWS),
        [_ROWS[:100], _ROWS[100:]],
        (batch for batch in (_ROWS[:1], _ROWS[1:1], _ROWS[1:])),
        tf.data.Dataset.from_tensor_slices(_ROWS).batch(64),
        tf.data.Dataset.from_tensor_slices((_ROWS, np.zeros(600))).batch(64),
    ],
    ids=["array", "tensor", "list", "generator", "dataset", "labelled_dataset"],
)
def test_every_source_gives_all_rows_in_order(latents):
    np.testing.assert_array_equal(_whole(latents), _ROWS.astype("float64"))


@pytest.mark.parametrize("labelled", [False, True])
def test_transform_maps_every_batch_of_images(labelled):
    images = np.random.default_rng(0).random((10, 4, 4, 1)).astype("float32")
    elements = (images, np.zeros(10)) if labelled else images
    dataset = tf.data.Dataset.from_tensor_slices(elements).batch(4)
    latents = _whole(dataset, lambda batch: tf.reshape(batch, [-1, 16]))
    np.testing.assert_array_equal(latents, images.reshape(10, 16))


def test_transform_sees_an_array_in_pieces():
    sizes = []

    def transform(batch):
        sizes.append(len(batch))
        return batch

    np.testing.assert_array_equal(_whole(_ROWS, transform), _ROWS)
    assert sum(sizes) == 600 and max(sizes) <= 256


def _with(value):
    rows = _ROWS[:5].astype("float64")
    rows[3, 1] = value
    return rows


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_values_that_are_not_finite_are_refused_and_located(value):
    with pytest.raises(ValueError, match=r"finite.*Received: 1 values.*row 3 and column 1"):
        _whole(_with(value))


@pytest.mark.parametrize(
    ("latents", "received"),
    [
        (np.zeros(3), r"shape=\(3,\)"),
        (np.float32(3), r"shape=\(\)"),
        (np.zeros((2, 3, 1)), r"shape=\(2, 3, 1\)"),
        (np.zeros((3, 0)), r"shape=\(3, 0\)"),
        ([[1.0, 2.0], [3.0, 4.0]], r"shape=\(2,\).*np.asarray"),
        ([_ROWS[:4], _ROWS[:4, :2]], r"Received: 2 after 3"),
        (tf.data.Dataset.from_tensors(_ROWS).repeat(), r"repeats for ever.*take"),
    ],
)
def test_what_is_no_batch_of_latents_is_refused(latents, received):
    with pytest.raises(ValueError, match=received):
        _whole(latents)


def test_a_scalar_is_refused():
    with pytest.raises(TypeError, match=r"Received: 3 of type int"):
        _whole(3)
