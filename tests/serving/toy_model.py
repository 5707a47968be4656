"""A small SavedModel with the signatures of `keras_rkm.export`, and the same in NumPy.

Its weights are drawn, not trained; `shift` tells one version from another in every pixel. Next to
the signatures of the package it has `echo`, which gives strings back, and `total`, whose output has
no rows.
"""

import dataclasses
import os
from pathlib import Path

import numpy as np

IMAGE_SHAPE = (8, 8, 1)
LATENT_DIM = 3
NUM_STEPS = 5
_POSITIONS = np.linspace(-2, 2, NUM_STEPS, dtype="float32")


def basis() -> np.ndarray:
    """The weights, `(64, latent_dim)`, of orthonormal columns."""
    drawn = np.random.default_rng(0).normal(size=(np.prod(IMAGE_SHAPE), LATENT_DIM))
    return np.linalg.qr(drawn)[0].astype("float32")


@dataclasses.dataclass(frozen=True)
class ToyModel:
    """The model in NumPy.

    Args:
        shift: Number, added before the sigmoid of the decoder.
    """

    shift: float

    def encode(self, images):
        return images.reshape(len(images), -1) @ basis()

    def decode(self, latents):
        logits = np.asarray(latents) @ basis().T + self.shift
        return (1 / (1 + np.exp(-logits))).reshape(-1, *IMAGE_SHAPE)

    def reconstruct(self, images):
        decoded = self.decode(self.encode(images))
        return decoded, np.square(decoded - images).sum(axis=(1, 2, 3))

    def traverse(self, latents, components):
        paths = np.repeat(np.asarray(latents)[:, np.newaxis], NUM_STEPS, axis=1)
        for path, component in zip(paths, components, strict=True):
            path[:, component] = _POSITIONS
        return self.decode(paths.reshape(-1, LATENT_DIM)).reshape(-1, NUM_STEPS, *IMAGE_SHAPE)

    def log_prob(self, latents):
        return -0.5 * (np.square(latents) + np.log(2 * np.pi)).sum(axis=1)


def export_toy_model(folder: str | os.PathLike, *, shift: float = 0.0) -> Path:
    """Writes the SavedModel.

    Args:
        folder: Where to, such as `.../toy/1`.
        shift: As in `ToyModel`.

    Returns:
        The folder as a path.
    """
    import keras
    import tensorflow as tf

    from keras_rkm.samplers import StandardNormalSampler

    sampler = StandardNormalSampler(LATENT_DIM)
    weights, positions = tf.constant(basis()), tf.constant(_POSITIONS)

    def encode(images):
        return {"latents": tf.reshape(images, [-1, weights.shape[0]]) @ weights}

    def decode(latents):
        pixels = tf.sigmoid(tf.matmul(latents, weights, transpose_b=True) + shift)
        return {"images": tf.reshape(pixels, [-1, *IMAGE_SHAPE])}

    def generate(seed):
        latents = sampler.sample_from_seeds(seed)
        return {"latents": latents, **decode(latents)}

    def generate_png(seed):
        pixels = tf.cast(tf.round(255 * generate(seed)["images"]), tf.uint8)
        return {"image_bytes": tf.map_fn(tf.io.encode_png, pixels, fn_output_signature=tf.string)}

    def reconstruct(images):
        decoded = decode(encode(images)["latents"])["images"]
        return {
            "images": decoded,
            "energy": tf.reduce_sum(tf.square(decoded - images), axis=[1, 2, 3]),
        }

    def traverse(latents, component):
        is_component = tf.one_hot(component, LATENT_DIM, on_value=True, off_value=False)
        path = tf.where(
            is_component[:, tf.newaxis], positions[:, tf.newaxis], latents[:, tf.newaxis]
        )
        images = decode(tf.reshape(path, [-1, LATENT_DIM]))["images"]
        return {"images": tf.reshape(images, [-1, NUM_STEPS, *IMAGE_SHAPE])}

    def log_prob(latents):
        density = -0.5 * (tf.square(latents) + np.log(2 * np.pi).astype("float32"))
        return {"log_prob": tf.reduce_sum(density, axis=1)}

    seed = tf.TensorSpec([None], tf.int64, name="seed")
    component = tf.TensorSpec([None], tf.int64, name="component")
    latents = tf.TensorSpec([None, LATENT_DIM], tf.float32, name="latents")
    images = tf.TensorSpec([None, *IMAGE_SHAPE], tf.float32, name="images")
    text = tf.TensorSpec([None], tf.string, name="text")
    archive = keras.export.ExportArchive()
    for name, function, inputs in (
        ("generate", generate, [seed]),
        ("generate_png", generate_png, [seed]),
        ("encode", encode, [images]),
        ("decode", decode, [latents]),
        ("reconstruct", reconstruct, [images]),
        ("traverse", traverse, [latents, component]),
        ("log_prob", log_prob, [latents]),
        ("echo", lambda text: {"text": text, "text_bytes": text}, [text]),
        ("total", lambda latents: {"total": tf.reduce_sum(latents)}, [latents]),
    ):
        archive.add_endpoint(name, function, inputs)
    archive.write_out(folder, verbose=False)
    return Path(folder)
