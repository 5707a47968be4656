"""Folders of TFRecord files with images, and the index that says what is in them.

A record is a `tf.train.Example` with the pixels of one uint8 image as the bytes `image` and, if
there are labels, the int64 `label`. The index, `images.json`, is written last: a folder without it
is not whole.
"""

import json
import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import tensorflow as tf

from keras_rkm._json_files import read_json

from .arrays import to_uint8
from .dataset import Dataset
from .shard_stream import SHARD_BYTES, Shard, ShardStream

INDEX = "images.json"
_FORMAT = "keras_rkm.images.1"
_CHUNK = 4096
_MAX_SIDE = 2**14


def write_tfrecords(
    images: Dataset | Iterable, folder: str | os.PathLike, *, images_per_shard: int | None = None
) -> ShardStream:
    """Writes images to TFRecord files that `stream` and `load` read.

    They are written one by one, so that an iterable may give more than memory holds. Give them in a
    random order if you can: streaming mixes what lies in a few files with each other, not all.

    Args:
        images: A `Dataset`, or an iterable (a `tf.data.Dataset`, a generator) of arrays: one image
            `(height, width, channels)` or a batch of them, uint8 or floats in [0, 1]; or of pairs
            of these and of integer labels.
        folder: Str or path, new or empty.
        images_per_shard: Positive int. Default None: as many as take 16 MiB.

    Returns:
        A stream of what was written.

    Raises:
        OSError: If it cannot be written.
        ValueError: If `folder` is not empty, there are no images, or they differ in shape.

    Example:

    >>> import tempfile
    >>> dataset = keras_rkm.datasets.load("dsprites_like", num_images=100, image_size=16)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images = write_tfrecords(dataset, folder, images_per_shard=30)
    ...     len(images.shards), next(iter(images.batches(32, seed=1))).shape
    (4, TensorShape([32, 16, 16, 1]))
    """
    folder = Path(folder).expanduser()
    if images_per_shard is not None and not (
        isinstance(images_per_shard, int | np.integer) and images_per_shard >= 1
    ):
        raise ValueError(
            "`images_per_shard` must be a positive int or None. "
            f"Received: images_per_shard={images_per_shard!r}."
        )
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise ValueError(
            f"`folder` must be new or empty. Received: folder='{folder}'. Choose another one."
        )
    writer = _ShardWriter(folder, images_per_shard)
    try:
        for batch, labels in _uint8_batches(images):
            writer.write(batch, labels)
        writer.close()
    except tf.errors.OpError as error:
        raise OSError(f"Cannot write to '{folder}': {error.message}") from error
    return open_tfrecords(folder)


def open_tfrecords(folder: str | os.PathLike) -> ShardStream:
    """A stream of the images in a folder that `write_tfrecords` wrote.

    Raises:
        OSError: If a file is missing.
        ValueError: If the index is damaged, names files out of the folder, or claims what the files
            do not have.
    """
    folder = Path(folder).expanduser()
    path = folder / INDEX
    try:
        index = read_json(path)
        shape, has_labels = _described(index)
        shards = [_shard(folder, entry, shape) for entry in index["shards"]]
        if not shards or sum(shard.num_images for shard in shards) != index["num_images"]:
            raise ValueError(f"its files do not add up to num_images={index['num_images']}")
        if len({shard.path for shard in shards}) < len(shards):
            raise ValueError("it names a file twice")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"'{path}' cannot be used as the index of a folder of TFRecords "
            f"({type(error).__name__}: {error}). Write the folder again by `write_tfrecords`."
        ) from error

    features = {"image": tf.io.FixedLenFeature((), tf.string)}
    if has_labels:
        features["label"] = tf.io.FixedLenFeature((), tf.int64)

    def decode(records):
        parsed = tf.io.parse_example(records, features)
        pixels = tf.io.decode_raw(parsed["image"], tf.uint8)
        images = tf.reshape(pixels, (-1, *shape))
        if images.shape[0] != records.shape[0]:
            raise ValueError(f"its records have {pixels.shape[1]} pixels, not {math.prod(shape)}")
        return (images, parsed["label"]) if has_labels else (images,)

    name = folder.resolve().name
    return ShardStream(name, shards, shape, decode, has_labels=has_labels)


def _described(index: dict) -> tuple[tuple[int, int, int], bool]:
    if index["format"] != _FORMAT:
        raise ValueError(f"its format is {index['format']!r}, not {_FORMAT!r}")
    shape = index["image_shape"]
    limits = (_MAX_SIDE, _MAX_SIDE, 4)
    if not (
        isinstance(shape, list)
        and len(shape) == 3
        and all(_is_int(n) and 1 <= n <= most for n, most in zip(shape, limits, strict=True))
        and isinstance(index["labels"], bool)
    ):
        raise ValueError(f"it claims image_shape={shape}, labels={index['labels']}")
    return tuple(shape), index["labels"]


