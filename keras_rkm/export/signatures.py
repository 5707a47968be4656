"""What a served model can be asked: functions of tensors, each with a free first dimension.

TensorFlow Serving merges requests along the first dimension and cuts the answers again, so every
input and every output has one row for each row of the request.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from keras_rkm.models import StiefelRKM
from keras_rkm.models.latent_model import LatentModel
from keras_rkm.samplers import Sampler

_PNG_CHANNELS = (1, 3, 4)


class Endpoint(NamedTuple):
    """A function from tensors to a dict of tensors, and the specifications of its arguments."""

    function: Callable[..., dict[str, tf.Tensor]]
    inputs: tuple[tf.TensorSpec, ...]


def endpoints(
    model: LatentModel, sampler: Sampler, traverse_steps: Sequence[float]
) -> dict[str, Endpoint]:
    """The endpoints of a model by the names of their signatures, the default one first.

        | signature | inputs | outputs |
        |---|---|---|
        | `generate` | `seed` int64 (batch,) | `latents`, `images` |
        | `generate_png` | `seed` int64 (batch,) | `image_bytes` string (batch,) |
        | `encode` | `images` | `latents` |
        | `decode` | `latents` | `images` |
        | `reconstruct` | `images` | `images`; of a `StiefelRKM` `energy` (batch,) too |
        | `traverse` | `latents`, `component` int64 (batch,) | `images` (batch, steps, ...) |
        | `log_prob` | `latents` | `log_prob` (batch,) |

    Latents are float32 `(batch, latent_dim)`, images float32 `(batch, height, width, channels)`.
    `generate_png` is left out for images whose channels a PNG file cannot hold.

    Args:
        model: A model of `keras_rkm.models`; a `StiefelRKM` after `fit_principal_axes`.
        sampler: Adapted sampler of its latents.
        traverse_steps: Where `traverse` puts the component, in standard deviations of the latent
            around its mean, see `latent_moments`.
    """
    seed = tf.TensorSpec([None], tf.int64, name="seed")
    component = tf.TensorSpec([None], tf.int64, name="component")
    latents = tf.TensorSpec([None, model.latent_dim], tf.float32, name="latents")
    images = tf.TensorSpec([None, *model.image_shape], tf.float32, name="images")
    means, deviations = latent_moments(model, sampler)
    positions = (means[:, np.newaxis] + np.outer(deviations, traverse_steps)).astype("float32")

    def generate(seed):
        latents = sampler.sample_from_seeds(seed)
        images = model.decode_from_seeds(latents, seed)
        return {"latents": latents, "images": _float32(images)}

    def generate_png(seed):
        return {"image_bytes": _png(generate(seed)["images"])}

    def encode(images):
        return {"latents": _float32(model.encode(images))}

    def decode(latents):
        return {"images": _float32(model.decode(latents))}

    def reconstruct(images):
        return {"images": _float32(model.reconstruct(images))}

    def reconstruct_with_energy(images):
        reconstructions, terms = model.reconstruct_with_terms(images)
        energy = model.reconstruction_weight * terms.reconstruction + terms.pca
        return {"images": _float32(reconstructions), "energy": _float32(energy)}

    def traverse(latents, component):
        path = _path(latents, component, positions)
        flat = decode(tf.reshape(path, [-1, model.latent_dim]))["images"]
        return {"images": tf.reshape(flat, [-1, positions.shape[1], *model.image_shape])}

    def log_prob(latents):
        return {"log_prob": sampler.log_prob(latents)}

    found = {
        "generate": Endpoint(generate, (seed,)),
        "encode": Endpoint(encode, (images,)),
        "decode": Endpoint(decode, (latents,)),
        "reconstruct": Endpoint(
            reconstruct_with_energy if isinstance(model, StiefelRKM) else reconstruct, (images,)
        ),
        "traverse": Endpoint(traverse, (latents, component)),
        "log_prob": Endpoint(log_prob, (latents,)),
    }
    if model.image_shape[-1] in _PNG_CHANNELS:
        found["generate_png"] = Endpoint(generate_png, (seed,))
    return found


def latent_moments(model: LatentModel, sampler: Sampler) -> tuple[np.ndarray, np.ndarray]:
    """The means and the standard deviations of the latents, both `(latent_dim,)`.

    A `StiefelRKM` holds them: its latents are centred. Those of another model are what the sampler
    has found, or the prior.

    Raises:
        ValueError: For a `StiefelRKM` before `fit_principal_axes`.
    """
    if isinstance(model, StiefelRKM):
        return np.zeros(model.latent_dim), np.sqrt(np.asarray(model.explained_variance))
    return np.asarray(sampler.latent_mean), np.asarray(sampler.latent_stddev)


def _path(latents, component, positions):
    """Latents `(batch, steps, latent_dim)` of which the component moves over its `positions`.

    The other latents stay where they are. `positions`: `(latent_dim, steps)`.
    """
    latent_dim = len(positions)
    known = tf.debugging.Assert(
        tf.reduce_all((component >= 0) & (component < latent_dim)),
        [f"`component` must be in [0, {latent_dim}). Received: component =", component],
    )
    with tf.control_dependencies([known]):
        component = tf.identity(component)
    is_component = tf.one_hot(component, latent_dim, on_value=True, off_value=False)
    moved = tf.gather(positions, component)
    return tf.where(is_component[:, tf.newaxis], moved[..., tf.newaxis], latents[:, tf.newaxis])


def _png(images):
    # As `keras_rkm.visualization` does it, which works on arrays.
    pixels = tf.cast(tf.round(255.0 * tf.clip_by_value(images, 0.0, 1.0)), tf.uint8)
    return tf.io.encode_png(pixels)


def _float32(values):
    return tf.cast(values, tf.float32)  # JSON has no bfloat16 and no float16
