"""Trains on a folder of your images, and shows what framing and size do to them.

    python examples/own_images.py --folder=~/pictures/leaves --image_size=64 --steps=4000
    python examples/own_images.py                          # draws a small folder first

png, jpg, bmp, gif, webp, tif, ppm and pgm in the order of their names; sub-folders are classes. All
images are grey if the first one is, and colour otherwise. Writes to saved_models/own_images:

- `framing.png`: some images cut to their middle square, as `datasets.load` does (`--framing=cut`,
  keeps detail, loses the sides), and padded to a square (`--framing=pad`, keeps all, smaller);
- `reconstructions.png`: what is left of them after encoding and decoding;
- `model.keras`.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

import keras_rkm
from keras_rkm import datasets, networks, visualization

_PAINT = "white"  # of the borders; take the background of your images


def draw_folder(folder, num_images=300):
    """Leaves in two classes, of several sizes, wider than high."""
    rng = np.random.default_rng(0)
    for index in range(num_images):
        kind, width, height = ("oak", "willow")[index % 2], rng.integers(60, 90), 48
        picture = Image.new("RGB", (int(width), height), _PAINT)
        half = rng.uniform(0.2, 0.48) * width, height * (0.4 if kind == "oak" else 0.15)
        box = [(width / 2 - half[0], 24 - half[1]), (width / 2 + half[0], 24 + half[1])]
        colour = (int(rng.integers(40, 220)), 150, 60)  # from green to brown
        ImageDraw.Draw(picture).ellipse(box, fill=colour)
        (folder / kind).mkdir(parents=True, exist_ok=True)
        picture.save(folder / kind / f"{index:04d}.png")


def pad_folder(folder, target, size):
    """Copies all images into `target`, each padded to a square, in the same sub-folders."""
    for path in sorted(folder.rglob("*.*")):
        if path.suffix.lower() in (".png", ".jpg", ".jpeg", ".bmp", ".webp"):
            copy = (target / path.relative_to(folder)).with_suffix(".png")
            copy.parent.mkdir(parents=True, exist_ok=True)
            with Image.open(path) as image:
                upright = ImageOps.exif_transpose(image).convert("RGB")
            ImageOps.pad(upright, (size, size), color=_PAINT).save(copy)


def main(folder, output_dir, image_size, framing, steps):
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    if folder is None:
        folder = output_dir / "drawn"
        draw_folder(folder)
    folder = Path(folder).expanduser()
    pad_folder(folder, output_dir / "padded", image_size)
    framed = {
        "cut": datasets.load(folder, image_size=image_size),
        "pad": datasets.load(output_dir / "padded", image_size=image_size),
    }
    first = [dataset.images[:10] for dataset in framed.values()]
    picture = visualization.comparison_grid(*first, labels=("cut", "pad"))
    visualization.save_png(picture, output_dir / "framing.png")

    train = framed[framing]
    print(train)  # its number of images, their shape, and whether there are labels
    model = keras_rkm.models.StiefelRKM(
        networks.convolutional_encoder(train.image_shape, feature_dim=64, capacity=16, seed=0),
        networks.convolutional_decoder(64, train.image_shape, capacity=16, seed=1),
        latent_dim=4,
        seed=0,
    )
    model.compile()
    model.fit(train.batches(32, num_epochs=None), steps_per_epoch=steps, shuffle=False, verbose=2)
    axes = model.fit_principal_axes(train.batches(256, shuffle=False))
    print("shares of the variance, in order:", np.round(axes.explained_variance_ratio, 3))
    images = next(iter(train.batches(10))).numpy()
    picture = visualization.comparison_grid(images, model.reconstruct(images))
    visualization.save_png(picture, output_dir / "reconstructions.png")
    model.save(output_dir / "model.keras")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train on a folder of images.")
    parser.add_argument("--folder", help="default: one is drawn")
    parser.add_argument("--output_dir", default="saved_models/own_images")
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--framing", choices=["cut", "pad"], default="pad")
    parser.add_argument("--steps", type=int, default=600)
    main(**vars(parser.parse_args()))
