"""`load` finds the right source and passes its options on."""

import gzip

import numpy as np
import pytest
from PIL import Image

from keras_rkm import datasets
from keras_rkm.datasets import loading, tfds_source

_IMAGES = np.arange(10 * 6 * 5, dtype=np.uint8).reshape(10, 6, 5) % 251


@pytest.fixture
def npz(tmp_path):
    np.savez(tmp_path / "some.npz", images=_IMAGES, labels=np.arange(10))
    return tmp_path / "some.npz"


def _write_idx(path, images):
    header = bytes([0, 0, 8, 3]) + np.array(images.shape, ">i4").tobytes()
    path.write_bytes(gzip.compress(header + images.tobytes()))


def test_generated_sets_are_found_by_name(monkeypatch):
    dataset = datasets.load("dsprites_like", num_images=30, seed=3)
    assert dataset.image_shape == (64, 64, 1) and dataset.name == "dsprites_like"
    expected = datasets.DSpritesLike().load(num_images=30, seed=3)
    np.testing.assert_array_equal(dataset.images, expected.images)
    test = datasets.load("shapes3d_like", split="test", num_images=5, image_size=16)
    expected = datasets.Shapes3DLike(image_size=16).load(split="test", num_images=5)
    np.testing.assert_array_equal(test.images, expected.images)


def test_generated_sets_have_20000_images_by_default():
    assert datasets.load("dsprites_like", image_size=16).num_images == 20_000


def test_npz_by_string_and_by_path(npz):
    for path in (npz, str(npz)):
        np.testing.assert_array_equal(datasets.load(path).images[..., 0], _IMAGES)


def test_archive_is_told_by_its_content(npz):
    renamed = npz.rename(npz.with_name("no-suffix"))
    assert datasets.load(renamed).num_images == 10


def test_home_is_expanded(npz, monkeypatch):
    monkeypatch.setenv("HOME", str(npz.parent))
    assert datasets.load("~/some.npz").num_images == 10


def test_choice_and_size_apply_to_arrays_with_their_labels(npz):
    dataset = datasets.load(npz, num_images=4, seed=1, image_size=5)
    assert dataset.images.shape == (4, 5, 5, 1)
    assert dataset.labels.tolist() == sorted(set(dataset.labels.tolist()))
    # Labels count the images, so they tell which ones were taken; rows 0 to 4 of 6 are the middle.
    np.testing.assert_array_equal(dataset.images[..., 0], _IMAGES[dataset.labels][:, :5])
    assert datasets.load(npz, num_images=4, seed=2).labels.tolist() != dataset.labels.tolist()


def test_idx_file_and_folder(tmp_path):
    _write_idx(tmp_path / "t10k-images-idx3-ubyte.gz", _IMAGES[:3])
    _write_idx(tmp_path / "train-images-idx3-ubyte.gz", _IMAGES)
    assert datasets.load(tmp_path).num_images == 10
    assert datasets.load(tmp_path, split="test").num_images == 3
    assert datasets.load(tmp_path / "t10k-images-idx3-ubyte.gz").num_images == 3


def test_folder_of_images_with_and_without_splits(tmp_path):
    for name, value in (("train/a.png", 1), ("test/b.png", 2), ("test/c.png", 3)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (4, 4), value * 10).save(tmp_path / name)
    assert datasets.load(tmp_path).images[:, 0, 0, 0].tolist() == [10]
    test = datasets.load(tmp_path, split="test")
    assert test.images[:, 0, 0, 0].tolist() == [20, 30] and test.labels is None
    with pytest.raises(ValueError, match="`split` must be a sub-folder.*split='validation'"):
        datasets.load(tmp_path, split="validation")
    with pytest.raises(ValueError, match="split='test'"):
        datasets.load(tmp_path / "train", split="test")


def test_single_files_have_one_split(npz):
    with pytest.raises(ValueError, match="`split` must be 'train' for a single file.*'test'"):
        datasets.load(npz, split="test")


@pytest.mark.parametrize("path", ["./missing", "/missing/folder", "missing.npz", "a/b.idx", "x.gz"])
def test_paths_that_do_not_exist_are_told_from_names(path):
    with pytest.raises(FileNotFoundError, match="must exist if it is a path.*Check the spelling"):
        datasets.load(path)


def test_other_names_go_to_tensorflow_datasets_with_all_options(monkeypatch):
    calls = []
    monkeypatch.setattr(tfds_source, "load_tfds", lambda *a, **k: calls.append((a, k)))
    options = {
        "split": "train[:5]",
        "data_dir": "d",
        "download": True,
        "num_images": 3,
        "image_size": 8,
        "seed": 4,
    }
    datasets.load("emnist/letters", **options)
    assert calls == [(("emnist/letters",), options)]


@pytest.mark.parametrize("image_size", [0, -3, 2.5, "64", True])
def test_image_size_must_be_a_positive_int(npz, image_size):
    with pytest.raises(ValueError, match="`image_size` must be a positive int or None. Received"):
        datasets.load(npz, image_size=image_size)


def test_every_generated_name_says_that_it_is_not_the_original():
    assert all(name.endswith("_like") for name in loading.GENERATED_SETS)
