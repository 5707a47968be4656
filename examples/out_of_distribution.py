"""Tells images of another kind by the energy of a StiefelRKM.

    python examples/out_of_distribution.py
    python examples/out_of_distribution.py --known=FOLDER --other=OTHER_FOLDER --image_size=28

Trains on one set of images, half of it held out, and scores the held-out half and a second set. The
area under the ROC curve (AUROC) is the chance that an image of the second set has the higher score:
1 tells the two apart, 0.5 does not. By default the first set are ellipses, drawn on the spot, and
the second the held-out ones broken in two, so that no count of pixels can tell them apart.

Two scores need no model and belong beside every such table: if they tell the sets apart already,
a high AUROC of a model says little. Writes saved_models/out_of_distribution/energies.png.
"""

import argparse
from pathlib import Path

import numpy as np
from sklearn.metrics import roc_auc_score

import keras_rkm
from keras_rkm import datasets, networks, visualization


def load(name, num_images, image_size):
    """The images of a folder or a data set; of dsprites_like those of one shape: `name:shape`."""
    name, _, shape = name.partition(":")
    dataset = datasets.load(name, num_images=num_images, image_size=image_size)
    if shape:
        dataset = dataset.subset(np.flatnonzero(dataset.factor_classes[:, 0] == int(shape)))
    return dataset


def broken(images, shift=4):
    """Moves what lies below the middle of each object to the right."""
    height = np.arange(images.shape[1])
    weights = images.sum(axis=(2, 3), dtype="float64") + 1e-9
    middle = (weights * height).sum(axis=1) / weights.sum(axis=1)
    below = height > middle[:, np.newaxis]
    return np.where(below[:, :, np.newaxis, np.newaxis], np.roll(images, shift, axis=2), images)


def scores(model, images):
    """The scores of images, each `(num_images,)`."""
    images = images.astype("float32") / 255
    terms = model.energy_terms(images)
    grey = np.clip(images, 1e-6, 1 - 1e-6)
    return {
        "energy": model.energy(images).numpy(),
        # The binary cross-entropy of grey pixels is high however well they are reconstructed.
        "energy above its floor": (terms.reconstruction - terms.floor + terms.pca).numpy(),
        "PCA error": terms.pca.numpy(),
        "no model: mean pixel": images.mean(axis=(1, 2, 3)),
        "no model: entropy": -np.mean(grey * np.log(grey), axis=(1, 2, 3)),
    }


def main(known, other, output_dir, image_size, num_images, steps):
    known_images = load(known, num_images, image_size)
    half = known_images.num_images // 2
    train, held_out = known_images.subset(np.arange(half)), known_images.images[half:]
    other_images = load(other, num_images, image_size).images if other else broken(held_out)
    model = keras_rkm.models.StiefelRKM(
        networks.convolutional_encoder(train.image_shape, feature_dim=64, capacity=16, seed=0),
        networks.convolutional_decoder(64, train.image_shape, capacity=16, seed=1),
        latent_dim=6,
        seed=0,
    )
    model.compile()
    model.fit(train.batches(64, num_epochs=None), steps_per_epoch=steps, shuffle=False, verbose=2)
    model.fit_principal_axes(train.batches(256, shuffle=False))  # and the exact mean

    inside, outside = scores(model, held_out[:2000]), scores(model, other_images[:2000])
    is_other = np.repeat([0, 1], [len(inside["energy"]), len(outside["energy"])])
    print(f"AUROC of {known} against {other or 'broken ones'}")
    for name, values in inside.items():
        print(f"{name:24s} {roc_auc_score(is_other, np.append(values, outside[name])):.3f}")
    energies = {known: inside["energy"], other or "broken": outside["energy"]}
    picture = visualization.histograms(energies, x_label="energy")
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    visualization.save_png(picture, Path(output_dir) / "energies.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Tell images of another kind.")
    parser.add_argument("--known", default="dsprites_like:1", help="a name, a file or a folder")
    parser.add_argument("--other", help="the second set; default: the held-out images, broken")
    parser.add_argument("--output_dir", default="saved_models/out_of_distribution")
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--num_images", type=int, default=15_000)
    parser.add_argument("--steps", type=int, default=800)
    main(**vars(parser.parse_args()))
