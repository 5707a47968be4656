"""Folders of image files; sub-folders are classes."""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .arrays import choose, from_arrays
from .dataset import Dataset

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
_MAX_PIXELS = 2**26  # of one file: a few kB can claim gigabytes ("decompression bomb")
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
    paths = _find(folder)
    labels = _labels(folder, paths)
    chosen = choose(len(paths), num_images=num_images, seed=seed, name=folder.name)
    images = _read_all([paths[i] for i in chosen], image_size)
    return from_arrays(
        images, labels=None if labels is None else labels[chosen], name=folder.resolve().name
    )


def _find(folder: Path) -> list[Path]:
    found = []
    for path in folder.rglob("*"):
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if path.suffix.lower() in SUFFIXES and path.is_file() and not hidden:
            found.append(path)
    if not found:
        raise ValueError(
            f"The folder '{folder}' must hold images ({' '.join(sorted(SUFFIXES))}) or the IDX "
            f"files of MNIST. Received: {sorted(path.name for path in folder.iterdir())[:10]}."
        )
    # The order of the file system differs from machine to machine.
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def _labels(folder: Path, paths: list[Path]) -> np.ndarray | None:
    """The number of the sub-folder each file is in, or None if there are no sub-folders."""
    parts = [path.relative_to(folder).parts for path in paths]
    loose = [part[0] for part in parts if len(part) == 1]
    if len(loose) == len(parts):
        return None
    if loose:
        raise ValueError(
            f"Images must lie either directly in '{folder}' or in sub-folders, one per class. "
            f"Received: {len(loose)} files directly in it, such as '{loose[0]}', and "
            f"{len(parts) - len(loose)} in sub-folders. Move the former or load a sub-folder."
        )
    names = sorted({part[0] for part in parts})
    return np.array([names.index(part[0]) for part in parts])


def _read_all(paths: list[Path], image_size: int | None) -> np.ndarray:
    images, mode = None, None
    for i, path in enumerate(paths):
        pixels = _read(path, mode, image_size)
        if images is None:
            mode = "L" if pixels.shape[-1] == 1 else "RGB"
            images = np.empty((len(paths), *pixels.shape), np.uint8)
        if pixels.shape != images.shape[1:]:
            raise ValueError(
                "`image_size` is needed when the images differ in size. Received: "
                f"{images.shape[1:3]} in '{paths[0]}' and {pixels.shape[:2]} in '{path}' "
                "(height, width). Pass image_size=64, for instance."
            )
        images[i] = pixels
    return images


def _read(path: Path, mode: str | None, image_size: int | None) -> np.ndarray:
    """Pixels `(height, width, channels)`, in the `mode` of the file if it is None."""
    try:
        with warnings.catch_warnings():
            # Pillow only warns of the smaller bombs; the check below refuses them.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image = Image.open(path)
        with image:
            _check_pixels(path, image.size)
            image = ImageOps.exif_transpose(image)
            image = _to_mode(image, mode)
    except Image.DecompressionBombError as error:
        raise ValueError(f"The image file '{path}' is too large: {error}") from error
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError) as error:
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
        raise ValueError(
            f"The image file '{path}' is too large: at most {_MAX_PIXELS} pixels are read. "
            f"Received: {size[0]} x {size[1]}. Make it smaller or remove it."
        )
