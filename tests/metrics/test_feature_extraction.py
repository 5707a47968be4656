"""Features by Keras models and callables, of arrays, data sets and batches."""

import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.metrics import extract_features, feature_extraction, penultimate_features


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).integers(0, 256, (11, 4, 5, 3), np.uint8)


def _flatten(images):
    return tf.reshape(images, (len(images), -1))


def _model():
    return keras.Sequential(
        [
            keras.Input((4, 5, 3)),
            keras.layers.Flatten(),
            keras.layers.Dense(6, "tanh"),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(2),
        ],
        name="small",
    )


@pytest.mark.parametrize("batch_size", [1, 4, 11, 100])
def test_integers_become_floats_in_their_order(images, batch_size):
    features = extract_features(images, _flatten, batch_size=batch_size)
    np.testing.assert_allclose(features, images.reshape(11, -1) / 255, rtol=1e-6)
    assert features.dtype == np.float32


def test_every_source_gives_the_same(images):
    expected = extract_features(images, _flatten)
    floats = (images / 255).astype(np.float32)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(4)
    labelled = tf.data.Dataset.from_tensor_slices((floats, np.arange(11))).batch(4)
    for source in (floats, tf.constant(images), dataset, labelled, [images[:5], images[5:]]):
        np.testing.assert_allclose(extract_features(source, _flatten), expected, rtol=1e-6)
    generated = (batch for batch in (floats[:3], floats[3:]))
    np.testing.assert_allclose(extract_features(generated, _flatten), expected, rtol=1e-6)


@pytest.mark.parametrize("number", [1, 4, 6, 11])
def test_number_of_samples_counts_from_the_start(images, number):
    expected = extract_features(images, _flatten)[:number]
    endless = tf.data.Dataset.from_tensor_slices(images).batch(4).repeat()
    for source in (images, endless):
        features = extract_features(source, _flatten, num_samples=number, batch_size=4)
        np.testing.assert_array_equal(features, expected)


def test_keras_model_runs_without_dropout_and_in_batches(images):
    model = _model()
    extractor = penultimate_features(model)
    features = extract_features(images, extractor, batch_size=4)
    assert features.shape == (11, 6)
    expected = keras.ops.convert_to_numpy(model.layers[1](images.reshape(11, -1) / 255))
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-6)
    assert feature_extraction.protocol_of(extractor) == "features of the Keras model small_features"


def test_protocol_is_that_of_the_extractor_or_its_name():
    def extractor(images):
        return images

    assert "extractor" in feature_extraction.protocol_of(extractor)
    extractor.protocol = "as they are"
    assert feature_extraction.protocol_of(extractor) == "as they are"


def test_last_layer_has_to_read_a_matrix():
    model = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match="`classifier` must end with a layer on features"):
        penultimate_features(model)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.zeros((3, 4, 4)), "shape=(3, 4, 4)"),
        (np.zeros((3, 4, 4, 1), np.int64), "dtype=<dtype: 'int64'>"),
        (np.full((3, 4, 4, 1), 255.0), "Received: floats from 255 to 255. Scale them."),
        (np.full((3, 4, 4, 1), -1.0), "Received: floats from -1 to -1"),
        (np.full((3, 4, 4, 1), np.nan), "Received: floats from nan to nan"),
        (np.zeros((0, 4, 4, 1)), "Received: 0 images"),
        ("images.npz", "Received: 'images.npz' of type str"),
        (7, "Received: 7 of type int"),
    ],
)
def test_wrong_images_are_refused(source, message):
    with pytest.raises(ValueError, match=f"^`images` must .*{re.escape(message)}"):
        extract_features(source, _flatten)


def test_too_few_images_are_refused(images):
    with pytest.raises(ValueError, match="Received: 11 images, num_samples=12"):
        extract_features(images, _flatten, num_samples=12)


def test_endless_images_are_refused(images):
    endless = tf.data.Dataset.from_tensor_slices(images).batch(4).repeat()
    with pytest.raises(ValueError, match="repeats for ever.*num_samples="):
        extract_features(endless, _flatten)


@pytest.mark.parametrize(
    ("extractor", "message"),
    [
        (lambda images: images, "features of `extractor`` must have the shape"),
        (lambda images: _flatten(images)[:2], "one row for each image. Received: shape=(2, 60)"),
        (lambda images: _flatten(images) / 0.0, "features of `extractor`` must be finite"),
        (lambda images: _flatten(images)[:, : len(images)], "Received: 8 and 3"),
        ("inception", "`extractor` must be a Keras model or a callable. Received: 'inception'"),
    ],
)
def test_wrong_extractors_are_refused(images, extractor, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        extract_features(images, extractor, batch_size=8)


@pytest.mark.parametrize("options", [{"batch_size": 0}, {"num_samples": -3}])
def test_numbers_have_to_be_positive(images, options):
    (name, value), *_ = options.items()
    with pytest.raises(ValueError, match=f"`{name}` must be .*{name}={value}"):
        extract_features(images, _flatten, **options)
