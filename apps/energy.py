"""Scores images by the energy of a run, low where the model knows an image, to a CSV file.

    keras-rkm energy --run=saved_models/first --dataset=mnist

Each row has the energy of an image and its parts: how badly it is reconstructed, how far its
features lie from the principal axes, and, if the run has a sampler, how unlikely its latents are.
The floor is the cross-entropy that even a perfect reconstruction has, where pixels are grey: to
tell images of one kind from another, compare the energy above it.
"""

import csv
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from absl import flags

from keras_rkm.datasets import Dataset

from . import errors
from .energy_scores import score_function
from .run_folder import write_atomically
from .run_inputs import (
    check_is_rkm,
    define_dataset,
    define_run,
    define_sampler,
    load_images,
    load_run,
    output_path,
)

_QUANTILES = (0.05, 0.5, 0.95)

RUN = define_run()
SAMPLER = define_sampler()
DATASET = define_dataset("The images: a name, a file or a folder, as train takes.", required=True)
NUM_IMAGES = flags.DEFINE_integer(
    "num_images", None, "Score a random choice of so many images.", lower_bound=1
)
BATCH_SIZE = flags.DEFINE_integer("batch_size", 256, "Images at a time.", lower_bound=1)
OUTPUT = flags.DEFINE_string(
    "output", None, "CSV file to write. Default: energy-DATASET-SPLIT.csv in the run folder."
)

Scores = dict[str, np.ndarray]


def main(argv):
    """Scores all images, and says how the scores are distributed."""
    del argv
    model, sampler = load_run(RUN.value, SAMPLER.value)
    check_is_rkm(model, RUN.value)
    # Before the images are read, which can take long.
    output_path(OUTPUT.value, RUN.value, "energy", ".csv")
    dataset, split = load_images(DATASET, model.image_shape, num_images=NUM_IMAGES.value)
    name = re.sub(r"[^\w.-]+", "-", f"energy-{dataset.name}-{split}")
    output = output_path(OUTPUT.value, RUN.value, name, ".csv")
    score = score_function(model, sampler)
    score = tf.function(score, autograph=False, reduce_retracing=True)
    batches: list[Scores] = []
    write_atomically(output, lambda path: _write(path, dataset, score, batches))
    print(f"{dataset.name}, {split}: {dataset.num_images:,} images.")
    _print_summary({key: np.concatenate([b[key] for b in batches]) for key in batches[0]})
    if sampler is None:
        print(f"There is no sampler in '{RUN.value}', so no likelihood of the latents.")
    print(f"Wrote '{output}'.")


def _write(path: Path, dataset: Dataset, score: Callable, batches: list[Scores]) -> None:
    """Writes the rows of one batch after the other, and keeps the scores in `batches`."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        start = 0
        for images in dataset.batches(BATCH_SIZE.value, shuffle=False):
            scores = {name: values.numpy() for name, values in score(images).items()}
            columns = {**_known(dataset, start, len(images)), **scores}
            if not batches:
                writer.writerow(columns)
            writer.writerows(zip(*columns.values(), strict=True))
            batches.append(scores)
            start += len(images)


def _known(dataset: Dataset, start: int, num_images: int) -> dict[str, np.ndarray]:
    """What is known of images without a model, by column."""
    rows = slice(start, start + num_images)
    columns = {"index": np.arange(start, start + num_images)}
    if dataset.labels is not None:
        columns["label"] = dataset.labels[rows]
    for index, factor in enumerate(dataset.factor_info):
        columns[factor.name] = dataset.factors[rows, index]
    return columns


def _print_summary(scores: Scores) -> None:
    width = max(map(len, scores))
    titles = ("mean", *(f"{quantile:.0%}" for quantile in _QUANTILES))
    print(" " * width, *(f"{title:>10}" for title in titles))
    for name, values in scores.items():
        numbers = (values.mean(dtype="float64"), *np.quantile(values, _QUANTILES))
        print(f"{name:<{width}}", *(f"{number:>10.4g}" for number in numbers))


if __name__ == "__main__":
    errors.run(main)
