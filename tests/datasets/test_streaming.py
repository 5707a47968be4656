"""Streams from TFRecords and image folders: order, resuming, damage, and what is claimed."""

import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_rkm import datasets
from keras_rkm.datasets import shard_stream, tfrecords

_NUM_IMAGES = 53


@pytest.fixture(scope="module")
def dataset():
    """Images whose first pixel is their number and label."""
    images = np.full((_NUM_IMAGES, 4, 5, 1), 200, np.uint8)
    images[:, 0, 0, 0] = np.arange(_NUM_IMAGES)
    return datasets.from_arrays(images, labels=np.arange(_NUM_IMAGES), name="numbers")


@pytest.fixture
def stream(dataset, tmp_path, monkeypatch):
    """A stream over 8 shards, in windows of 12 images."""
    monkeypatch.setattr(shard_stream, "WINDOW_BYTES", 12 * 20)
    return datasets.write_tfrecords(dataset, tmp_path / "shards", images_per_shard=7)


def _numbers(stream, batch_size=6, **options):
    batches = stream.batches(batch_size, **options)
    return [np.rint(batch.numpy()[:, 0, 0, 0] * 255).astype(int).tolist() for batch in batches]


def test_every_epoch_has_each_image_once_in_another_order(stream):
    whole = _numbers(stream, seed=3, num_epochs=2)
    assert [len(batch) for batch in whole] == [*[6] * 8, 5] * 2
    first, second = sum(whole[:9], []), sum(whole[9:], [])
    assert sorted(first) == sorted(second) == list(range(_NUM_IMAGES))
    assert first != second and first != sorted(first)
    assert whole == _numbers(stream, seed=3, num_epochs=2)
    assert whole != _numbers(stream, seed=4, num_epochs=2)
    # Images of different shards are mixed.
    assert len({number // 7 for number in first[:12]}) > 1
    assert sum(_numbers(stream, shuffle=False), []) == list(range(_NUM_IMAGES))


@pytest.mark.parametrize("shuffle", [True, False])
def test_start_step_gives_what_would_have_come(stream, shuffle):
    # The borders of windows, shards, batches and epochs all differ.
    for drop_remainder, steps in ((False, (2, 9, 13)), (True, (5,))):
        options = {"shuffle": shuffle, "num_epochs": 2, "drop_remainder": drop_remainder}
        whole = _numbers(stream, **options)
        for step in steps:
            assert _numbers(stream, start_step=step, **options) == whole[step:]


def test_resuming_reads_nothing_before_its_window(stream, monkeypatch):
    read, real = [], shard_stream.read_records
    monkeypatch.setattr(
        shard_stream, "read_records", lambda shard: read.append(shard) or real(shard)
    )
    _numbers(stream, start_step=8)  # 48 of 53 images, so that 5 shards of 8 are left out
    assert 1 <= len(read) <= 2


def test_batches_are_those_of_a_dataset_in_kind(stream, dataset):
    for options in ({}, {"drop_remainder": True}, {"num_epochs": None}, {"with_labels": True}):
        ours, theirs = stream.batches(6, **options), dataset.batches(6, **options)
        assert ours.element_spec == theirs.element_spec
        assert int(ours.cardinality()) == int(theirs.cardinality())
    for images, labels in stream.batches(6, with_labels=True):
        np.testing.assert_array_equal(np.rint(images[:, 0, 0, 0] * 255), labels)
    for wrong in ({"batch_size": 0}, {"seed": -1}, {"start_step": 99}, {"num_epochs": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
            stream.batches(**{"batch_size": 6, **wrong})


def test_written_images_come_back_in_memory(stream, dataset, tmp_path):
    loaded = datasets.load(tmp_path / "shards")
    np.testing.assert_array_equal(loaded.images, dataset.images)
    np.testing.assert_array_equal(loaded.labels, dataset.labels)
    assert datasets.load(tmp_path / "shards", num_images=9, image_size=4).images.shape == (
        9,
        4,
        4,
        1,
    )


def test_iterables_of_images_and_batches_are_written(tmp_path):
    floats = np.linspace(0, 1, 3 * 4 * 4 * 3, dtype=np.float32).reshape(3, 4, 4, 3)
    batches = tf.data.Dataset.from_tensor_slices(floats).batch(2).as_numpy_iterator()
    stream = datasets.write_tfrecords(batches, tmp_path / "batches")
    assert not stream.has_labels and stream.num_images == 3
    one_by_one = datasets.write_tfrecords(iter(floats), tmp_path / "single", images_per_shard=1)
    assert len(one_by_one.shards) == 3
    for each in (stream, one_by_one):
        (images,) = each.batches(3, shuffle=False)
        np.testing.assert_allclose(images, floats, atol=0.5 / 255 + 1e-6)


@pytest.mark.parametrize(
    "images, message",
    [
        ([], "must not be empty"),
        ([np.zeros((2, 4, 4, 1), np.int64)], "must be uint8 or floats"),
        ([np.full((2, 4, 4, 1), 1.5)], "must lie in"),
        ([np.zeros((4, 4, 1), np.uint8), np.zeros((4, 5, 1), np.uint8)], "all have one shape"),
        ([(np.zeros((2, 4, 4, 1), np.uint8), [1, 2, 3])], "one integer label each"),
        ([np.zeros((4, 4), np.uint8)], "arrays .height, width, channels"),
    ],
)
def test_images_that_cannot_be_written_leave_no_index(tmp_path, images, message):
    with pytest.raises(ValueError, match=message):
        datasets.write_tfrecords(images, tmp_path / "shards")
    assert not datasets.is_tfrecord_folder(tmp_path / "shards")


def test_full_folder_is_not_written_to(stream, dataset, tmp_path):
    with pytest.raises(ValueError, match="new or empty"):
        datasets.write_tfrecords(dataset, tmp_path / "shards")


def _harm(path, harm):
    data = path.read_bytes()
    if harm == "flip":  # in the pixels of a record, far from its lengths
        place = len(data) // 2
        path.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
    elif harm == "length":  # a record that claims 2**60 bytes
        path.write_bytes(data[:7] + b"\x10" + data[8:])
    elif harm == "cut":
        path.write_bytes(data[:-10])
    elif harm == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()


@pytest.mark.parametrize("harm", ["flip", "length", "cut", "empty", "remove"])
def test_damaged_shards_are_named_while_reading(stream, harm):
    path = stream.shards[3].path
    _harm(path, harm)
    with pytest.raises(tf.errors.OpError) as error:
        _numbers(stream)
    assert str(path) in error.value.message
    with pytest.raises(OSError, match=path.name):
        stream.sample(_NUM_IMAGES)


def test_records_that_the_index_does_not_know_are_refused(stream):
    shard = stream.shards[3]
    data = shard.path.read_bytes()
    record = data[: len(data) // shard.num_records]
    shard.path.write_bytes(data + record)
    with pytest.raises(OSError, match="7 records are expected. Received: 8"):
        shard_stream.read_records(shard)
    shard.path.write_bytes(data[: -len(record)])
    with pytest.raises(OSError, match="7 records are expected. Received: 6"):
        shard_stream.read_records(shard)


def _masked_crc32c(data):
    """The checksum of a TFRecord, bit by bit."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32


def test_length_that_was_forged_with_its_checksum_is_found_before_anything_is_allocated(
    stream, monkeypatch
):
    shard = stream.shards[3]
    data = shard.path.read_bytes()
    length = data[:8]
    assert data[8:12] == _masked_crc32c(length).to_bytes(4, "little")
    forged = (2**50).to_bytes(8, "little")
    forged += _masked_crc32c(forged).to_bytes(4, "little")
    shard.path.write_bytes(forged + data[12:])
    monkeypatch.setattr(tf.data, "TFRecordDataset", lambda *_: pytest.fail("it was read"))
    with pytest.raises(OSError, match=f"{shard.path.name}' is damaged.*cut in record 1"):
        shard_stream.read_records(shard)


@pytest.mark.parametrize("harm", ["cut", "empty", "remove"])
def test_shards_of_another_size_are_named_at_once(stream, harm):
    path = stream.shards[3].path
    _harm(path, harm)
    with pytest.raises((OSError, ValueError), match=path.name):
        datasets.stream(path.parent)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"shards": [{"file": "../x.tfrecord", "num_images": 1, "num_bytes": 1}]}, "plain name"),
        ({"shards": [{"file": "/etc/passwd", "num_images": 1, "num_bytes": 1}]}, "plain name"),
        ({"shards": [{"file": "link", "num_images": 1, "num_bytes": 1}]}, "leads out"),
        ({"shards": []}, "do not add up"),
        ({"shards": 3}, "TypeError"),
        ({"num_images": 10**12}, "do not add up"),
        ({"image_shape": [2**14, 2**14, 4]}, "claims 7 images and has"),
        ({"image_shape": [4, 5]}, "image_shape"),
        ({"image_shape": [4, 5, True]}, "image_shape"),
        ({"format": "other"}, "its format is"),
    ],
)
def test_index_that_lies_is_refused(stream, tmp_path, change, message):
    path = tmp_path / "shards" / tfrecords.INDEX
    (tmp_path / "outside").write_bytes(bytes(1000))
    (tmp_path / "shards" / "link").symlink_to(tmp_path / "outside")
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ValueError, match=message) as error:
        datasets.stream(tmp_path / "shards")
    assert str(path) in str(error.value)


def test_index_that_is_no_json_is_refused(stream, tmp_path):
    path = tmp_path / "shards" / tfrecords.INDEX
    for text in (b"", b"[" * 10**5, b"\xff", b'{"num_images": NaN}', b"[]"):
        path.write_bytes(text)
        with pytest.raises(ValueError, match=f"{tfrecords.INDEX}' cannot be used"):
            datasets.stream(tmp_path / "shards")


def test_held_out_images_are_not_in_the_rest(stream):
    rest, held_out = stream.hold_out(10, seed=1)
    assert held_out.num_images == 10
    rest_numbers = set(sum(_numbers(rest), []))
    assert not rest_numbers & set(held_out.labels) and len(rest_numbers) == rest.num_images == 39
    np.testing.assert_array_equal(stream.sample(10, seed=1).labels, held_out.labels)
    assert stream.hold_out(10, seed=2)[1].labels.tolist() != held_out.labels.tolist()


def test_single_shard_cannot_be_held_out(dataset, tmp_path):
    stream = datasets.write_tfrecords(dataset, tmp_path)
    with pytest.raises(ValueError, match="has a single one.*`images_per_shard`"):
        stream.hold_out(5)
    assert stream.sample(5).num_images == 5


def test_fingerprint_tells_images_apart_wherever_they_lie(stream, dataset, tmp_path):
    again = datasets.write_tfrecords(dataset, tmp_path / "again", images_per_shard=7)
    assert again.fingerprint() == stream.fingerprint()
    other = dataset.subset(np.arange(_NUM_IMAGES)[::-1])
    mirrored = datasets.write_tfrecords(other, tmp_path / "other", images_per_shard=7)
    assert mirrored.fingerprint() != stream.fingerprint()
    assert dataset.fingerprint() != other.fingerprint()
    assert dataset.fingerprint() == dataset.subset(np.arange(_NUM_IMAGES)).fingerprint()


@pytest.fixture
def folder(tmp_path):
    """A folder of images, in two classes, whose pixels are their number."""
    for number in range(11):
        path = tmp_path / "images" / f"class{number % 2}" / f"{number:02d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (6, 4), number).save(path)
    return tmp_path / "images"


def test_image_folder_streams_as_it_loads(folder):
    stream, loaded = datasets.stream(folder), datasets.load(folder)
    assert stream.image_shape == (4, 6, 1) and stream.num_images == 11
    options = {"seed": 5, "num_epochs": 2, "start_step": 2, "with_labels": True}
    pairs = zip(stream.batches(4, **options), loaded.batches(4, **options), strict=True)
    for (images, labels), (other_images, other_labels) in pairs:
        np.testing.assert_array_equal(images, other_images)
        np.testing.assert_array_equal(labels, other_labels)
    assert datasets.stream(folder, image_size=8).image_shape == (8, 8, 1)


def test_image_folder_holds_out_and_knows_itself(folder):
    stream = datasets.stream(folder)
    rest, held_out = stream.hold_out(3, seed=1)
    numbers = {int(image[0, 0, 0]) for image in held_out.images}
    assert len(numbers) == 3 and rest.num_images == 8
    assert numbers | set(sum(_numbers(rest), [])) == set(range(11))
    before = stream.fingerprint()
    Image.new("L", (6, 4), 99).save(folder / "class0" / "00.png")
    assert stream.fingerprint() != before


@pytest.mark.parametrize("harm", ["damage", "remove", "resize"])
def test_image_file_that_goes_bad_is_named(folder, harm):
    stream = datasets.stream(folder)
    path = folder / "class1" / "05.png"
    if harm == "damage":
        path.write_bytes(path.read_bytes()[:40])
    elif harm == "remove":
        path.unlink()
    else:
        Image.new("L", (7, 7)).save(path)
    with pytest.raises(tf.errors.OpError) as error:
        _numbers(stream)
    assert str(path) in error.value.message


def test_sources_that_do_not_stream_say_what_does(stream, tmp_path):
    (tmp_path / "a.npz").touch()
    for source in ("dsprites_like", tmp_path / "a.npz"):
        with pytest.raises(ValueError, match="cannot be streamed.*`write_tfrecords`"):
            datasets.stream(source)
    with pytest.raises(ValueError, match="must be that of the TFRecords"):
        datasets.stream(tmp_path / "shards", image_size=8)
    with pytest.raises(ValueError, match="`image_size` must be a positive int"):
        datasets.stream(tmp_path / "shards", image_size=0)
    with pytest.raises(datasets.UnknownSplitError):
        datasets.stream(tmp_path / "shards", split="test")
