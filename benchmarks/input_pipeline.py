"""Images per second out of `Dataset.batches`, against mapping every image before batching.

    python benchmarks/input_pipeline.py [--num_images=20000 --batch_size=256 --repeats=5]

The two pipelines take turns in one process. Wall time is what a training loop waits for at most;
CPU time, summed over the cores, is what the pipeline takes away from it.
"""

import statistics
import time

import numpy as np
import tensorflow as tf
from absl import app, flags

from keras_rkm import datasets

_NUM_IMAGES = flags.DEFINE_integer("num_images", 20_000, "Images in the set.", lower_bound=1)
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "Height and width.", lower_bound=1)
_CHANNELS = flags.DEFINE_integer("channels", 1, "Channels.", lower_bound=1, upper_bound=4)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Images in a batch.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 5, "Epochs timed of each pipeline.", lower_bound=1)


def _map_before_batch(dataset: datasets.Dataset, batch_size: int) -> tf.data.Dataset:
    """The pipeline of most tutorials: shuffle, map, batch, one image at a time."""
    images = tf.data.Dataset.from_tensor_slices(dataset.images)
    images = images.shuffle(10_000, seed=0)
    images = images.map(
        lambda image: tf.cast(image, tf.float32) / 255.0, num_parallel_calls=tf.data.AUTOTUNE
    )
    return images.batch(batch_size).prefetch(tf.data.AUTOTUNE)


def _images_per_second(batches: tf.data.Dataset) -> tuple[float, float]:
    """Rates by wall clock and by CPU time of one pass."""
    wall, cpu, num_images = time.perf_counter(), time.process_time(), 0
    for images in batches:
        num_images += images.shape[0]
    return num_images / (time.perf_counter() - wall), num_images / (time.process_time() - cpu)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    shape = (_NUM_IMAGES.value, _IMAGE_SIZE.value, _IMAGE_SIZE.value, _CHANNELS.value)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    dataset = datasets.from_arrays(images)
    pipelines = {
        "Dataset.batches": dataset.batches(_BATCH_SIZE.value),
        "map before batch": _map_before_batch(dataset, _BATCH_SIZE.value),
    }
    rates = {name: [] for name in pipelines}
    for repeat in range(_REPEATS.value + 1):
        for name, batches in pipelines.items():
            rate = _images_per_second(batches)
            if repeat:  # the first pass traces and allocates
                rates[name].append(rate)
    print(f"{shape} uint8, batch {_BATCH_SIZE.value}, median of {_REPEATS.value} (min-max)")
    for name, pairs in rates.items():
        for clock, values in zip(("wall", "CPU"), zip(*pairs, strict=True), strict=True):
            median, low, high = statistics.median(values), min(values), max(values)
            print(f"{name:<17} {clock:<4} {median:>9,.0f} images/s ({low:,.0f}-{high:,.0f})")


if __name__ == "__main__":
    app.run(main)
