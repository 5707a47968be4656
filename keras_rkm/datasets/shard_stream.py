"""Images in TFRecord files that are read one after the other, in an order that can be resumed.

The order of an epoch has two levels: the shards are permuted, and so are the images inside each of
the windows that their sequence is cut into. Both permutations are functions of the seed and the
epoch, so that the place of a step follows from the sizes of the shards: nothing before its window
is read.
"""

import contextlib
import functools
import mmap
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from .dataset import Dataset
from .fingerprints import fingerprint, spread
from .image_stream import ImageStream
from .pipeline import permute, plan_steps, to_floats

SHARD_BYTES = 2**24  # 16 MiB of images are read at a time
WINDOW_BYTES = 2**26  # 64 MiB of images are mixed with each other
_PARALLEL_READS = 2
_PREFETCHED_BATCHES = 8
_SAMPLE_BYTES = 4096
_LENGTH_BYTES, _CRC_BYTES = 8, 4


class Shard(NamedTuple):
    """A part of a TFRecord file.

    Args:
        path: The file.
        num_images: Positive int, how many of its records are used.
        skip: Int, how many of its records come before them.
        num_records: Int, how many records the file has.
    """

    path: Path
    num_images: int
    skip: int
    num_records: int

    def pieces(self, num_images: int) -> list["Shard"]:
        """The same part in pieces of at most `num_images`."""
        return [
            self._replace(
                skip=self.skip + start, num_images=min(num_images, self.num_images - start)
            )
            for start in range(0, self.num_images, num_images)
        ]


