"""One door to every source: `load`."""

import dataclasses
import math
import os
from pathlib import Path

from . import idx, image_folder, npz, tfds_source, tfrecords
from .arrays import MAX_BYTES, choose, resize
from .dataset import Dataset, UnknownSplitError
from .dsprites_like import DSpritesLike
from .generated import DEFAULT_NUM_IMAGES, FULL_SIZE
from .shapes3d_like import Shapes3DLike

_FILE_SUFFIXES = frozenset({".npz", ".idx", ".gz"} | image_folder.SUFFIXES)
_ZIP_MAGIC = b"PK"
GENERATED_SETS = {generated.name: generated for generated in (DSpritesLike, Shapes3DLike)}


def load(
    name_or_path: str | os.PathLike,
    *,
    split: str = "train",
    data_dir: str | None = None,
    download: bool = False,
    num_images: int | None = None,
    image_size: int | None = None,
    seed: int = 0,
) -> Dataset:
    """Loads images by the name of a data set or from files.

    Args:
        name_or_path: One of, in this order:

            - `"dsprites_like"` or `"shapes3d_like"`: drawn here, nothing is downloaded;
            - an existing file: an `.npz` archive, or an IDX file, plain or gzip;
            - an existing folder: TFRecords that `write_tfrecords` wrote, the IDX files of MNIST or
              of a relative, or images, whose sub-folders are classes;
            - the name of an image data set of TensorFlow Datasets.
        split: Str. Generated sets and IDX folders have `"train"` and `"test"`, a folder of images
            has the sub-folders of these names if it has any, TensorFlow Datasets has its own and
            slices of them; all others have `"train"` only. Default `"train"`.
        data_dir: Str, where TensorFlow Datasets keeps its data. Default None: its own default.
        download: Bool, let TensorFlow Datasets download and prepare what is missing. Default False:
            the network is not touched.
        num_images: Positive int, take a random choice without replacement. Default None: all, but
            20,000 of a generated set, whose whole grid would need 3 to 6 GB.
        image_size: Positive int, the side of square images; generated sets draw them at 64, 32 or
            16, others are cut to their middle square and resized. Default None: as they are.
        seed: Int, selects the choice. Default 0.

    Returns:
        A `Dataset`.

    Raises:
        ImportError: If TensorFlow Datasets is needed and not installed.
        FileNotFoundError: If a file, or the prepared data of a data set, is not there.
        OSError: If a data set cannot be downloaded and prepared.
        ValueError: If the name is unknown, a file is damaged, or an argument is out of range.

    Example:

    >>> load("dsprites_like", num_images=100, image_size=32).images.shape
    (100, 32, 32, 1)
    """
    name = os.fspath(name_or_path)
    path = Path(name).expanduser()
    is_int = isinstance(image_size, int) and not isinstance(image_size, bool)
    if image_size is not None and not (is_int and image_size > 0):
        raise ValueError(
            f"`image_size` must be a positive int or None. Received: image_size={image_size!r}."
        )
    if name in GENERATED_SETS:
        size = FULL_SIZE if image_size is None else image_size
        number = DEFAULT_NUM_IMAGES if num_images is None else num_images
        generated = GENERATED_SETS[name](image_size=size)
        return generated.load(split=split, num_images=number, seed=seed)
    options = {"num_images": num_images, "image_size": image_size, "seed": seed}
    if path.is_dir() and (folder := tfrecord_folder(path, split)):
        return _shrink(_read_tfrecords(folder), **options)
    if path.is_dir() and not idx.is_idx_folder(path):
        folder = split_folder(path, split)
        return image_folder.load_image_folder(folder, **options)
    if path.exists():
        return _shrink(_load_file_or_idx_folder(path, split), **options)
    if name.startswith((".", "~", os.sep)) or path.suffix in _FILE_SUFFIXES:
        raise FileNotFoundError(
            f"`name_or_path` must exist if it is a path. Received: '{path}', seen from "
            f"'{Path.cwd()}'. Check the spelling."
        )
    return tfds_source.load_tfds(name, split=split, data_dir=data_dir, download=download, **options)


def tfrecord_folder(path: Path, split: str) -> Path | None:
    """The folder that holds the TFRecords of a split, if `path` is or has such folders.

    Raises:
        UnknownSplitError: If it has no such split.
    """
    return split_folder(path, split) if is_tfrecord_folder(path) else None


def is_tfrecord_folder(path: str | os.PathLike) -> bool:
    """Whether a folder, or the `train` in it, is one that `write_tfrecords` wrote."""
    path = Path(path).expanduser()
    return any((folder / tfrecords.INDEX).is_file() for folder in (path, path / "train"))


def _read_tfrecords(folder: Path) -> Dataset:
    images = tfrecords.open_tfrecords(folder)
    num_bytes = images.num_images * math.prod(images.image_shape)
    if num_bytes > MAX_BYTES:
        raise ValueError(
            f"The images in '{folder}' need {num_bytes} bytes, more than the limit of {MAX_BYTES}. "
            "Train on them by `stream`."
        )
    return images.read_shards(range(len(images.shards)))


def split_folder(folder: Path, split: str) -> Path:
    """The sub-folder of images that holds a split, or the folder itself if it has no splits."""
    has_splits = (folder / "train").is_dir()
    if has_splits and (folder / split).is_dir():
        return folder / split
    if has_splits or split != "train":
        raise UnknownSplitError(
            f"`split` must be a sub-folder of '{folder}', or 'train' if there is no 'train' in it. "
            f"Received: split={split!r}."
        )
    return folder


def _load_file_or_idx_folder(path: Path, split: str) -> Dataset:
    if path.is_dir():
        return idx.load_idx_folder(path, split=split)
    if not path.is_file():  # a pipe or a device has no end
        raise ValueError(
            f"`name_or_path` must be a plain file or a folder, no pipe. Received: '{path}'."
        )
    if split != "train":
        raise UnknownSplitError(
            f"`split` must be 'train' for a single file. Received: split={split!r}, '{path}'. "
            "Load another file, or a folder of IDX files."
        )
    with path.open("rb") as file:
        is_archive = file.read(2) == _ZIP_MAGIC
    return npz.load_npz(path) if is_archive or path.suffix == ".npz" else idx.load_idx_file(path)


def _shrink(
    dataset: Dataset, *, num_images: int | None, image_size: int | None, seed: int
) -> Dataset:
    chosen = choose(dataset.num_images, num_images=num_images, seed=seed, name=dataset.name)
    if num_images is not None:
        dataset = dataset.subset(chosen)
    if image_size is not None:
        dataset = dataclasses.replace(dataset, images=resize(dataset.images, image_size))
    return dataset
