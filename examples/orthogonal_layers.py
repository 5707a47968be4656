"""Trains any Keras model with orthonormal kernels: Dense, Conv2D 1x1 and Conv2D 3x3.

    python examples/orthogonal_layers.py

A classifier of cubes, cylinders, spheres and capsules, drawn on the spot. Two things make a kernel
a point of the Stiefel manifold: the constraint `keras_rkm.constraints.Stiefel()`, and a start on
it. `ConstraintRouter` then moves such kernels along the manifold and all other weights by Adam; the
learning rates are two, since Adam's would hardly move the kernels.

The constraint means the last two axes of a weight, rows and columns, and needs as many rows:

- Dense `(inputs, units)`: orthonormal columns, `units <= inputs`;
- Conv2D `(1, 1, inputs, filters)`: a Dense for each pixel, the same;
- Conv2D `(3, 3, inputs, filters)`: nine such matrices, one for each place of the window. Keras'
  "orthogonal" makes the nine orthonormal together, not each: take `stiefel.random_point`.
"""

import argparse
from pathlib import Path

import keras

import keras_rkm
from keras_rkm import datasets
from keras_rkm.constraints import Stiefel
from keras_rkm.manifolds import stiefel


@keras.saving.register_keras_serializable(package="examples")
class RandomPoint(keras.initializers.Initializer):
    """Every matrix of the last two axes with orthonormal columns."""

    def __call__(self, shape, dtype=None):
        return stiefel.random_point(tuple(shape), dtype=dtype or "float32")


def classifier(image_shape):
    """Five layers, of which three have orthonormal kernels."""
    layers = keras.layers
    orthonormal = {"kernel_initializer": "orthogonal", "kernel_constraint": Stiefel()}
    each_place = orthonormal | {"kernel_initializer": RandomPoint()}
    halved = {"strides": 2, "padding": "same", "activation": "relu"}
    return keras.Sequential(
        [
            keras.Input(image_shape),
            layers.Conv2D(32, 3, **halved),
            layers.Conv2D(32, 3, name="window", **halved, **each_place),
            layers.Conv2D(16, 1, activation="relu", name="pointwise", **orthonormal),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="hidden", **orthonormal),
            layers.Dense(4),
        ]
    )


def main(output_dir, image_size, num_images, steps):
    keras.utils.set_random_seed(0)
    images = datasets.load("shapes3d_like", num_images=num_images, image_size=image_size)
    shapes = images.factor_classes[:, 4]
    labelled = datasets.from_arrays(images.images, labels=shapes, name="shapes")
    test = datasets.load("shapes3d_like", split="test", num_images=2000, image_size=image_size)

    model = classifier(images.image_shape)
    model.compile(
        keras_rkm.optimizers.ConstraintRouter(
            keras.optimizers.Adam(1e-3), keras_rkm.optimizers.CayleyAdam(1e-2)
        ),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    batches = labelled.batches(64, num_epochs=None, with_labels=True)
    model.fit(batches, steps_per_epoch=steps, shuffle=False, verbose=2)
    test_images = test.images.astype("float32") / 255
    _, accuracy = model.evaluate(test_images, test.factor_classes[:, 4], verbose=0)
    print(f"accuracy on {len(test_images)} other images: {accuracy:.3f} (by chance 0.25)")

    for name in ("window", "pointwise", "hidden"):
        metric = keras_rkm.metrics.OrthonormalityError()
        metric.update_state(model.get_layer(name).kernel)
        print(f"{name:10s} ||U'U - I||_F after {steps} steps: {float(metric.result()):.1e}")
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    model.save(Path(output_dir) / "classifier.keras")  # with the state of both optimizers


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Orthonormal kernels in any Keras model.")
    parser.add_argument("--output_dir", default="saved_models/orthogonal_layers")
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--num_images", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=600)
    main(**vars(parser.parse_args()))
