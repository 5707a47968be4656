"""Trains a StiefelRKM, turns its axes, and draws what each axis does and new images.

    python examples/quickstart.py
    python examples/quickstart.py --dataset=mnist --steps=4000      # or a folder of your images

Writes to saved_models/quickstart (`--output_dir`): `traversal.png` with a row for each axis,
`reconstructions.png`, `samples.png` and `model.keras`. The default data set is drawn on the spot:
squares, ellipses and hearts that move, grow and turn.
"""

import argparse
from pathlib import Path

import numpy as np

import keras_rkm
from keras_rkm import datasets, networks, samplers, visualization


def draw_axes(model, deviations):
    """One row of images for each axis: its latent moves, the others stay at their mean, zero."""
    rows = []
    for axis, deviation in enumerate(np.sqrt(model.explained_variance)):
        latents = np.zeros((len(deviations), model.latent_dim), "float32")
        latents[:, axis] = deviation * deviations
        rows.append(model.decode(latents).numpy())
    labels = [f"{share:.0%}" for share in np.asarray(model.explained_variance_ratio)]
    return visualization.traversal_grid(np.stack(rows), labels=labels)


def main(dataset, output_dir, num_images, image_size, steps, latent_dim):
    output_dir = Path(output_dir)
    output_dir.mkdir(parents=True, exist_ok=True)

    train = datasets.load(dataset, num_images=num_images, image_size=image_size)
    model = keras_rkm.models.StiefelRKM(
        networks.convolutional_encoder(train.image_shape, feature_dim=64, capacity=16, seed=0),
        networks.convolutional_decoder(64, train.image_shape, capacity=16, seed=1),
        latent_dim=latent_dim,
        seed=0,
    )
    model.compile()  # Adam for the networks, Cayley ADAM for the basis U
    model.fit(train.batches(64, num_epochs=None), steps_per_epoch=steps, shuffle=False, verbose=2)

    # One pass over the images. The span of U stays, and with it every reconstruction; inside it
    # the axes are turned: "ica" for disentanglement, "rotate" for the principal axes.
    axes = model.fit_principal_axes(train.batches(256, shuffle=False), method="ica")
    print("shares of the variance, in order:", np.round(axes.explained_variance_ratio, 3))

    picture = draw_axes(model, np.linspace(-2.5, 2.5, 9))
    visualization.save_png(picture, output_dir / "traversal.png")

    images = next(iter(train.batches(10))).numpy()
    picture = visualization.comparison_grid(images, model.reconstruct(images))
    visualization.save_png(picture, output_dir / "reconstructions.png")

    # New images: a distribution of the latents, and the decoder.
    sampler = samplers.GaussianMixtureSampler(num_components=5)
    sampler.adapt(train.batches(256, shuffle=False), transform=model.encode)
    picture = visualization.image_grid(model.generate(36, sampler, seed=0))
    visualization.save_png(picture, output_dir / "samples.png")

    model.save(output_dir / "model.keras")  # keras.saving.load_model after `import keras_rkm`
    print(f"Wrote {output_dir}/traversal.png, reconstructions.png, samples.png and model.keras")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train, turn the axes, draw.")
    parser.add_argument("--dataset", default="dsprites_like", help="a name, a file or a folder")
    parser.add_argument("--output_dir", default="saved_models/quickstart")
    parser.add_argument("--num_images", type=int, default=10_000)
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--latent_dim", type=int, default=5)
    main(**vars(parser.parse_args()))
