"""Pictures and animations as files, which are whole or not there at all."""

import os
from pathlib import Path

import numpy as np
from PIL import Image

from keras_rkm._files import write_atomically


def save_png(array: np.ndarray, path: str | os.PathLike) -> None:
    """Writes a picture to a PNG file, which is there either whole or not at all.

    Args:
        array: A uint8 array of shape `(height, width, 3)`.
        path: The file; one that exists is replaced. Its folder has to exist.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If the array is not uint8.
        ValueError: If it does not have the shape `(height, width, 3)`.
    """
    array = np.asarray(array)
    if array.dtype != np.uint8:
        raise TypeError(
            f"`array` must be of type uint8. Received: {array.dtype}. Use `image_grid`."
        )
    if array.ndim != 3 or array.shape[-1] != 3 or array.size == 0:
        raise ValueError(
            f"`array` must have the shape (height, width, 3). Received: shape {array.shape}."
        )
    write_atomically(
        path, lambda beside: Image.fromarray(array).save(beside, format="PNG", optimize=True)
    )


def save_animation(frames, path: str | os.PathLike, *, frame_milliseconds: int = 100) -> None:
    """Writes frames as an animation that repeats for ever; the file is whole or not there at all.

    A WebP file holds the frames exactly. So does a GIF file of grey frames; coloured ones are
    brought to 256 colours, the same in all frames. Equal frames in a row become one that is shown
    longer.

    Args:
        frames: A uint8 array of shape `(num_frames, height, width, 3)`.
        path: The file, `.gif` or `.webp`; one that exists is replaced. Its folder has to exist.
        frame_milliseconds: Positive int, how long a frame is shown. Defaults to 100. A GIF file
            counts in steps of 10.

    Raises:
        OSError: If the file cannot be written.
        TypeError: If the array is not uint8.
        ValueError: If it has another shape, `path` another suffix, or the time is not positive.
    """
    frames, path = np.asarray(frames), Path(path)
    _check_animation(frames, path, frame_milliseconds)
    if path.suffix.lower() == ".gif":
        images, options = _with_one_palette(frames), {"format": "GIF", "optimize": False}
    else:
        images = [Image.fromarray(frame) for frame in frames]
        options = {"format": "WEBP", "lossless": True}
    options |= {"save_all": True, "append_images": images[1:], "loop": 0}
    write_atomically(
        path, lambda beside: images[0].save(beside, duration=frame_milliseconds, **options)
    )


def _with_one_palette(frames: np.ndarray) -> list[Image.Image]:
    """Frames for a GIF file; with a palette for each of them the colours would flicker."""
    if np.array_equal(frames, np.broadcast_to(frames[..., :1], frames.shape)):
        return [Image.fromarray(frame[..., 0]) for frame in frames]
    all_frames = Image.fromarray(frames.reshape(-1, *frames.shape[2:]))
    palette = all_frames.quantize(256)
    return [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]


def _check_animation(frames: np.ndarray, path: Path, frame_milliseconds: int) -> None:
    if frames.dtype != np.uint8:
        raise TypeError(
            f"`frames` must be of type uint8. Received: {frames.dtype}. Use `traversal_frames`."
        )
    if frames.ndim != 4 or frames.shape[-1] != 3 or frames.size == 0:
        raise ValueError(
            "`frames` must have the shape (num_frames, height, width, 3). "
            f"Received: shape {frames.shape}."
        )
    if path.suffix.lower() not in (".gif", ".webp"):
        raise ValueError(f"`path` must end in .gif or .webp. Received: path={path}.")
    if frame_milliseconds < 1:
        raise ValueError(
            "`frame_milliseconds` must be a positive int. "
            f"Received: frame_milliseconds={frame_milliseconds}."
        )
