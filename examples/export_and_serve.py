"""Exports a model for TensorFlow Serving, and calls the export as the server would.

    python examples/export_and_serve.py
    python examples/export_and_serve.py --run=saved_models/first     # what keras-rkm train wrote

An export is a SavedModel that needs nothing of this package: `tf.saved_model.load` and TensorFlow
run it. Writes `serving/st_rkm/1` (then 2, 3 ...) below saved_models/export (`--output_dir`), and
`served.png` with images that its signature `generate` made. At the end it prints the command that
starts a server and the requests for it.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import tensorflow as tf

import keras_rkm
from keras_rkm import datasets, networks, samplers, visualization


def train(image_size, steps):
    """A small model and the distribution of its latents, as `keras_rkm.load` returns them."""
    images = datasets.load("dsprites_like", num_images=5000, image_size=image_size)
    model = keras_rkm.models.StiefelRKM(
        networks.convolutional_encoder(images.image_shape, feature_dim=64, capacity=16, seed=0),
        networks.convolutional_decoder(64, images.image_shape, capacity=16, seed=1),
        latent_dim=5,
        seed=0,
    )
    model.compile()
    model.fit(images.batches(64, num_epochs=None), steps_per_epoch=steps, shuffle=False, verbose=2)
    model.fit_principal_axes(images.batches(256, shuffle=False))
    sampler = samplers.GaussianSampler().adapt(images.batches(256), transform=model.encode)
    return model, sampler


def main(run, output_dir, image_size, steps):
    output_dir = Path(output_dir)
    model, sampler = keras_rkm.load(run) if run else train(image_size, steps)
    path = keras_rkm.export.export_for_serving(model, sampler, output_dir / "serving")
    keras_rkm.export.verify_export(path)  # the files are those of its manifest
    print(f"Wrote {path}")

    served = tf.saved_model.load(str(path))
    for name, signature in sorted(served.signatures.items()):
        inputs = {
            key: spec.shape.as_list()
            for key, spec in signature.structured_input_signature[1].items()
        }
        print(f"{name:15s} {inputs} -> {sorted(signature.structured_outputs)}")

    # A row of `generate` depends on its own seed alone, in any batch and process.
    seeds = tf.constant([7, 8, 9, 10], tf.int64)
    answer = served.signatures["generate"](seed=seeds)
    one = served.signatures["generate"](seed=seeds[:1])
    np.testing.assert_array_equal(answer["latents"][:1], one["latents"])
    decoded = model.decode(answer["latents"])
    difference = np.abs(answer["images"] - decoded).max()
    print(f"largest difference of a pixel to model.decode: {difference:.1e}")
    again = served.signatures["encode"](images=answer["images"])["latents"]
    along = served.signatures["traverse"](
        latents=again[:1],
        component=tf.constant([0], tf.int64),  # one row: axis 1
    )["images"]
    rows = [answer["images"].numpy(), along[0].numpy()]
    picture = visualization.image_grid(np.concatenate(rows), num_columns=4)
    visualization.save_png(picture, output_dir / "served.png")

    folder = (output_dir / "serving").resolve()
    request = json.dumps({"signature_name": "generate_png", "instances": [7, 8]})
    print(
        "\nServe it, and ask by gRPC or REST:\n"
        f"  docker run --rm -p 8500:8500 -p 8501:8501 -v '{folder}:/models:ro' "
        "tensorflow/serving --model_config_file=/models/models.config\n"
        "  keras-rkm client --server=localhost:8500 --num=64 --output=images.png\n"
        f"  curl -d '{request}' localhost:8501/v1/models/st_rkm:predict"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Export a model and call the export.")
    parser.add_argument("--run", help="a run folder; default: a small model is trained")
    parser.add_argument("--output_dir", default="saved_models/export")
    parser.add_argument("--image_size", type=int, default=32)
    parser.add_argument("--steps", type=int, default=500)
    main(**vars(parser.parse_args()))
