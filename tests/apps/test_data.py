"""Which images are trained on and which are held out."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from apps import train as train_app
from apps.data import load_train_and_held_out, parse_ranges
from apps.errors import CommandError, describe
from apps.run_inputs import load_held_out
from keras_rkm import datasets


@pytest.fixture
def archive(tmp_path):
    """An `.npz` file of 50 images, all different, with a factor of 5 classes."""
    images = np.random.default_rng(0).integers(0, 256, (50, 8, 8), "uint8")
    path = tmp_path / "images.npz"
    np.savez(path, images=images, latents_classes=np.arange(50)[:, np.newaxis] % 5)
    return str(path)


def _rows(dataset):
    return {image.tobytes() for image in dataset.images}


def test_source_without_a_test_split_gives_a_tenth(archive):
    train, held_out = load_train_and_held_out(archive, seed=3)
    assert (train.num_images, held_out.num_images) == (45, 5)
    assert not _rows(train) & _rows(held_out)
    again, _ = load_train_and_held_out(archive, seed=3)
    other, _ = load_train_and_held_out(archive, seed=4)
    np.testing.assert_array_equal(train.images, again.images)
    assert _rows(train) != _rows(other)


@pytest.mark.parametrize("num_images, num_held_out", [(None, 12), (20, 2)])
def test_source_with_a_test_split_gives_that(tmp_path, num_images, num_held_out):
    for split, number, value in (("train", 30, 10), ("test", 12, 200)):
        (tmp_path / split).mkdir()
        for index in range(number):
            picture = Image.fromarray(np.full((8, 8), value, "uint8"))
            picture.save(tmp_path / split / f"{index}.png")
    train, held_out = load_train_and_held_out(str(tmp_path), num_images=num_images)
    assert (train.num_images, held_out.num_images) == (num_images or 30, num_held_out)
    assert (train.images == 10).all() and (held_out.images == 200).all()


def test_generated_set_gives_a_tenth_of_its_test_split():
    train, held_out = load_train_and_held_out("dsprites_like", num_images=200, image_size=16)
    assert (train.num_images, held_out.num_images) == (200, 20)
    assert not {*map(tuple, train.factor_classes)} & {*map(tuple, held_out.factor_classes)}


def test_factor_classes_choose_a_part_of_a_generated_set():
    ranges = {"shape": (1, 2), "scale": (2, 4), "orientation": (0, 1), "y_position": (0, 8)}
    train, held_out = load_train_and_held_out("dsprites_like", factor_classes=ranges, image_size=16)
    # All 2 * 32 * 8 of them, since that is not too many.
    assert train.num_images + held_out.num_images == 512
    classes = np.concatenate([train.factor_classes, held_out.factor_classes])
    assert [np.unique(column).tolist() for column in classes.T] == [
        [1],
        [2, 3],
        [0],
        list(range(32)),
        list(range(8)),
    ]
    assert len(np.unique(classes, axis=0)) == 512
    fewer, _ = load_train_and_held_out(
        "dsprites_like", factor_classes=ranges, image_size=16, num_images=50
    )
    assert fewer.num_images == 50
    with pytest.raises(CommandError, match="leaves .* to train on. Received: num_images=5000"):
        load_train_and_held_out(
            "dsprites_like", factor_classes=ranges, image_size=16, num_images=5000
        )


def test_factor_classes_choose_a_part_of_a_file(archive):
    train, held_out = load_train_and_held_out(archive, factor_classes={"factor_0": (3, 5)})
    assert (train.num_images, held_out.num_images) == (18, 2)
    assert set(train.factor_classes[:, 0]) == {3, 4}


def test_ranges_are_half_open():
    assert parse_ranges(["shape=1", "x=5:15"]) == {"shape": (1, 2), "x": (5, 15)}
    for text in ("shape", "shape=", "shape=a", "shape=1:", "shape=1:2:3"):
        with pytest.raises(ValueError, match=f"Received: {text}"):
            parse_ranges([text])


@pytest.fixture
def shards(tmp_path):
    """A folder of 5 shards of 10 images, all different."""
    images = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 1), "uint8")
    return datasets.write_tfrecords([images], tmp_path / "shards", images_per_shard=10)


def _streamed(stream):
    return {np.rint(255 * image).astype("uint8").tobytes() for (image,) in stream.batches(1)}


def test_tfrecords_are_streamed_unless_images_are_chosen(shards, tmp_path):
    folder = str(tmp_path / "shards")
    train, held_out = load_train_and_held_out(folder, seed=3)
    assert isinstance(train, datasets.ImageStream) and isinstance(held_out, datasets.Dataset)
    assert (train.num_images, held_out.num_images) == (40, 5)
    assert not _streamed(train) & _rows(held_out)
    again, _ = load_train_and_held_out(folder, seed=3, stream=True)
    assert again.fingerprint() == train.fingerprint()
    train, held_out = load_train_and_held_out(folder, num_images=20)
    assert isinstance(train, datasets.Dataset)
    assert (train.num_images, held_out.num_images) == (18, 2)
    with pytest.raises(CommandError, match="--stream reads all images"):
        load_train_and_held_out(folder, num_images=20, stream=True)


def test_streamed_folder_with_a_test_split_holds_that_out(tmp_path):
    for split, number, value in (("train", 30, 10), ("test", 12, 200)):
        (tmp_path / split).mkdir()
        for index in range(number):
            picture = Image.fromarray(np.full((8, 8), value, "uint8"))
            picture.save(tmp_path / split / f"{index}.png")
    train, held_out = load_train_and_held_out(str(tmp_path), stream=True)
    assert isinstance(train, datasets.ImageStream) and train.num_images == 30
    assert held_out.num_images == 3 and (held_out.images == 200).all()


def test_error_of_a_stream_is_told_in_one_line(shards):
    path = shards.shards[1].path
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(tf.errors.OpError) as error:
        list(shards.batches(10))
    message, status = describe(error.value)
    assert message.startswith(f"The shard '{path}' is damaged") and status == 1
    assert "Traceback" not in message and "File" not in message


def test_training_streams_and_finds_its_held_out_images_again(shards, run_command, tmp_path):
    arguments = [f"--dataset={tmp_path / 'shards'}", f"--output_dir={tmp_path / 'run'}"]
    small = ("--capacity=2", "--feature_dim=8", "--latent_dim=2", "--batch_size=16")
    result = run_command(train_app.main, *arguments, *small, "--epochs=1")
    assert result.status == 0, result.err
    assert "40 images of 16x16x1 to train on, 5 held out" in result.out
    images = load_held_out(str(tmp_path / "run"))
    assert images.num_images == 5
