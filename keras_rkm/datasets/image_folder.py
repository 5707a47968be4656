"""Folders of image files; sub-folders are classes."""

import math
import os
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from .arrays import MAX_BYTES, choose, from_arrays, naming
from .dataset import Dataset

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_MAX_PIXELS = 2**26  # of one file: a few kB can claim gigabytes ("decompression bomb")
_MAX_FILE_BYTES = 2**29  # as many as such an image needs without compression
# Not whatever Pillow knows: it hands EPS to another program.
_FORMATS = ("BMP", "DIB", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
_GREY_MODES = {"1", "L", "LA", "I;16"}


def load_image_folder(
    folder: str | Path,
    *,
    image_size: int | None = None,
    num_images: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Reads a folder of image files, in the order of their names.

    Images directly in `folder` have no labels. If they lie in sub-folders, every sub-folder is a
    class, numbered in the order of the names, and may itself have folders. Hidden files and files
    without an image's suffix are left out. The result is grey if the first image is, else RGB.

    Args:
        folder: The folder.
        image_size: Positive int: cut every image to its middle square and resize it to this many
            pixels. Default None: the images must all have one size.
        num_images: Positive int, read a random choice only. Default None: all.
        seed: Int, selects the choice. Default 0.

    Returns:
        A `Dataset` of `(num_images, height, width, 1 or 3)`.

    Raises:
        ValueError: If there are no images, a file is damaged or too large, or sizes differ.
    """
    folder = Path(folder)
    names = find_images(folder)
    labels = labels_of(folder, names)
    chosen = choose(len(names), num_images=num_images, seed=seed, name=folder.name)
    paths = [folder / names[i] for i in chosen]
    shape = read_image(paths[0], None, image_size).shape
    _check_total(len(paths) * math.prod(shape), folder)
    images = read_images(paths, "L" if shape[-1] == 1 else "RGB", shape, image_size)
    with naming(folder):
        return from_arrays(
            images, labels=None if labels is None else labels[chosen], name=folder.resolve().name
        )


def find_images(folder: Path) -> list[str]:
    """The names of the image files below a folder, relative to it, in order.

    Raises:
        ValueError: If there are none.
    """
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in files:
            is_image = os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")
            if is_image and os.path.isfile(path := os.path.join(parent, name)):
                # The separator below all characters: the order of texts is that of their parts.
                found.append(os.path.relpath(path, folder).replace(os.sep, "\0"))
    if not found:
        raise ValueError(
            f"The folder '{folder}' must hold images ({' '.join(sorted(SUFFIXES))}) or the IDX "
            f"files of MNIST. Received: {sorted(path.name for path in folder.iterdir())[:10]}."
        )
    # The order of the file system differs from machine to machine. In place, since of a million
    # names every copy counts.
    found.sort()
    for number, name in enumerate(found):
        found[number] = name.replace("\0", os.sep)
    return found


def labels_of(folder: Path, names: list[str]) -> np.ndarray | None:
    """The number of the sub-folder each file is in, or None if there are no sub-folders.

    Args:
        folder: The folder.
        names: As of `find_images`, in order.

    Raises:
        ValueError: If some are in sub-folders and some are not.
    """
    num_loose = sum(os.sep not in name for name in names)
    if num_loose == len(names):
        return None
    if num_loose:
        first = next(name for name in names if os.sep not in name)
        raise ValueError(
            f"Images must lie either directly in '{folder}' or in sub-folders, one per class. "
            f"Received: {num_loose} files directly in it, such as '{first}', and "
            f"{len(names) - num_loose} in sub-folders. Move the former or load a sub-folder."
        )
    numbers = {}
    labels = (numbers.setdefault(name.partition(os.sep)[0], len(numbers)) for name in names)
    return np.fromiter(labels, np.int64, len(names))


def read_images(
    paths: Sequence[Path], mode: str, shape: tuple[int, int, int], image_size: int | None
) -> np.ndarray:
    """The pixels of files, uint8 `(len(paths), *shape)`.

    Args:
        paths: The files.
        mode: `"L"` for grey, or `"RGB"`.
        shape: What every image must have.
        image_size: As in `load_image_folder`.

    Raises:
        OSError: If a file is missing.
        ValueError: If one is damaged, too large, or of another shape.
    """
    images = np.empty((len(paths), *shape), np.uint8)
    for i, path in enumerate(paths):
        pixels = read_image(path, mode, image_size)
        if pixels.shape != shape:
            raise ValueError(
                "`image_size` is needed when the images differ in size. Received: "
                f"{shape[:2]} in the first file and {pixels.shape[:2]} in '{path}' "
                "(height, width). Pass image_size=64, for instance."
            )
        images[i] = pixels
    return images


class _TooLargeError(Exception):
    pass


def _check_total(num_bytes: int, folder: Path) -> None:
    if num_bytes > MAX_BYTES:
        raise ValueError(
            f"The images in '{folder}' need {num_bytes} bytes, more than the limit of {MAX_BYTES}. "
            "Take fewer by `num_images`, make them smaller by `image_size`, or train on them by "
            "`stream`."
        )


def read_image(path: Path, mode: str | None, image_size: int | None) -> np.ndarray:
    """Pixels `(height, width, channels)`, in the `mode` of the file if it is None."""
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ValueError(
            f"The image file '{path}' is too large: at most {_MAX_FILE_BYTES} bytes are read. "
            f"Received: {path.stat().st_size}. Make it smaller or remove it."
        )
    try:
        with warnings.catch_warnings():
            # Pillow only warns of the smaller bombs; the check below refuses them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path, formats=_FORMATS)
        with image:
            _check_pixels(path, image.size)
            image = ImageOps.exif_transpose(image)
            image = _to_mode(image, mode)
    except Image.DecompressionBombError as error:
        raise ValueError(f"The image file '{path}' is too large: {error}") from error
    except _TooLargeError as error:
        raise ValueError(str(error)) from None
    except Exception as error:  # of any kind: each of the decoders has its own
        raise ValueError(
            f"The image file '{path}' is damaged or not an image ({error}). Replace or remove it."
        ) from error
    if image_size is not None:
        image = ImageOps.fit(image, (image_size, image_size), method=Image.Resampling.LANCZOS)
    pixels = np.asarray(image, dtype=np.uint8)
    return pixels[..., np.newaxis] if pixels.ndim == 2 else pixels


def _to_mode(image: Image.Image, mode: str | None) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey, which `convert` would clip to white
        image = Image.fromarray((np.asarray(image, np.uint32) >> 8).astype(np.uint8))
    return image.convert(mode or ("L" if image.mode in _GREY_MODES else "RGB"))


def _check_pixels(path: Path, size: tuple[int, int]) -> None:
    if size[0] * size[1] > _MAX_PIXELS:
        raise _TooLargeError(
            f"The image file '{path}' is too large: at most {_MAX_PIXELS} pixels are read. "
            f"Received: {size[0]} x {size[1]}. Make it smaller or remove it."
        )
