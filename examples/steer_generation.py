"""Steers generation along one axis: an image changed in one respect, and samples of one kind.

    python examples/steer_generation.py
    python examples/steer_generation.py --axis=3 --low=1 --high=2

Trains on ellipses that move and grow (x, y and size: three axes), then writes to
saved_models/steering:

- `edits.png`: each row is an image whose latent of one axis goes from -2 to +2 standard deviations,
  while its other latents stay;
- `chosen.png`: new images whose latent of that axis lies between `--low` and `--high` standard
  deviations, above new images of any kind.
"""

import argparse
from pathlib import Path

import numpy as np

import keras_rkm
from keras_rkm import datasets, networks, samplers, visualization


def ellipses(num_images, image_size):
    """Draws from the classes of dsprites_like those that differ in size, x and y alone."""
    sprites = datasets.DSpritesLike(image_size=image_size)
    rng = np.random.default_rng(0)
    columns = {"shape": (1, 2), "scale": (0, 6), "orientation": (0, 1)}
    ranges = columns | {"x_position": (4, 28), "y_position": (10, 22)}
    classes = np.stack([rng.integers(*ends, num_images) for ends in ranges.values()], axis=1)
    return datasets.from_arrays(sprites.render(classes), name="ellipses")


def edit(model, images, axis, deviations):
    """Images `(num_images, num_steps, ...)` that differ from `images` along one axis."""
    latents = model.encode(images).numpy()
    rows = np.repeat(latents[:, np.newaxis], len(deviations), axis=1)
    rows[:, :, axis] = np.sqrt(model.explained_variance[axis]) * deviations
    decoded = model.decode(rows.reshape(-1, model.latent_dim)).numpy()
    return decoded.reshape(len(images), len(deviations), *model.image_shape)


def draw_between(model, sampler, num_samples, axis, low, high):
    """Latents of the sampler whose value on one axis lies in a range, by leaving out the others."""
    low, high = np.sqrt(model.explained_variance[axis]) * np.array([low, high])
    latents = sampler.sample(200 * num_samples, seed=0).numpy()
    chosen = latents[(low <= latents[:, axis]) & (latents[:, axis] <= high)]
    if len(chosen) < num_samples:
        raise SystemExit(f"Of {len(latents)} samples {len(chosen)} lie there: widen the range.")
    return chosen[:num_samples]


def main(output_dir, image_size, steps, axis, low, high):
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)
    train = ellipses(4000, image_size)
    model = keras_rkm.models.StiefelRKM(
        networks.convolutional_encoder(train.image_shape, feature_dim=64, capacity=16, seed=0),
        networks.convolutional_decoder(64, train.image_shape, capacity=16, seed=1),
        latent_dim=3,
        seed=0,
    )
    model.compile()
    model.fit(train.batches(64, num_epochs=None), steps_per_epoch=steps, shuffle=False, verbose=2)
    axes = model.fit_principal_axes(train.batches(256, shuffle=False), method="ica")
    print("shares of the variance, in order:", np.round(axes.explained_variance_ratio, 3))
    sampler = samplers.GaussianMixtureSampler(num_components=5)
    sampler.adapt(train.batches(256, shuffle=False), transform=model.encode)

    axis -= 1  # the first axis is 1 on the command line and 0 in an array
    images = next(iter(train.batches(4, seed=1))).numpy()
    edited = edit(model, images, axis, np.linspace(-2, 2, 9))
    labels = [f"image {index}" for index in range(1, 5)]
    picture = visualization.traversal_grid(edited, labels=labels)
    visualization.save_png(picture, output_dir / "edits.png")

    chosen = draw_between(model, sampler, 10, axis, low, high)
    along = chosen[:, axis] / np.sqrt(model.explained_variance[axis])
    print("along the axis, in standard deviations:", np.round(along, 2))
    rows = [model.decode(chosen), model.generate(10, sampler, seed=0)]
    picture = visualization.comparison_grid(*rows, labels=("chosen", "any"))
    visualization.save_png(picture, output_dir / "chosen.png")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Steer generation along an axis.")
    parser.add_argument("--output_dir", default="saved_models/steering")
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--axis", type=int, choices=[1, 2, 3], default=1)
    parser.add_argument("--low", type=float, default=1.0)
    parser.add_argument("--high", type=float, default=1.5)
    main(**vars(parser.parse_args()))
