"""Memory, speed and cost of training on images that are streamed from the disk.

    python benchmarks/streaming.py [--source=image_folder --num_images=100000,1000000]

Images of 64x64 pixels are drawn and written to `--folder` as TFRecords, as a folder of PNG files or
as a data set of TensorFlow Datasets. Each number of images has a process of its own, whose peak
resident set the operating system keeps (`ru_maxrss`), and which reads them shuffled, batch by
batch, for one epoch. Then a training step is timed with the stream and with one batch that stays in
memory, the two in turns. This process imports no TensorFlow: on Linux a child starts with the peak
of its parent.
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

_SOURCE = flags.DEFINE_enum(
    "source", "tfrecords", ["tfrecords", "image_folder", "tfds"], "Where they are streamed from."
)
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


_TFDS_NAME = "streamed_images"
_TFDS_SHARD = 125_000  # images; a few files however many there are, as TFDS makes them


def _peak_mib():
    # Linux counts in KiB, macOS in bytes.
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def _write(num_images):
    from keras_rkm import datasets

    sprites = datasets.DSpritesLike(image_size=_IMAGE_SIZE.value)

    def batches():
        # Over the whole grid, and from its start again when it ends.
        for start in range(0, num_images, 1000):
            numbers = range(start, min(start + 1000, num_images))
            indices = [number * 7919 % sprites.num_images for number in numbers]
            yield sprites.render(sprites.factor_classes_at(indices))

    start = time.perf_counter()
    if _SOURCE.value == "tfrecords":
        datasets.write_tfrecords(batches(), _TARGET.value)
    elif _SOURCE.value == "image_folder":
        _write_folder(_as_png(batches()))
    else:
        _write_tfds(_as_png(batches()), num_images)
    return {"seconds": time.perf_counter() - start}


def _as_png(batches):
    import io

    from PIL import Image

    for batch in batches:
        for image in batch:
            file = io.BytesIO()
            Image.fromarray(image[..., 0]).save(file, "PNG")
            yield file.getvalue()


def _write_folder(files):
    for number, content in enumerate(files):
        path = Path(_TARGET.value, f"{number // 10_000:05}", f"{number:07}.png")
        if number % 10_000 == 0:
            path.parent.mkdir(parents=True)
        path.write_bytes(content)


def _write_tfds(files, num_images):
    import tensorflow as tf
    import tensorflow_datasets as tfds

    folder = Path(_TARGET.value, _TFDS_NAME, "1.0.0")
    folder.mkdir(parents=True)
    shard_lengths = [
        min(_TFDS_SHARD, num_images - start) for start in range(0, num_images, _TFDS_SHARD)
    ]
    for shard, length in enumerate(shard_lengths):
        name = f"{_TFDS_NAME}-train.tfrecord-{shard:05}-of-{len(shard_lengths):05}"
        with tf.io.TFRecordWriter(str(folder / name)) as writer:
            for _, content in zip(range(length), files, strict=False):
                value = tf.train.Feature(bytes_list=tf.train.BytesList(value=[content]))
                example = tf.train.Example(features=tf.train.Features(feature={"image": value}))
                writer.write(example.SerializeToString())
    size = _IMAGE_SIZE.value
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=tfds.features.FeaturesDict({"image": tfds.features.Image(shape=(size, size, 1))}),
        split_infos=[tfds.core.SplitInfo(name="train", shard_lengths=shard_lengths, num_bytes=0)],
        filename_template="{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}",
    )


def _opened():
    from keras_rkm import datasets

    if _SOURCE.value == "tfds":
        return datasets.stream(_TFDS_NAME, data_dir=_TARGET.value)
    return datasets.stream(_TARGET.value)


def _read(num_images):
    images = _opened()
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

    from keras_rkm import models, networks

    images = _opened()
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
        for name in ("source", "image_size", "batch_size", "steps", "repeats", "capacity", "seed")
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
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20
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
        f"Streaming from {_SOURCE.value}",
        threads=0,
        seeds=_SEED.value,
        bar="peak within 1.2 x of that for the first number; input share below 5 %",
        images=f"{_IMAGE_SIZE.value} x {_IMAGE_SIZE.value} uint8, batches of {_BATCH_SIZE.value}",
    )
    with tempfile.TemporaryDirectory(dir=_FOLDER.value) as root:
        _report(numbers, root)


if __name__ == "__main__":
    app.run(main)
