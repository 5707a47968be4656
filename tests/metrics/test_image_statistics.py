"""Statistics of images, and the file they are kept in: found again, or made anew with a warning."""

import re
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.metrics import extract_features, image_statistics


class _Extractor:
    """Counts the images it has seen."""

    protocol = "pixels, scaled"

    def __init__(self, scale=1.0):
        self.scale = scale
        self.num_images = 0

    def __call__(self, images):
        self.num_images += len(images)
        return self.scale * tf.reshape(images, (len(images), -1))


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (50, 2, 3, 1), np.uint8)


def _cached(images, extractor, folder, name="digits", **options):
    return image_statistics(images, extractor, cache_dir=folder, dataset_name=name, **options)


def _assert_same(found, expected):
    assert (found.num_samples, found.protocol) == (expected.num_samples, expected.protocol)
    np.testing.assert_array_equal(found.mean, expected.mean)
    np.testing.assert_array_equal(found.covariance, expected.covariance)


def _number_of_seen(extractor, call):
    before = extractor.num_images
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        call()
    return extractor.num_images - before


def test_are_those_of_the_features(images):
    features = extract_features(images, _Extractor())
    statistics = image_statistics(images, _Extractor(), batch_size=7)
    np.testing.assert_allclose(statistics.mean, features.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(statistics.covariance, np.cov(features.T), rtol=1e-4, atol=1e-8)
    assert (statistics.num_samples, statistics.protocol) == (50, "pixels, scaled")


def test_second_call_reads_the_file(images, tmp_path):
    extractor = _Extractor()
    folder = tmp_path / "new" / "folder"
    first = _cached(images, extractor, folder)
    (file,) = folder.iterdir()
    assert re.fullmatch(r"digits-[0-9a-f]{16}\.npz", file.name)
    before = extractor.num_images
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        second = _cached(images, extractor, folder)
    assert extractor.num_images - before == 8  # those that tell whether it is the same
    _assert_same(second, first)


def test_batches_and_types_of_the_same_images_find_the_same_file(images, tmp_path):
    extractor = _Extractor()
    _cached(images, extractor, tmp_path)
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(4)
    for source in (dataset, images.astype(np.float32) / np.float32(255)):
        seen = _number_of_seen(extractor, lambda s=source: _cached(s, extractor, tmp_path))
        assert seen == 8
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("change", ["name", "number", "protocol"])
def test_another_key_is_another_file(images, tmp_path, change):
    _cached(images, _Extractor(), tmp_path)
    extractor = _Extractor()
    if change == "protocol":
        extractor.protocol = "pixels, squared"
    options = {"name": {"name": "letters"}, "number": {"num_samples": 40}}.get(change, {})
    assert _number_of_seen(extractor, lambda: _cached(images, extractor, tmp_path, **options)) > 8
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("index", [0, 49])
def test_changed_images_are_computed_anew(images, tmp_path, index):
    _cached(images, _Extractor(), tmp_path)
    images[index] ^= 1
    with pytest.warns(UserWarning, match=r"afresh: the images are not those it was made of"):
        found = _cached(images, _Extractor(), tmp_path)
    _assert_same(found, image_statistics(images, _Extractor()))
    # And kept: the next call is quiet.
    assert _number_of_seen(extractor := _Extractor(), lambda: _cached(images, extractor, tmp_path))


def test_changed_extractor_of_the_same_name_is_noticed(images, tmp_path):
    _cached(images, _Extractor(), tmp_path)
    with pytest.warns(UserWarning, match="the extractor gives other features now"):
        found = _cached(images, _Extractor(scale=1.01), tmp_path)
    _assert_same(found, image_statistics(images, _Extractor(scale=1.01)))


def test_retrained_model_of_the_same_name_is_noticed(images, tmp_path):
    def model():
        return keras.Sequential(
            [keras.Input((2, 3, 1)), keras.layers.Flatten(), keras.layers.Dense(4)], name="same"
        )

    _cached(images, model(), tmp_path)
    with pytest.warns(UserWarning, match="the extractor gives other features now"):
        _cached(images, model(), tmp_path)


def _rewrite(file, **changes):
    with np.load(file) as found:
        parts = {**found, **changes}
    np.savez(file, **parts)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(b"not an archive"),
        lambda file: file.write_bytes(file.read_bytes()[:-100]),
        lambda file: file.write_bytes(file.read_bytes()[:200] + b"?" + file.read_bytes()[201:]),
        lambda file: np.savez(file, mean=np.zeros(6)),
        lambda file: _rewrite(file, covariance=np.full((6, 6), np.nan)),
        lambda file: _rewrite(file, mean=np.zeros(5)),
        lambda file: _rewrite(file, mean=np.array([{}], object)),
    ],
)
def test_damaged_file_is_replaced(images, tmp_path, damage):
    expected = _cached(images, _Extractor(), tmp_path)
    (file,) = tmp_path.iterdir()
    damage(file)
    with pytest.warns(UserWarning, match=rf"'{re.escape(str(file))}' afresh: it is damaged"):
        _assert_same(_cached(images, _Extractor(), tmp_path), expected)
    extractor = _Extractor()
    assert _number_of_seen(extractor, lambda: _cached(images, extractor, tmp_path)) == 8


def test_file_holds_no_pickle(images, tmp_path):
    _cached(images, _Extractor(), tmp_path)
    (file,) = tmp_path.iterdir()
    with np.load(file, allow_pickle=False) as found:
        assert {"mean", "covariance", "num_samples"} <= set(found.files)


def test_full_disk_does_not_cost_the_result(images, tmp_path, monkeypatch):
    def no_space(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", no_space)
    with pytest.warns(UserWarning, match="could not be kept in .*No space left"):
        found = _cached(images, _Extractor(), tmp_path)
    _assert_same(found, image_statistics(images, _Extractor()))
    assert not list(tmp_path.iterdir())


def test_folder_that_cannot_be_made_fails_before_the_work(images, tmp_path):
    (tmp_path / "file").write_text("")
    extractor = _Extractor()
    with pytest.raises(OSError):
        _cached(images, extractor, tmp_path / "file" / "folder")
    assert extractor.num_images == 0


def test_what_can_be_read_once_is_not_cached(images, tmp_path):
    with pytest.raises(ValueError, match="read once.*Received: a generator"):
        _cached((batch for batch in [images]), _Extractor(), tmp_path)
    with pytest.raises(ValueError, match="`dataset_name` is needed.*dataset_name=None"):
        image_statistics(images, _Extractor(), cache_dir=tmp_path)


def test_fewer_images_than_the_mode_asks_for_are_told(images):
    extractor = _Extractor()
    extractor.mode = SimpleNamespace(num_samples=51)
    with pytest.warns(UserWarning, match="asks for 51 images, and these are 50"):
        image_statistics(images, extractor)
    extractor.mode = SimpleNamespace(num_samples=50)
    assert _number_of_seen(extractor, lambda: image_statistics(images, extractor)) == 50
