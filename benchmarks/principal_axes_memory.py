"""Peak memory of `StiefelRKM.fit_principal_axes` against the number of images.

    python benchmarks/principal_axes_memory.py [--num_images=10000,100000,300000]

Each number of images has a process of its own, whose peak resident set the operating system keeps
(`ru_maxrss`). The images are drawn while they are read, so that only what the model keeps can grow.
This process imports no TensorFlow: on Linux a child starts with the peak of its parent.
"""

import json
import resource
import subprocess
import sys
import time

import _reporting
from absl import app, flags

_IMAGE_SHAPE = (28, 28, 1)
_WARM_UP_IMAGES = 1_000

_NUM_IMAGES = flags.DEFINE_list("num_images", ["10000", "100000"], "Numbers of images.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 250, "Images in a batch.", lower_bound=2)
_FEATURE_DIM = flags.DEFINE_integer("feature_dim", 128, "Outputs of the encoder.", lower_bound=1)
_THREADS = flags.DEFINE_integer("threads", 0, "Threads of TensorFlow; 0: its choice.", 0)
_SEED = flags.DEFINE_integer("seed", 0, "Of the images and the weights.")
_MEASURE = flags.DEFINE_bool(
    "measure", False, "Measure the one given number in this process; print JSON."
)

_HEADER = (
    "images",
    "peak MiB",
    f"MiB above the peak after {_WARM_UP_IMAGES}",
    "MiB of the images",
    "CPU s",
)


def _peak_mib():
    # Linux counts in KiB, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _measure(num_images):
    import tensorflow as tf

    from keras_rkm import models, networks

    _reporting.set_threads(_THREADS.value)
    sizes = {"hidden_dims": (64,), "seed": _SEED.value}
    model = models.StiefelRKM(
        networks.dense_encoder(_IMAGE_SHAPE, _FEATURE_DIM.value, **sizes),
        networks.dense_decoder(_FEATURE_DIM.value, _IMAGE_SHAPE, **sizes),
        latent_dim=10,
        seed=_SEED.value,
    )

    def batches(number):
        # The last batch holds the rest.
        starts = tf.data.Dataset.range(0, number, _BATCH_SIZE.value)
        return starts.map(
            lambda start: tf.random.stateless_uniform(
                (tf.minimum(number - start, _BATCH_SIZE.value), *_IMAGE_SHAPE),
                tf.stack([tf.cast(_SEED.value, tf.int64), start]),
            )
        )

    model.fit_principal_axes(batches(_WARM_UP_IMAGES))
    warm_peak, start = _peak_mib(), time.process_time()
    axes = model.fit_principal_axes(batches(num_images))
    return {
        "num_samples": axes.num_samples,
        "peak": _peak_mib(),
        "growth": _peak_mib() - warm_peak,
        "cpu_seconds": time.process_time() - start,
    }


def _measure_in_child(num_images):
    options = {
        "num_images": num_images,
        "batch_size": _BATCH_SIZE.value,
        "feature_dim": _FEATURE_DIM.value,
        "threads": _THREADS.value,
        "seed": _SEED.value,
    }
    command = [sys.executable, __file__, "--measure", *(f"--{k}={v}" for k, v in options.items())]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"Measuring {num_images} images failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def _row(num_images):
    found = _measure_in_child(num_images)
    if found["num_samples"] != num_images:
        sys.exit(f"fit_principal_axes saw {found['num_samples']} of {num_images} images")
    height, width, channels = _IMAGE_SHAPE
    size = num_images * height * width * channels * 4 / 2**20
    return [num_images, found["peak"], found["growth"], size, found["cpu_seconds"]]


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    try:
        numbers = [int(number) for number in _NUM_IMAGES.value]
    except ValueError:
        raise app.UsageError(f"--num_images takes ints, not {_NUM_IMAGES.value}") from None
    if _MEASURE.value:
        print(json.dumps(_measure(numbers[0])))
        return
    _reporting.print_setting(
        "Peak memory of fit_principal_axes",
        threads=_THREADS.value,
        seeds=_SEED.value,
        bar="must not grow with the number of images",
        images=f"{_IMAGE_SHAPE} float32, drawn in batches of {_BATCH_SIZE.value}; "
        f"{_FEATURE_DIM.value} features",
    )
    _reporting.print_table(_HEADER, [_row(number) for number in numbers])


if __name__ == "__main__":
    app.run(main)
