"""Inception v3 as an extractor, with random weights: those of ImageNet cannot be had offline."""

import re
import socket
import time

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format

from keras_rkm.metrics import inception, inception_v3

pytestmark = pytest.mark.slow

_SIZE = 299


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return keras.applications.InceptionV3(
        include_top=False, weights=None, pooling="avg", input_shape=(_SIZE, _SIZE, 3)
    )


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "random.weights.h5"
    network.save_weights(path)
    return path


@pytest.fixture(scope="module")
def extractors(weights):
    return {mode: inception_v3(mode, weights=weights) for mode in inception.INCEPTION_MODES}


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    return tmp_path


def _images(num_images=2, channels=3, size=28):
    shape = (num_images, size, size, channels)
    return np.random.default_rng(0).random(shape, np.float32)


def test_modes_resize_as_they_say(extractors):
    images = _images(1, size=23)  # 299 = 13 * 23
    nearest = extractors["strkm_authors"].preprocess(images).numpy()
    blocks = np.repeat(np.repeat(images, 13, axis=1), 13, axis=2)[..., ::-1]
    np.testing.assert_allclose(nearest, np.round(255 * blocks) / 127.5 - 1, atol=1e-6)
    smooth = extractors["common"].preprocess(images).numpy()
    # Bilinear: neighbours differ by a 13th of what the pixels of the image do.
    assert np.abs(np.diff(smooth, axis=1)).max() < np.abs(np.diff(nearest, axis=1)).max() / 10
    # In the middle of a pixel, and in the order RGB, it is the pixel.
    middles = smooth[0, 6::13, 6::13]
    np.testing.assert_allclose(middles, np.round(255 * images[0]) / 127.5 - 1, atol=1e-5)


def test_common_mode_is_antialiased(extractors):
    # Twice the size, with stripes of one pixel: without a filter they would alias to a pattern.
    stripes = np.zeros((1, 2 * _SIZE + 1, 2 * _SIZE + 1, 1), np.float32)
    stripes[:, ::2] = 1
    seen = extractors["common"].preprocess(stripes).numpy()[0, 5:-5, 5:-5]
    assert np.ptp(seen) < 0.1
    # As the nearest pixels do, which are black or white.
    nearest = extractors["strkm_authors"].preprocess(stripes).numpy()
    assert (np.abs(nearest) == 1).all()


def test_gray_images_get_three_channels_and_8_bits(extractors):
    gray = np.full((1, 4, 4, 1), 0.5013, np.float32)  # 127.8 of 255
    for extractor in extractors.values():
        seen = extractor.preprocess(gray).numpy()
        assert seen.shape == (1, _SIZE, _SIZE, 3)
        np.testing.assert_allclose(seen, 128 / 127.5 - 1, atol=1e-6)
    overshooting = extractors["common"].preprocess(np.full((1, 4, 4, 1), 1.2, np.float32))
    np.testing.assert_allclose(overshooting, 1, atol=1e-6)


def test_features_are_those_of_the_network_on_what_it_is_shown(extractors, network):
    images = _images()
    features = [extractor(images).numpy() for extractor in extractors.values()]
    for found, extractor in zip(features, extractors.values(), strict=True):
        assert found.shape == (2, 2_048)
        expected = network(extractor.preprocess(images), training=False)
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)
    assert np.abs(features[0] - features[1]).max() > 1e-3


def test_protocol_tells_mode_and_weights(extractors):
    common, authors = (extractors[mode].protocol for mode in ("common", "strkm_authors"))
    assert "mode common: antialiased bilinear to 299x299, RGB" in common
    assert "10,000 samples" in common
    assert "mode strkm_authors: nearest neighbour to 299x299, BGR" in authors
    assert "8,000 samples, draws: 10, latents: one Gaussian" in authors
    for protocol in (common, authors):
        assert re.search(r"random\.weights\.h5 \(md5 [0-9a-f]{8}\), not ImageNet's", protocol)


def test_weights_of_imagenet_are_known_by_their_sum(weights, monkeypatch):
    import hashlib

    monkeypatch.setattr(inception, "_MD5", hashlib.md5(weights.read_bytes()).hexdigest())
    assert "(weights ImageNet)" in inception_v3(weights=weights).protocol


def test_weights_in_the_folder_of_keras_are_found(network, keras_home):
    (keras_home / "models").mkdir()
    # The file that Keras offers is in the format of Keras 2.
    with h5py.File(keras_home / "models" / inception._FILE, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, network)
    found = inception_v3()
    assert inception._FILE in found.protocol
    for weight, expected in zip(found.network.weights, network.weights, strict=True):
        np.testing.assert_array_equal(weight, expected)


def test_without_weights_it_says_at_once_where_to_get_them(keras_home):
    start = time.perf_counter()
    with pytest.raises(FileNotFoundError, match="Received: download=False.*`download=True`") as e:
        inception_v3()
    assert time.perf_counter() - start < 1
    assert str(keras_home) in str(e.value) and "`weights=`" in str(e.value)
    assert inception._URL in str(e.value)


def test_failed_download_is_a_clear_error(keras_home, monkeypatch):
    monkeypatch.setattr(inception, "_URL", "http://127.0.0.1:9/weights.h5")  # nobody listens
    with pytest.raises(OSError, match="could not be downloaded: .*127.0.0.1:9.*`weights=`"):
        inception_v3(download=True)
    assert socket.getdefaulttimeout() is None


def test_server_that_does_not_answer_is_given_up(keras_home, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(inception, "_URL", f"http://127.0.0.1:{silent.getsockname()[1]}/x.h5")
        monkeypatch.setattr(inception, "_TIMEOUT", 0.3)
        start = time.perf_counter()
        with pytest.raises(OSError, match="could not be downloaded: .*timed out"):
            inception_v3(download=True)
        assert time.perf_counter() - start < 5


def test_files_that_are_no_weights_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="weights='.*nowhere.h5'"):
        inception_v3(weights=tmp_path / "nowhere.h5")
    (tmp_path / "text.weights.h5").write_text("no weights")
    with pytest.raises(OSError, match="cannot be read from '.*text.weights.h5'"):
        inception_v3(weights=tmp_path / "text.weights.h5")
    small = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    small.save_weights(tmp_path / "small.weights.h5")
    with pytest.raises(OSError, match="include_top=False"):
        inception_v3(weights=tmp_path / "small.weights.h5")


def test_wrong_mode_and_channels_are_refused(extractors):
    with pytest.raises(ValueError, match="'common', 'strkm_authors'.*mode='authors'"):
        inception_v3("authors")
    with pytest.raises(ValueError, match=r"1 or 3 channels.*shape=\(2, 28, 28, 4\)"):
        extractors["common"](tf.constant(_images(channels=4)))
