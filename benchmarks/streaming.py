"""Memory, speed and cost of training on images that are streamed from TFRecords.

    python benchmarks/streaming.py [--num_images=100000,1000000 --folder=FOLDER]

Images of 64x64 pixels are drawn and written to `--folder`; each number of images has a process of
its own, whose peak resident set the operating system keeps (`ru_maxrss`), and which reads them
shuffled, batch by batch, for one epoch. Then a training step is timed with the stream and with one
batch that stays in memory, the two in turns. This process imports no TensorFlow: on Linux a child
starts with the peak of its parent.
"""

import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _reporting
from absl import app, flags

_NUM_IMAGES = flags.DEFINE_list("num_images", ["100000", "1000000"], "Numbers of images.")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 64, "64, 32 or 16.")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 128, "Images in a batch.", lower_bound=2)
_STEPS = flags.DEFINE_integer("steps", 20, "Training steps timed together.", lower_bound=1)
_REPEATS = flags.DEFINE_integer("repeats", 11, "Timings of each input.", lower_bound=2)
_CAPACITY = flags.DEFINE_integer("capacity", 32, "Filters of the first convolution.", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the images, their order and the weights.")
_FOLDER = flags.DEFINE_string(
    "folder", None, "Where to make a temporary folder; default: the system's."
)
_ROLE = flags.DEFINE_enum("role", None, ["write", "read", "train"], "Part of a child process.")
_TARGET = flags.DEFINE_string("target", None, "Folder of a child process.")


def _peak_mib():
    # Linux counts in KiB, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _write(num_images):
    from keras_rkm import datasets

    sprites = datasets.DSpritesLike(image_size=_IMAGE_SIZE.value)

    def images():
        # Over the whole grid, and from its start again when it ends.
        for start in range(0, num_images, 1000):
            numbers = range(start, min(start + 1000, num_images))
            indices = [number * 7919 % sprites.num_images for number in numbers]
            yield sprites.render(sprites.factor_classes_at(indices))

    start = time.perf_counter()
    datasets.write_tfrecords(images(), _TARGET.value)
    return {"seconds": time.perf_counter() - start}


def _read(num_images):
    from keras_rkm import datasets

    images = datasets.stream(_TARGET.value)
    wall, cpu, number, before = time.perf_counter(), time.process_time(), 0, _peak_mib()
    for batch in images.batches(_BATCH_SIZE.value, seed=_SEED.value):
        number += batch.shape[0]
    if number != num_images:
        sys.exit(f"The stream gave {number} of {num_images} images")
    return {
        "peak": _peak_mib(),
        "before": before,
        "wall": number / (time.perf_counter() - wall),
        "cpu": number / (time.process_time() - cpu),
    }


def _train(_):
    import itertools

    import tensorflow as tf

    from keras_rkm import datasets, models, networks

    images = datasets.stream(_TARGET.value)
    sizes = {"capacity": _CAPACITY.value, "seed": _SEED.value}
    model = models.StiefelRKM(
        networks.convolutional_encoder(images.image_shape, 128, **sizes),
        networks.convolutional_decoder(128, images.image_shape, **sizes),
        latent_dim=10,
        seed=_SEED.value,
    )
    model.compile()
    stream = iter(
        images.batches(_BATCH_SIZE.value, seed=_SEED.value, drop_remainder=True, num_epochs=None)
    )
    constant = next(stream)
    step = tf.function(model.train_step)
    inputs = {"stream": stream, "constant": itertools.repeat(constant)}
    for batches in inputs.values():
        step(next(batches))
    times = {name: [] for name in inputs}
    for _ in range(_REPEATS.value):
        for name, batches in inputs.items():
            wall, cpu, waited = time.perf_counter(), time.process_time(), 0.0
            for _ in range(_STEPS.value):
                asked = time.perf_counter()
                batch = next(batches)
                waited += time.perf_counter() - asked
                logs = step(batch)
            logs["loss"].numpy()
            seconds = time.perf_counter() - wall, time.process_time() - cpu, waited
            times[name].append([value / _STEPS.value for value in seconds])
    return times


def _child(role, num_images, folder):
    options = {
        name: flags.FLAGS[name].value
        for name in ("image_size", "batch_size", "steps", "repeats", "capacity", "seed")
    }
    options |= {"role": role, "num_images": num_images, "target": folder}
    command = [sys.executable, __file__, *(f"--{name}={value}" for name, value in options.items())]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        sys.exit(f"The process that had to {role} {num_images} images failed:\n{result.stderr}")
    return json.loads(result.stdout.splitlines()[-1])


def _report(numbers, root):
    rows, times = [], None
    for number in numbers:
        folder = Path(root, str(number))
        written = _child("write", number, folder)
        found = _child("read", number, folder)
        size = sum(path.stat().st_size for path in folder.iterdir()) / 2**20
        rows.append(
            [number, size, found["before"], found["peak"], None, found["wall"], found["cpu"]]
        )
        rows[-1] += [number / written["seconds"]]
        if number == numbers[-1]:
            times = _child("train", number, folder)
        shutil.rmtree(folder)
    for row in rows:
        row[4] = row[3] / rows[0][3]
    header = ("images", "MiB on disk", "MiB before", "peak MiB", "ratio of peaks")
    rates = ("images/s, wall", "images/s, CPU", "written/s")
    _reporting.print_table((*header, *rates), rows)

    rows = []
    for clock, name in enumerate(("wall", "CPU")):
        stream, constant = ([row[clock] for row in times[key]] for key in ("stream", "constant"))
        rows.append(
            [
                name,
                1000 * statistics.median(stream),
                1000 * statistics.median(constant),
                f"{1 - 1 / _reporting.ratio_of_medians(stream, constant):.1%}",
                _reporting.spread_of_ratios(stream, constant),
            ]
        )
    waited = statistics.median(row[2] for row in times["stream"])
    share = waited / statistics.median(row[0] for row in times["stream"])
    rows.append(["wall, in next() alone", 1000 * waited, "-", f"{share:.1%}", "-"])
    header = ("clock", "stream ms a step", "constant ms a step", "input share", "ratio quartiles")
    _reporting.print_table(header, rows)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {argv[1:]}")
    try:
        numbers = [int(number) for number in _NUM_IMAGES.value]
    except ValueError:
        raise app.UsageError(f"--num_images takes ints, not {_NUM_IMAGES.value}") from None
    if _ROLE.value:
        role = {"write": _write, "read": _read, "train": _train}[_ROLE.value]
        print(json.dumps(role(numbers[0])))
        return
    _reporting.print_setting(
        "Streaming from TFRecords",
        threads=0,
        seeds=_SEED.value,
        bar="peak within 1.2 x of that for the first number; input share below 5 %",
        images=f"{_IMAGE_SIZE.value} x {_IMAGE_SIZE.value} uint8, batches of {_BATCH_SIZE.value}",
    )
    with tempfile.TemporaryDirectory(dir=_FOLDER.value) as root:
        _report(numbers, root)


if __name__ == "__main__":
    app.run(main)
