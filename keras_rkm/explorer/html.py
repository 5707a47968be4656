"""One HTML file from its parts."""

import base64
import dataclasses
import functools
import gzip
import html
import importlib.resources
import io
import json
import re
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from .embedding import EmbeddedDecoder

_FILES = importlib.resources.files(__package__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Axis:
    """One slider.

    Attributes:
        stddev: Float, the standard deviation of the latent.
        share: Float, the share of the variance of the features.
        factor: Str, the factor of the images that it follows; None if it is not known.
        score: Float in [0, 1], how well it does.
    """

    stddev: float
    share: float
    factor: str | None = None
    score: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """One slider that goes round a circle in the plane of two axes.

    Attributes:
        axes: Two ints, the latents x and y.
        center: Two floats, the center of the circle, in latents.
        stddev: Two floats, the units of x and y, in which it is a circle.
        cut: Float, in radians, the direction of the ends of the slider.
        radius: Float, of the circle of a code that is near the center, in these units.
        factor: Str, the factor of the images that the angle follows; None if it is not known.
        score: Float in [0, 1], how well it does.
    """

    axes: tuple[int, int]
    center: tuple[float, float]
    stddev: tuple[float, float]
    cut: float
    radius: float
    factor: str | None = None
    score: float | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A TensorFlow Serving that decodes in place of the page.

    Attributes:
        predict_url: Str, such as `http://localhost:8501/v1/models/st_rkm:predict`.
    """

    predict_url: str


def explorer_page(
    decoder: EmbeddedDecoder | Server,
    axes: Sequence[Axis],
    *,
    title: str,
    image_shape: tuple[int, int, int],
    max_stddev: float = 3.0,
    turns: Sequence[Turn] = (),
    sampler: Mapping[str, Any] | None = None,
    images: np.ndarray | None = None,
    codes: np.ndarray | None = None,
    image_names: Sequence[str] = (),
    score_name: str = "",
) -> str:
    """Writes a page with a slider for each axis, which decodes by itself or asks a server.

    Args:
        decoder: `EmbeddedDecoder` or `Server`.
        axes: `Axis` for each latent, in their order.
        title: Str.
        image_shape: `(height, width, channels)`.
        max_stddev: Float, how far sliders go to either side.
        turns: `Turn` for each pair of axes that latents go round.
        sampler: What `mixture_parameters` returns; without it the page draws no samples.
        images: Uint8 `(num_images, height, width, channels)` to start from.
        codes: `(num_images, latent_dim)`, their latents.
        image_names: Str for each of them.
        score_name: Str, what the scores of the axes are.

    Returns:
        A document that needs no other file and, but for a server, no network.

    Raises:
        ValueError: If images are neither grey nor coloured.
    """
    if image_shape[-1] not in (1, 3):
        raise ValueError(
            "`image_shape` must have 1 or 3 channels, which a screen can show. Received: "
            f"image_shape={tuple(image_shape)}."
        )
    deviations = np.array([axis.stddev for axis in axes])
    data = {
        "title": title,
        "imageShape": list(image_shape),
        "maxStddev": max_stddev,
        "axes": [dataclasses.asdict(axis) for axis in axes],
        "turns": [dataclasses.asdict(turn) for turn in turns],
        "scoreName": score_name,
        "sampler": sampler,
        "pictures": [] if images is None else _pictures(images, codes, image_names, deviations),
    }
    if isinstance(decoder, Server):
        data["server"] = dataclasses.asdict(decoder)
        runtime, wasm, weights, connect = "", b"", b"", _origin(decoder.predict_url)
    else:
        packed = decoder.packed
        data["decoder"] = {"steps": packed.steps, "arrays": packed.arrays}
        runtime = _read("vendor/tfjs.min.js")
        wasm, weights, connect = _compressed_wasm(), packed.data, "'none'"
    parts = {
        "title": html.escape(title),
        "connect": html.escape(connect),
        "style": _read("page/explorer.css"),
        # A script ends at the first "</script", in whatever string it stands.
        "data": json.dumps(data, allow_nan=False).replace("<", "\\u003c"),
        "weights": base64.b64encode(weights).decode(),
        "wasm": base64.b64encode(wasm).decode(),
        "runtime": runtime,
        "program": _read("page/explorer.js"),
    }
    template = _read("page/explorer.html")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _pictures(images, codes, names, deviations) -> list[dict[str, Any]]:
    # A latent that does not vary cannot be told in deviations.
    values = np.asarray(codes) / np.where(deviations > 0, deviations, np.inf)
    return [
        {"name": name, "src": _data_url(image), "values": np.round(row, 4).tolist()}
        for image, name, row in zip(images, names, values, strict=True)
    ]


def _data_url(image: np.ndarray) -> str:
    buffer = io.BytesIO()
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    picture.save(buffer, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _origin(url: str) -> str:
    parts = urllib.parse.urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _read(name: str) -> str:
    return _FILES.joinpath(name).read_text(encoding="utf-8")


@functools.cache
def _compressed_wasm() -> bytes:
    return gzip.compress(_FILES.joinpath("vendor/tfjs.wasm").read_bytes(), 9, mtime=0)
