"""Latents with their images for the embedding projector of TensorBoard."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from .files import save_png
from .grids import image_grid

_MAX_SPRITE_SIDE = 8_192  # the projector takes no larger picture
_MAX_THUMBNAIL = 64


def write_projector(
    folder: str | os.PathLike,
    latents: np.ndarray,
    images: np.ndarray,
    metadata: Mapping[str, Sequence] | None = None,
    *,
    name: str = "latents",
) -> None:
    """Writes what the projector shows of `folder`, if there is an event file in it as well.

    The files are `latents.tsv`, `metadata.tsv`, `sprite.png` (an image for each point, at most 64
    pixels wide) and `projector_config.pbtxt`. Files that are there are replaced.

    Args:
        folder: Str or path; it is made if it is not there.
        latents: `(num_points, latent_dim)`; a few thousand at most.
        images: uint8 array `(num_points, height, width, channels)`.
        metadata: A value for each point, by name of the column.
        name: Str, the name of the points. Defaults to `"latents"`.

    Raises:
        ValueError: If the numbers of rows differ, or the sprite would be too large.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector import ProjectorConfig

    latents, metadata = np.asarray(latents), dict(metadata or {})
    lengths = {"latents": len(latents), "images": len(images)}
    lengths |= {title: len(values) for title, values in metadata.items()}
    if len(set(lengths.values())) > 1 or latents.ndim != 2 or not len(latents):
        raise ValueError(
            "`latents`, `images` and `metadata` must have as many rows, at least one. Received: "
            f"{lengths}, latents of shape {latents.shape}."
        )
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    thumbnails = _thumbnails(images)
    side = math.ceil(math.sqrt(len(images)))
    if side * max(thumbnails.shape[1:3]) > _MAX_SPRITE_SIDE:
        raise ValueError(
            f"`images` make a sprite of more than {_MAX_SPRITE_SIDE} pixels. Received: "
            f"{len(images)} images. Take fewer."
        )
    # Squares of equal images without lines between them: the projector cuts it up again.
    save_png(image_grid(thumbnails, num_columns=side, padding=0, scale=1), folder / "sprite.png")
    np.savetxt(folder / "latents.tsv", latents, fmt="%.6g", delimiter="\t")
    config = ProjectorConfig()
    embedding = config.embeddings.add()
    embedding.tensor_name = name
    embedding.tensor_path = "latents.tsv"
    embedding.sprite.image_path = "sprite.png"
    embedding.sprite.single_image_dim.extend(thumbnails.shape[2:0:-1])  # width, height
    if metadata:
        embedding.metadata_path = "metadata.tsv"
        (folder / "metadata.tsv").write_text(_table(metadata), encoding="utf-8")
    # Last: it names the others.
    (folder / "projector_config.pbtxt").write_text(text_format.MessageToString(config))


def _thumbnails(images: np.ndarray) -> np.ndarray:
    height, width = images.shape[1:3]
    factor = _MAX_THUMBNAIL / max(height, width)
    if factor >= 1:
        return images
    size = max(round(factor * width), 1), max(round(factor * height), 1)
    flat = images.squeeze(-1) if images.shape[-1] == 1 else images
    small = np.stack([np.asarray(Image.fromarray(image).resize(size)) for image in flat])
    return small.reshape(len(images), size[1], size[0], images.shape[-1])


def _table(metadata: Mapping[str, Sequence]) -> str:
    """Tab-separated; a single column has no head, as the projector wants it."""
    rows = list(zip(*metadata.values(), strict=True))
    if len(metadata) > 1:
        rows.insert(0, tuple(metadata))
    return "".join("\t".join(map(_cell, row)) + "\n" for row in rows)


def _cell(value) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.6g}"
    return " ".join(str(value).split())
