"""TensorFlow Datasets, on tiny data sets prepared in a temporary folder; no network."""

import socket
import sys

import numpy as np
import pytest

from keras_rkm.datasets import Factor, tfds_source
from keras_rkm.datasets.tfds_source import load_tfds, stream_tfds

_NUM_TRAIN, _NUM_TEST = 30, 6


def _image(number: int, size: int = 8) -> np.ndarray:
    return np.full((size, size, 1), number * 3, np.uint8)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    """A `data_dir` with three data sets: digits, sprites with factors, photos of many sizes."""
    tfds = pytest.importorskip("tensorflow_datasets", reason="needs keras-rkm[tfds]")

    class _Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = tfds.features.FeaturesDict(self._features())
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {
                "train": self._generate_examples(range(_NUM_TRAIN)),
                "test": self._generate_examples(range(40, 40 + _NUM_TEST)),
            }

        def _generate_examples(self, numbers):
            for number in numbers:
                yield number, self._example(number)

    class TinyDigits(_Tiny):
        def _features(self):
            image = tfds.features.Image(shape=(8, 8, 1))
            return {"image": image, "label": tfds.features.ClassLabel(num_classes=100)}

        def _example(self, number):
            return {"image": _image(number), "label": number}

    class TinySprites(_Tiny):
        """As TFDS stores dSprites: pixels 0 and 1, and `label_*`, `value_*` features."""

        sizes = {"shape": 3, "scale": 6, "orientation": 40, "x_position": 32, "y_position": 32}

        def _features(self):
            scalar = tfds.features.Tensor(shape=(), dtype=np.float32)
            labels = {
                f"label_{name}": tfds.features.ClassLabel(num_classes=size)
                for name, size in self.sizes.items()
            }
            values = {f"value_{name}": scalar for name in self.sizes}
            return {"image": tfds.features.Image(shape=(8, 8, 1)), **labels, **values}

        def _example(self, number):
            image = np.zeros((8, 8, 1), np.uint8)
            image.flat[number] = 1
            classes = {name: number % size for name, size in self.sizes.items()}
            labels = {f"label_{name}": value for name, value in classes.items()}
            return {
                "image": image,
                **labels,
                **{f"value_{name}": 0.5 * value for name, value in classes.items()},
            }

    class TinyPhotos(_Tiny):
        def _features(self):
            # Not a class: the label of such a data set is left alone.
            label = tfds.features.Sequence(np.int64)
            return {"image": tfds.features.Image(shape=(None, None, 1)), "label": label}

        def _example(self, number):
            return {"image": _image(number, size=8 + number), "label": [1] * number}

    class TinyTexts(_Tiny):
        def _features(self):
            return {"text": tfds.features.Text()}

        def _example(self, number):
            return {"text": "a"}

    data_dir = str(tmp_path_factory.mktemp("tfds"))
    for builder in (TinyDigits, TinySprites, TinyPhotos, TinyTexts):
        builder(data_dir=data_dir).download_and_prepare()
    return data_dir


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refuse(*_):
        pytest.fail("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)


def test_images_and_labels_belong_together(prepared):
    dataset = load_tfds("tiny_digits", data_dir=prepared)
    assert dataset.images.shape == (_NUM_TRAIN, 8, 8, 1)
    assert sorted(dataset.labels) == list(range(_NUM_TRAIN))
    np.testing.assert_array_equal(dataset.images[:, 5, 5, 0], dataset.labels * 3)
    again = load_tfds("tiny_digits", data_dir=prepared)
    np.testing.assert_array_equal(dataset.labels, again.labels)


def test_set_whose_builder_is_not_at_hand_is_read_from_its_files(prepared, monkeypatch):
    expected = load_tfds("tiny_digits", data_dir=prepared)
    monkeypatch.setattr("tensorflow_datasets.list_builders", lambda **_: ["mnist"])
    for name in ("tiny_digits", "tiny_digits:1.0.0"):
        images = load_tfds(name, data_dir=prepared)
        np.testing.assert_array_equal(images.images, expected.images)
    assert stream_tfds("tiny_digits", data_dir=prepared).num_images == expected.num_images


def test_splits_and_slices_are_those_of_tfds(prepared):
    test = load_tfds("tiny_digits", split="test", data_dir=prepared)
    assert sorted(test.labels) == list(range(40, 40 + _NUM_TEST))
    head = load_tfds("tiny_digits", split="train[:10%]", data_dir=prepared)
    assert head.num_images == 3
    with pytest.raises(ValueError, match=r"`split`.*\['test', 'train'\].*split='validation'"):
        load_tfds("tiny_digits", split="validation", data_dir=prepared)
    with pytest.raises(ValueError, match=r"`split`.*split='train\[:'"):
        load_tfds("tiny_digits", split="train[:", data_dir=prepared)
    with pytest.raises(ValueError, match="must not be empty"):
        load_tfds("tiny_digits", split="train[:0]", data_dir=prepared)


def test_choice_keeps_the_stored_order(prepared):
    whole = load_tfds("tiny_digits", data_dir=prepared).labels.tolist()
    part = load_tfds("tiny_digits", data_dir=prepared, num_images=9, seed=2)
    places = [whole.index(label) for label in part.labels]
    assert places == sorted(set(places)) and len(places) == 9
    np.testing.assert_array_equal(part.images[:, 0, 0, 0], part.labels * 3)
    other = load_tfds("tiny_digits", data_dir=prepared, num_images=9, seed=3)
    assert other.labels.tolist() != part.labels.tolist()


def test_factors_of_dsprites_are_read_in_their_own_order(prepared, monkeypatch):
    kinds = {**tfds_source._KINDS, "tiny_sprites": tfds_source._KINDS["dsprites"]}
    monkeypatch.setattr(tfds_source, "_KINDS", kinds)
    dataset = load_tfds("tiny_sprites", data_dir=prepared)
    assert dataset.factor_info == (
        Factor("shape", 3, "categorical"),
        Factor("scale", 6, "continuous"),
        Factor("orientation", 40, "circular"),
        Factor("x_position", 32, "continuous"),
        Factor("y_position", 32, "continuous"),
    )
    numbers = dataset.images.reshape(_NUM_TRAIN, -1).argmax(axis=1)
    np.testing.assert_array_equal(dataset.images.reshape(_NUM_TRAIN, -1).sum(axis=1), 255)
    expected = numbers[:, None] % [3, 6, 40, 32, 32]
    np.testing.assert_array_equal(dataset.factor_classes, expected)
    np.testing.assert_array_equal(dataset.factors, 0.5 * expected)


def test_images_of_many_sizes_need_an_image_size(prepared):
    with pytest.raises(
        ValueError, match=r"`image_size` is needed.*'tiny_photos'.*\(None, None, 1\)"
    ):
        load_tfds("tiny_photos", data_dir=prepared)
    dataset = load_tfds("tiny_photos", data_dir=prepared, image_size=5)
    assert dataset.images.shape == (_NUM_TRAIN, 5, 5, 1) and dataset.labels is None
    assert sorted(dataset.images[:, 2, 2, 0] // 3) == list(range(_NUM_TRAIN))


def test_a_data_set_without_images_is_refused(prepared):
    with pytest.raises(ValueError, match=r"(?s)feature 'image' of uint8 images.*'text': Text"):
        load_tfds("tiny_texts", data_dir=prepared)


def test_what_is_not_prepared_is_not_downloaded(tmp_path):
    pytest.importorskip("tensorflow_datasets", reason="needs keras-rkm[tfds]")
    with pytest.raises(FileNotFoundError, match="'mnist' is not prepared in.*`download=True`"):
        load_tfds("mnist", data_dir=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_download_happens_on_request_and_its_failure_is_told(tmp_path, monkeypatch):
    tfds = pytest.importorskip("tensorflow_datasets", reason="needs keras-rkm[tfds]")

    def fail(self):
        raise TimeoutError("no route to host")

    monkeypatch.setattr(tfds.core.GeneratorBasedBuilder, "download_and_prepare", fail)
    with pytest.raises(OSError, match="'mnist' could not be downloaded.*no route to host"):
        load_tfds("mnist", data_dir=str(tmp_path), download=True)


def test_unknown_names_get_near_ones():
    pytest.importorskip("tensorflow_datasets", reason="needs keras-rkm[tfds]")
    with pytest.raises(ValueError, match="Received: 'fashion_mnits'. Did you mean 'fashion_mnist'"):
        load_tfds("fashion_mnits")
    with pytest.raises(ValueError, match="Did you mean 'dsprites_like'"):
        load_tfds("dsprites_lik")
    with pytest.raises(ValueError, match="'mnist/no' .*cannot be used"):
        load_tfds("mnist/no")


def test_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    with pytest.raises(ImportError, match=r"pip install keras-rkm\[tfds\]"):
        load_tfds("mnist")


def test_stream_gives_what_load_gives(prepared):
    for name in ("tiny_digits", "tiny_sprites"):
        stream = stream_tfds(name, data_dir=prepared)
        loaded = load_tfds(name, data_dir=prepared)
        (images,) = stream.batches(_NUM_TRAIN, shuffle=False)
        np.testing.assert_array_equal(np.rint(images * 255), loaded.images)
    part = stream_tfds("tiny_digits", split="train[20%:50%]", data_dir=prepared)
    expected = load_tfds("tiny_digits", split="train[20%:50%]", data_dir=prepared)
    ((_, labels),) = part.batches(99, shuffle=False, with_labels=True)
    np.testing.assert_array_equal(labels, expected.labels)
    photos = stream_tfds("tiny_photos", image_size=8, data_dir=prepared)
    assert photos.image_shape == (8, 8, 1) and not photos.has_labels
    assert len(list(photos.batches(8))) == 4


def test_stream_reads_a_file_in_pieces(prepared, monkeypatch):
    monkeypatch.setattr(tfds_source, "SHARD_BYTES", 7 * 64)  # 7 images
    stream = stream_tfds("tiny_digits", split="train", data_dir=prepared)
    assert [shard.num_images for shard in stream.shards] == [7, 7, 7, 7, 2]
    assert len({shard.path for shard in stream.shards}) == 1
    loaded = load_tfds("tiny_digits", split="train", data_dir=prepared)
    for options in ({"shuffle": False}, {"shuffle": False, "start_step": 3}):
        ours, theirs = (
            np.concatenate([batch.numpy() for batch in images.batches(4, **options)])
            for images in (stream, loaded)
        )
        np.testing.assert_array_equal(ours, theirs)
    shuffled = np.concatenate([batch.numpy() for batch in stream.batches(4, seed=1)])
    # Each image is of one grey, the number of the image.
    np.testing.assert_array_equal(
        np.sort(shuffled[:, 0, 0, 0]), np.sort(loaded.images[:, 0, 0, 0] / np.float32(255))
    )
