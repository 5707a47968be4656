"""Asks a model that TensorFlow Serving serves: for new images, latents, reconstructions, axes.

    keras-rkm client --server=localhost:8500 --action=generate --num=64 --output=images.png
    keras-rkm client --action=reconstruct --dataset=mnist --output=reconstructions.png
    keras-rkm client --action=encode --dataset=digits.npz --output=latents.csv
    keras-rkm client --action=traverse --components=1,2 --output=axes.png

The model is one that keras-rkm export has written; docs/serving.md says how to start the server.
"""

import csv
import tempfile
from pathlib import Path

import numpy as np
from absl import flags

from keras_rkm import visualization
from keras_rkm.datasets import Dataset
from keras_rkm.serving import ServingClient, ServingError

from . import errors, pictures
from .run_folder import write_atomically
from .run_inputs import (
    chosen_axes,
    define_components,
    define_dataset,
    define_positive,
    load_images,
    output_path,
)

_DEFAULT_SERVERS = {"grpc": "localhost:8500", "rest": "localhost:8501"}
_DEFAULT_NUM = {"generate": 64, "reconstruct": 20, "encode": None, "traverse": None}
_SUFFIXES = {"generate": ".png", "reconstruct": ".png", "encode": ".csv", "traverse": ".png"}
_MOST_IN_A_GRID = 10_000
_MAX_SEED = 2**63 - 1

SERVER = flags.DEFINE_string(
    "server",
    None,
    "host:port, or grpc://, http:// or https:// before it. Default: localhost, at the port 8500 of "
    "gRPC, or 8501 of REST.",
)
PROTOCOL = flags.DEFINE_enum(
    "protocol", None, list(_DEFAULT_SERVERS), "Default: that of --server, else grpc, the faster."
)
MODEL_NAME = flags.DEFINE_string("model_name", "st_rkm", "Name of the model in the server.")
MODEL_VERSION = flags.DEFINE_integer(
    "model_version", None, "Version of the model. Default: the newest.", lower_bound=1
)
MODEL_LABEL = flags.DEFINE_string("model_label", None, "Label of a version, such as stable.")
ACTION = flags.DEFINE_enum(
    "action",
    "generate",
    list(_SUFFIXES),
    "generate: a grid of new images. encode: a table of the latents of images. reconstruct: images "
    "over their reconstructions. traverse: what each axis does.",
)
NUM = flags.DEFINE_integer(
    "num",
    None,
    "How many images to generate, 64 by default, or a random choice of so many of --dataset: all "
    "by default to encode, 20 to reconstruct.",
    lower_bound=1,
)
SEED = flags.DEFINE_integer(
    "seed",
    0,
    "Decides which images are generated; -1 for others each time.",
    lower_bound=-1,
    upper_bound=_MAX_SEED,
)
DATASET = define_dataset(
    "The images to encode or to reconstruct: a name, a file or a folder, as train takes. A "
    "traversal starts at its image --index, if it is given, and at the mean if not."
)
INDEX = flags.DEFINE_integer("index", 0, "Which image of --dataset, from 0 on.", lower_bound=0)
COMPONENTS = define_components()
TIMEOUT = define_positive("timeout", 10.0, "Seconds that a request may take.")
BATCH_SIZE = flags.DEFINE_integer(
    "batch_size", 64, "Images of a request; more become several requests.", lower_bound=1
)
OUTPUT = flags.DEFINE_string(
    "output", None, "File to write: .csv of --action=encode, .png of the others.", required=True
)

flags.register_multi_flags_validator(
    ["model_version", "model_label"],
    lambda values: None in values.values(),
    "--model_version and --model_label exclude each other.",
)
flags.register_multi_flags_validator(
    ["action", "dataset"],
    lambda values: values["dataset"] or values["action"] not in ("encode", "reconstruct"),
    "--action=encode and --action=reconstruct need images: --dataset.",
)
flags.register_multi_flags_validator(
    ["action", "num"],
    lambda values: values["action"] == "encode" or (values["num"] or 0) <= _MOST_IN_A_GRID,
    f"a grid of more than {_MOST_IN_A_GRID} images has no use.",
)


def main(argv):
    """Calls the server, and writes what it answers."""
    del argv
    action = ACTION.value
    output = output_path(OUTPUT.value, ".", action, _SUFFIXES[action])
    _check_writable(output)
    try:
        with _connect() as client:
            said = _ACTIONS[action](client, NUM.value or _DEFAULT_NUM[action], output)
    except ServingError as error:
        raise errors.CommandError(str(error)) from error
    print(f"Wrote '{output}': {said}.")


