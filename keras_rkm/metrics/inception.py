"""Inception v3 of keras.applications as a feature extractor, in two labelled modes."""

import dataclasses
import hashlib
import os
import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import keras
import tensorflow as tf

_SIZE = 299
_FILE = "inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5"
_URL = f"https://storage.googleapis.com/tensorflow/keras-applications/inception_v3/{_FILE}"
_MD5 = "bcbd6486424b2319ff4ef7d526e38f63"  # by which Keras knows the file, too
_TIMEOUT = 20.0  # seconds without an answer


@dataclasses.dataclass(frozen=True)
class InceptionMode:
    """How images get to Inception, and what belongs to a number that is quoted with it.

    Attributes:
        name: Str.
        resizing: Str, what is done to the images, in words.
        channel_order: `"RGB"` or `"BGR"`.
        num_samples: Int, how many generated and real images to take, at least.
        num_draws: Int, how often to draw, for a mean and a spread.
        latents: Str, where generated latents come from.
    """

    name: str
    resizing: str
    channel_order: str
    num_samples: int
    num_draws: int
    latents: str


INCEPTION_MODES = {
    mode.name: mode
    for mode in (
        InceptionMode("common", "antialiased bilinear", "RGB", 10_000, 1, "any sampler"),
        InceptionMode("strkm_authors", "nearest neighbour", "BGR", 8_000, 10, "one Gaussian"),
    )
}


class InceptionFeatures:
    """A callable from images to the 2,048 pooled features of Inception v3.

    Made by `inception_v3`. Images are rounded to 8 bits, as images in files are, gray ones get
    three equal channels, and they are resized to 299x299 and scaled to [-1, 1].

    Attributes:
        mode: The `InceptionMode`.
        protocol: Str for reports: mode, resizing, channels and weights.
        network: The `keras.Model` behind it, on what `preprocess` returns.

    Input shape: `(batch, height, width, channels)`, floats in [0, 1], 1 or 3 channels. Output
    shape: `(batch, 2048)`.
    """

    def __init__(self, network: keras.Model, mode: InceptionMode, weights: str):
        self.network = network
        self.mode = mode
        self.protocol = (
            f"Inception v3 of keras.applications (weights {weights}), mode {mode.name}: "
            f"{mode.resizing} to {_SIZE}x{_SIZE}, {mode.channel_order}; the mode asks for "
            f"{mode.num_samples:,} samples, draws: {mode.num_draws}, latents: {mode.latents}"
        )
        self._infer = tf.function(
            lambda images: network(self.preprocess(images), training=False), reduce_retracing=True
        )

    def __call__(self, images):
        channels = images.shape[-1]
        if channels not in (1, 3):
            raise ValueError(
                "`images` must have 1 or 3 channels for Inception. "
                f"Received: shape={tuple(images.shape)}."
            )
        return self._infer(images)

    def preprocess(self, images):
        """Returns what the network sees, `(batch, 299, 299, 3)` in [-1, 1]."""
        images = tf.round(255 * tf.clip_by_value(tf.cast(images, tf.float32), 0, 1))
        if self.mode.name == "common":
            images = tf.image.resize(images, (_SIZE, _SIZE), method="bilinear", antialias=True)
        else:
            images = tf.image.resize(images, (_SIZE, _SIZE), method="nearest")
        if images.shape[-1] == 1:
            images = tf.repeat(images, 3, axis=-1)
        if self.mode.channel_order == "BGR":
            images = images[..., ::-1]
        return images / 127.5 - 1


def inception_v3(
    mode: str = "common",
    *,
    weights: str | os.PathLike | None = None,
    download: bool = False,
) -> InceptionFeatures:
    """Returns the feature extractor of FID and KID, in one of two modes.

    `"common"` resizes with an antialiased bilinear filter and wants 10,000 images or more.
    `"strkm_authors"` does as the authors of the Stiefel-Restricted Kernel Machine did: nearest
    neighbour, channels in the order BGR, 8,000 images, ten draws of latents from one Gaussian.

    Numbers of the two modes compare with nothing else, and those of `"common"` not with most
    published ones either: these took the weights of 2015 in TensorFlow 1, not those of Keras.

    Nothing is downloaded unless asked for. Call it before a long computation: it fails at once.

    Args:
        mode: `"common"` or `"strkm_authors"`. Defaults to `"common"`.
        weights: Path of a weights file for `keras.applications.InceptionV3(include_top=False)`.
            Defaults to None: Keras' own in its folder of models, usually `~/.keras/models`.
        download: Bool, let Keras download its weights (88 MB) if they are not there. Defaults to
            False.

    Returns:
        An `InceptionFeatures`.

    Raises:
        FileNotFoundError: If the weights are not there and `download` is False.
        OSError: If the weights cannot be downloaded or read.
        ValueError: If `mode` is unknown.

    References:
        [1] C. Szegedy, V. Vanhoucke, S. Ioffe, J. Shlens, Z. Wojna, "Rethinking the Inception
            Architecture for Computer Vision", CVPR 2016.
    """
    if mode not in INCEPTION_MODES:
        raise ValueError(
            f"`mode` must be one of {tuple(INCEPTION_MODES)}. Received: mode={mode!r}."
        )
    path = _keras_weights(download) if weights is None else Path(weights).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"The weights file of Inception v3 is not there. Received: weights='{path}'."
        )
    network = keras.applications.InceptionV3(
        include_top=False, weights=None, pooling="avg", input_shape=(_SIZE, _SIZE, 3)
    )
    try:
        with warnings.catch_warnings():
            # Keras only warns of layers that it does not find, and leaves them random.
            warnings.simplefilter("error", UserWarning)
            network.load_weights(path)
    except Exception as error:  # of HDF5, of zip archives, of Keras: a kind for each damage
        raise OSError(
            f"The weights of Inception v3 cannot be read from '{path}': {error}. "
            "It has to be a file of `keras.applications.InceptionV3(include_top=False)`."
        ) from error
    return InceptionFeatures(network, INCEPTION_MODES[mode], _label(path))


def _keras_weights(download: bool) -> Path:
    path = Path(os.environ.get("KERAS_HOME") or "~/.keras").expanduser() / "models" / _FILE
    if path.is_file():
        return path
    if not download:
        raise FileNotFoundError(
            f"The weights of Inception v3 are not in '{path}'. Received: download=False. Pass "
            f"`download=True` (88 MB, needs the network), or fetch {_URL} on another machine and "
            "pass `weights=` with its path."
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _timeout(_TIMEOUT):
            return Path(keras.utils.get_file(_FILE, _URL, cache_subdir=path.parent, file_hash=_MD5))
    except Exception as error:  # Keras raises a plain Exception
        raise OSError(
            f"The weights of Inception v3 could not be downloaded: {error}. Fetch {_URL} on "
            "another machine and pass `weights=` with its path."
        ) from error


@contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Ends reads from the network that get no answer: by default they wait for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _label(path: Path) -> str:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "md5").hexdigest()
    return "ImageNet" if digest == _MD5 else f"from {path.name} (md5 {digest[:8]}), not ImageNet's"
