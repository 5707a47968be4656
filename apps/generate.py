"""Draws latents from the sampler of a run and writes their images.

    keras-rkm generate --run=saved_models/first --num=64 --seed=0

The same seed gives the same images; with a larger --num more come after them. A file that the same
command has written before is replaced.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from absl import flags

from keras_rkm import visualization
from keras_rkm.samplers.drawing import row_seeds

from . import errors, pictures
from .run_folder import write_atomically
from .run_inputs import define_run, define_sampler, load_run, output_path

_MOST_IN_A_GRID = 10_000
_BATCH_SIZE = 64
_SUFFIXES = {"grid": ".png", "images": "", "npz": ".npz"}

RUN = define_run()
SAMPLER = define_sampler()
NUM = flags.DEFINE_integer("num", 64, "How many images.", lower_bound=1)
SEED = flags.DEFINE_integer("seed", 0, "Decides which images.", lower_bound=0)
FORMAT = flags.DEFINE_enum(
    "format",
    "grid",
    list(_SUFFIXES),
    "A PNG file with all images; a folder with a PNG file of each; or an .npz archive of `images`, "
    "uint8, and `latents`.",
)
OUTPUT = flags.DEFINE_string(
    "output", None, "File or folder to write. Default: generated-seedN in the run folder."
)

flags.register_multi_flags_validator(
    ["num", "format"],
    lambda values: values["format"] != "grid" or values["num"] <= _MOST_IN_A_GRID,
    f"a grid of more than {_MOST_IN_A_GRID} images has no use. Take --format=images or npz.",
)


def main(argv):
    """Writes images in the format that is asked for."""
    del argv
    model, sampler = load_run(RUN.value, SAMPLER.value)
    if sampler is None:
        raise errors.CommandError(
            f"'{RUN.value}' has no sampler of latents. Fit one, "
            "`GaussianSampler().adapt(images, transform=model.encode)`, save it, and pass the file "
            "as --sampler."
        )
    suffix = _SUFFIXES[FORMAT.value]
    output = output_path(OUTPUT.value, RUN.value, f"generated-seed{SEED.value}", suffix)
    batches = _generated(model, sampler, NUM.value, SEED.value)
    if FORMAT.value == "images":
        _write_images(output, batches, NUM.value)
    else:
        latents, images = map(np.concatenate, zip(*batches, strict=True))
        if FORMAT.value == "grid":
            visualization.save_png(visualization.image_grid(images), output)
        else:
            write_atomically(
                output, lambda path: np.savez_compressed(path, images=images, latents=latents)
            )
    print(f"Wrote '{output}': {NUM.value:,} images, seed {SEED.value}.")


def _generated(model, sampler, num: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Batches of latents and of uint8 images.

    Every batch is decoded in full: by rounding, the pixels of an image could depend on how many
    others are decoded with it, and so on --num.
    """
    num_rows = -(-num // _BATCH_SIZE) * _BATCH_SIZE
    latents, seeds = sampler.sample(num_rows, seed=seed), row_seeds(num_rows, seed)
    for start in range(0, num_rows, _BATCH_SIZE):
        rows = slice(start, start + _BATCH_SIZE)
        batch = latents[rows]
        images = pictures.pixels(model.decode_from_seeds(batch, seeds[rows]))
        yield batch.numpy()[: num - start], images[: num - start]


def _write_images(folder: Path, batches, num: int) -> None:
    names = [f"{index:06d}.png" for index in range(num)]
    if folder.is_dir() and (others := set(os.listdir(folder)) - set(names)):
        raise errors.CommandError(
            f"the folder '{folder}' holds other files, such as '{min(others)}'. Choose another "
            "--output, or remove them."
        )
    folder.mkdir(exist_ok=True)
    remaining = iter(names)
    for _, images in batches:
        for image in images:
            picture = visualization.image_grid(image[np.newaxis], padding=0, scale=1)
            visualization.save_png(picture, folder / next(remaining))


if __name__ == "__main__":
    errors.run(main)