class ShardStream(ImageStream):
    """A stream of the images in shards.

    Args:
        name: Str.
        shards: Sequence of `Shard`, in their order without shuffling.
        image_shape: `(height, width, channels)`.
        decode: Takes serialized records `(num_records,)`; returns uint8 images and, if there are
            any, int64 labels.
        has_labels: Bool.
    """

    def __init__(
        self,
        name: str,
        shards: Sequence[Shard],
        image_shape: tuple[int, int, int],
        decode: Callable[[tf.Tensor], tuple[tf.Tensor, ...]],
        *,
        has_labels: bool,
    ):
        num_images = sum(shard.num_images for shard in shards)
        super().__init__(name, num_images, image_shape, has_labels=has_labels)
        self.shards = tuple(shards)
        self._decode = decode

    def _batches(
        self, batch_size, *, shuffle, seed, drop_remainder, num_epochs, start_step, with_labels
    ):
        steps_per_epoch, num_steps = plan_steps(
            self.num_images,
            batch_size,
            seed=seed,
            drop_remainder=drop_remainder,
            num_epochs=num_epochs,
            start_step=start_step,
        )
        first_epoch, first_step = divmod(start_step, steps_per_epoch)
        window = max(WINDOW_BYTES // int(np.prod(self.image_shape)), 1) if shuffle else batch_size

        def images_of(epoch):
            start = tf.cast(epoch == first_epoch, tf.int64) * (first_step * batch_size)
            parts = self._windows(epoch, start, window, seed, shuffle)
            return parts.rebatch(batch_size, drop_remainder=drop_remainder)

        if num_steps is None:
            epochs, cardinality = tf.data.Dataset.counter(first_epoch), tf.data.INFINITE_CARDINALITY
        else:
            epochs = tf.data.Dataset.range(first_epoch, num_epochs)
            cardinality = num_steps - start_step
        batches = epochs.flat_map(images_of).apply(
            tf.data.experimental.assert_cardinality(cardinality)
        )
        all_full = drop_remainder or self.num_images % batch_size == 0
        size = batch_size if all_full else None

        def finish(images, *labels):
            images = tf.ensure_shape(images, (size, *self.image_shape))
            labels = [tf.ensure_shape(each, (size,)) for each in labels] if with_labels else []
            return to_floats(images, *labels)

        # Not as many as tf.data likes: each takes memory.
        return batches.map(finish).prefetch(_PREFETCHED_BATCHES)

    def _windows(self, epoch, start, window: int, seed: int, shuffle: bool) -> tf.data.Dataset:
        """The images of an epoch from number `start` of its order on, up to a window at a time."""
        number = len(self.shards)
        order = tf.range(number, dtype=tf.int64)
        # Every permutation has a key of its own: the shards of an epoch, then its windows.
        keys_per_epoch = self.num_images + 1
        if shuffle:
            order = permute(order, number, seed, epoch * keys_per_epoch)
        sizes = tf.gather([shard.num_images for shard in self.shards], order)
        sizes = tf.cast(sizes, tf.int64)
        ends = tf.cumsum(sizes)
        first_window = start // window
        begin = first_window * window
        first = tf.searchsorted(ends, [begin], side="right", out_type=tf.int64)[0]
        before = tf.concat([[0], ends], axis=0)

        def read(place):
            skip = tf.maximum(begin - before[place], 0)
            return self._read_in_graph(order[place], skip)

        def mix(place, tensors):
            images = tensors[0]
            size = tf.shape(images, out_type=tf.int64)[0]
            indices = tf.range(tf.maximum(start - place * window, 0), size)
            if not shuffle:
                return tuple(tensor[indices[0] :] for tensor in tensors)
            indices = permute(indices, size, seed, epoch * keys_per_epoch + 1 + place)
            return tuple(tf.gather(tensor, indices) for tensor in tensors)

        shards = tf.data.Dataset.range(first, number).map(
            read, num_parallel_calls=min(_PARALLEL_READS, number), deterministic=True
        )
        windows = shards.rebatch(window).enumerate(first_window)
        return windows.map(lambda place, tensors: mix(place, tensors)).prefetch(1)

    def _read_in_graph(self, number: tf.Tensor, skip: tf.Tensor) -> tuple[tf.Tensor, ...]:
        types = [tf.uint8, tf.int64] if self.has_labels else [tf.uint8]
        tensors = tf.py_function(self._read, [number, skip], types)
        shapes = ((None, *self.image_shape), (None,))
        return tuple(
            tf.ensure_shape(tensor, shape)
            for tensor, shape in zip(tensors, shapes[: len(types)], strict=True)
        )

    def _read(self, number, skip=0) -> tuple[tf.Tensor, ...]:
        """The images of a shard after the first `skip`, and their labels if there are any."""
        shard = self.shards[int(number)]
        with tf.device("CPU:0"):
            records = read_records(shard)[int(skip) :]
            try:
                images, *labels = self._decode(records)
            except (tf.errors.OpError, ValueError) as error:
                raise OSError(f"{_damaged(shard.path)}: {_first_line(error)}") from error
            if images.shape[1:] != self.image_shape:
                raise OSError(
                    f"{_damaged(shard.path)}: its images are {tuple(images.shape[1:])} in place of "
                    f"{self.image_shape}."
                )
        return (images, *labels)

    def fingerprint(self) -> str:
        facts = [self.image_shape, self.has_labels]
        facts += [
            (shard.path.name, shard.num_images, shard.skip, shard.path.stat().st_size)
            for shard in self.shards
        ]
        sample = (_middle(self.shards[i].path) for i in spread(len(self.shards)))
        return fingerprint(facts, sample)

    def hold_out(self, num_images: int, *, seed: int = 0) -> tuple[ImageStream, Dataset]:
        """As `ImageStream.hold_out`; whole shards are split off, of which there must be two."""
        if len(self.shards) < 2:
            raise ValueError(
                f"Images are held out by whole files, and '{self.name}' has a single one. Write "
                "more by a smaller `images_per_shard`, or keep images in a sub-folder `test` "
                "beside `train`."
            )
        held_out = self._choose(num_images, seed, most=len(self.shards) - 1)
        rest = [shard for i, shard in enumerate(self.shards) if i not in held_out]
        stream = ShardStream(
            self.name, rest, self.image_shape, self._decode, has_labels=self.has_labels
        )
        return stream, self.read_shards(held_out, limit=num_images)

    def sample(self, num_images: int, *, seed: int = 0) -> Dataset:
        chosen = self._choose(num_images, seed, most=len(self.shards))
        return self.read_shards(chosen, limit=num_images)

    def _choose(self, num_images: int, seed: int, *, most: int) -> list[int]:
        """Numbers of at most `most` shards that have `num_images` together."""
        order = np.random.default_rng(seed).permutation(len(self.shards))
        numbers = np.cumsum([self.shards[i].num_images for i in order])
        return order[: min(int(np.searchsorted(numbers, num_images)) + 1, most)].tolist()

    def read_shards(self, numbers: Sequence[int], *, limit: int | None = None) -> Dataset:
        """The images of some shards in memory, the first `limit` of them.

        Raises:
            OSError: If a file is missing or damaged.
        """
        total = sum(self.shards[i].num_images for i in numbers)
        total = total if limit is None else min(total, limit)
        images = np.empty((total, *self.image_shape), np.uint8)
        labels = np.empty(total, np.int64) if self.has_labels else None
        row = 0
        for i in numbers:
            if row == total:
                break
            parts = [tensor.numpy()[: total - row] for tensor in self._read(i)]
            images[row : row + len(parts[0])] = parts[0]
            if labels is not None:
                labels[row : row + len(parts[0])] = parts[1]
            row += len(parts[0])
        return Dataset(self.name, images, labels)


def read_records(shard: Shard) -> tf.Tensor:
    """The serialized records of a shard, strings `(num_images,)`.

    Raises:
        OSError: If the file is missing, has another number of records, or does not fit its
            checksums.
    """
    _check_framing(shard)
    try:
        records = tf.data.TFRecordDataset(os.fspath(shard.path)).skip(shard.skip)
        return records.batch(shard.num_images).take(1).get_single_element()
    except tf.errors.OpError as error:
        raise OSError(f"{_damaged(shard.path)}: {_first_line(error)}") from error


def _check_framing(shard: Shard) -> None:
    """Sees that the lengths in a file add up: TensorFlow would allocate what they claim."""
    facts = shard.path.stat()
    number, end = _framing(shard.path, facts.st_size, facts.st_mtime_ns)
    is_whole = end == facts.st_size
    if not is_whole or number != shard.num_records:
        raise OSError(
            f"{_damaged(shard.path)}: {shard.num_records} records are expected. Received: "
            f"{number if is_whole else f'{facts.st_size} bytes, cut in record {number}'}."
        )


# A file is read in pieces.
@functools.lru_cache(maxsize=1024)
def _framing(path: Path, size: int, modified: int) -> tuple[int, int]:
    """How many records there are in a file, by their lengths, and where the last one ends."""
    del modified  # a file that has changed is looked at again
    place, number = 0, 0
    with contextlib.ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        data = (
            stack.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
            if size
            else b""
        )
        while place + _LENGTH_BYTES + _CRC_BYTES <= size:
            length = int.from_bytes(data[place : place + _LENGTH_BYTES], "little")
            place += _LENGTH_BYTES + length + 2 * _CRC_BYTES
            number += 1
    return number, place


def _damaged(path: Path) -> str:
    return f"The shard '{path}' is damaged. Write or fetch it again"


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _middle(path: Path) -> bytes:
    with path.open("rb") as file:
        file.seek(max(path.stat().st_size // 2 - _SAMPLE_BYTES // 2, 0))
        return file.read(_SAMPLE_BYTES)