def _check_writable(path: Path) -> None:
    try:
        tempfile.TemporaryFile(dir=path.parent).close()
    except OSError as error:
        raise errors.CommandError(
            f"cannot write to the folder '{path.parent}': {error.strerror}. Choose another "
            "--output."
        ) from error


def _connect() -> ServingClient:
    try:
        return ServingClient(
            SERVER.value or _DEFAULT_SERVERS[PROTOCOL.value or "grpc"],
            protocol=PROTOCOL.value,
            model_name=MODEL_NAME.value,
            version=MODEL_VERSION.value,
            label=MODEL_LABEL.value,
            timeout=TIMEOUT.value,
            batch_size=BATCH_SIZE.value,
        )
    except ValueError as error:
        raise errors.CommandError(str(error), status=errors.USAGE_STATUS) from error


def _generate(client: ServingClient, num: int, output: Path) -> str:
    images = client.generate(num, seed=None if SEED.value < 0 else SEED.value).images
    visualization.save_png(visualization.image_grid(pictures.pixels(images)), output)
    return f"{num:,} images, {'fresh' if SEED.value < 0 else f'seed {SEED.value}'}"


def _reconstruct(client: ServingClient, num: int, output: Path) -> str:
    dataset, split = _load(client, num)
    images, energy = client.reconstruct(dataset.images)
    grid = visualization.comparison_grid(dataset.images, pictures.pixels(images))
    visualization.save_png(grid, output)
    told = f"{dataset.num_images:,} images of {dataset.name}, {split}"
    return (
        told if energy is None else f"{told}, of the mean energy {energy.mean(dtype='float64'):.4g}"
    )


def _encode(client: ServingClient, num: int | None, output: Path) -> str:
    dataset, split = _load(client, num)
    latents = client.encode(dataset.images)
    write_atomically(output, lambda path: _write_table(path, dataset, latents))
    return f"{latents.shape[1]} latents of {len(latents):,} images of {dataset.name}, {split}"


def _traverse(client: ServingClient, num: None, output: Path) -> str:
    del num
    latent_dim = _input_shape(client, "traverse", "latents")[0]
    axes = chosen_axes(COMPONENTS.value, latent_dim)
    start = np.zeros((1, latent_dim)) if not DATASET.name_or_path.value else _start(client)
    images = client.traverse(start.repeat(len(axes), axis=0), np.array(axes) - 1)
    grid = visualization.traversal_grid(
        pictures.pixels(images), labels=[f"axis {axis}" for axis in axes]
    )
    visualization.save_png(grid, output)
    return f"{len(axes)} axes, {images.shape[1]} steps"


_ACTIONS = {
    "generate": _generate,
    "encode": _encode,
    "reconstruct": _reconstruct,
    "traverse": _traverse,
}


def _start(client: ServingClient) -> np.ndarray:
    """The latents `(1, latent_dim)` of the image to start at."""
    dataset, split = _load(client, None)
    if INDEX.value >= dataset.num_images:
        raise errors.CommandError(
            f"--index={INDEX.value} exceeds the {dataset.num_images} images of '{dataset.name}' "
            f"({split}), which are counted from 0 on."
        )
    return client.encode(dataset.images[INDEX.value][np.newaxis])


def _load(client: ServingClient, num: int | None) -> tuple[Dataset, str]:
    """Images of the shape that the model takes; asked for first, since loading may take long."""
    return load_images(DATASET, _input_shape(client, "encode", "images"), num_images=num)


def _input_shape(client: ServingClient, signature: str, name: str) -> tuple[int, ...]:
    """The shape of one row of an input, as the server tells it."""
    try:
        return client.signatures()[signature].inputs[name].shape[1:]
    except KeyError as error:
        raise errors.CommandError(
            f"the model '{MODEL_NAME.value}' has no signature '{signature}' of '{name}'. Is it one "
            "that keras-rkm export has written?"
        ) from error


def _write_table(path: Path, dataset: Dataset, latents: np.ndarray) -> None:
    columns = {"index": np.arange(len(latents))}
    if dataset.labels is not None:
        columns["label"] = dataset.labels
    for axis, values in enumerate(latents.T, start=1):
        columns[f"latent_{axis}"] = values
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


if __name__ == "__main__":
    errors.run(main)