def _shard(folder: Path, entry: dict, shape: tuple[int, int, int]) -> Shard:
    name, number, size = entry["file"], entry["num_images"], entry["num_bytes"]
    path = folder / name
    # A name, not a path; and a link must not lead out either.
    if name != os.path.basename(name) or "\\" in name or name in ("", ".", ".."):
        raise ValueError(f"{name!r} is no plain name of a file")
    if not path.is_file():
        raise FileNotFoundError(2, "A shard is missing", str(path))
    if path.resolve().parent != folder.resolve():
        raise ValueError(f"{name!r} leads out of the folder")
    if not (_is_int(number) and number >= 1 and number * math.prod(shape) <= path.stat().st_size):
        raise ValueError(f"{name!r} claims {number} images and has {path.stat().st_size} bytes")
    if size != path.stat().st_size:
        raise OSError(
            f"The shard '{path}' is damaged: it should have {size} bytes. Received: "
            f"{path.stat().st_size}. Write or fetch it again."
        )
    return Shard(path, number, 0, number)


def _is_int(value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _uint8_batches(images: Dataset | Iterable):
    """Pairs of uint8 images and of labels or None."""
    if isinstance(images, Dataset):
        for start in range(0, images.num_images, _CHUNK):
            rows = slice(start, start + _CHUNK)
            yield images.images[rows], None if images.labels is None else images.labels[rows]
        return
    for item in images:
        batch, labels = item if isinstance(item, tuple) else (item, None)
        batch = np.asarray(batch)
        if batch.ndim == 3:
            batch = batch[np.newaxis]
            labels = None if labels is None else np.asarray(labels)[np.newaxis]
        if batch.dtype.kind != "f" and batch.dtype != np.uint8:
            raise ValueError(
                "`images` must be uint8 or floats in [0, 1]. "
                f"Received: dtype={batch.dtype}. Convert them."
            )
        # Not for uint8: whether 1 stands for white cannot be told from one batch.
        batch = to_uint8(batch, name="images") if batch.dtype.kind == "f" else batch
        if labels is not None:
            labels = np.asarray(labels)
            if labels.shape != batch.shape[:1] or labels.dtype.kind not in "bui":
                raise ValueError(
                    "`images` must come with one integer label each. Received: "
                    f"labels of shape={labels.shape}, dtype={labels.dtype}."
                )
        yield batch, labels


class _ShardWriter:
    """Writes images to files of a given number each, then the index."""

    def __init__(self, folder: Path, images_per_shard: int | None):
        self._folder, self._per_shard = folder, images_per_shard
        self._shape, self._has_labels = None, None
        self._shards: list[dict] = []
        self._writer, self._number = None, 0

    def write(self, images: np.ndarray, labels: np.ndarray | None) -> None:
        if self._shape is None:
            if images.ndim != 4 or not 1 <= images.shape[-1] <= 4 or not images.size:
                raise ValueError(
                    "`images` must hold arrays (height, width, channels) with 1 to 4 channels, or "
                    f"batches of them. Received: shape={images.shape}."
                )
            self._shape, self._has_labels = images.shape[1:], labels is not None
            self._per_shard = self._per_shard or max(SHARD_BYTES // math.prod(self._shape), 1)
        if images.shape[1:] != self._shape or (labels is not None) != self._has_labels:
            raise ValueError(
                "`images` must all have one shape, and all or none a label. Received: shape="
                f"{images.shape[1:]} after {self._shape}."
            )
        for row, image in enumerate(images):
            if self._writer is None:
                self._writer = tf.io.TFRecordWriter(str(self._path()))
            label = None if labels is None else int(labels[row])
            self._writer.write(_example(image, label))
            self._number += 1
            if self._number == self._per_shard:
                self._end_shard()

    def close(self) -> None:
        if self._number:
            self._end_shard()
        if not self._shards:
            raise ValueError("`images` must not be empty. Received: nothing to write.")
        index = {
            "format": _FORMAT,
            "num_images": sum(shard["num_images"] for shard in self._shards),
            "image_shape": [int(size) for size in self._shape],
            "labels": self._has_labels,
            "shards": self._shards,
        }
        beside = self._folder / f".{INDEX}"
        beside.write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")
        os.replace(beside, self._folder / INDEX)

    def _path(self) -> Path:
        return self._folder / f"images-{len(self._shards):06d}.tfrecord"

    def _end_shard(self) -> None:
        self._writer.close()
        path = self._path()
        entry = {"file": path.name, "num_images": self._number, "num_bytes": path.stat().st_size}
        self._shards.append(entry)
        self._writer, self._number = None, 0


def _example(image: np.ndarray, label: int | None) -> bytes:
    features = {"image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[image.tobytes()]))}
    if label is not None:
        features["label"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[label]))
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()
