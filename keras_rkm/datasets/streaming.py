"""One door to images that memory does not hold: `stream`."""

import os
from pathlib import Path

from . import idx, tfds_source
from .folder_stream import FolderStream
from .image_stream import ImageStream
from .loading import GENERATED_SETS, split_folder, tfrecord_folder
from .tfrecords import open_tfrecords


def stream(
    name_or_path: str | os.PathLike,
    *,
    split: str = "train",
    data_dir: str | None = None,
    download: bool = False,
    image_size: int | None = None,
) -> ImageStream:
    """Opens images that are read from the disk batch by batch.

    Args:
        name_or_path: A folder that `write_tfrecords` wrote, a folder of images, or the name of an
            image data set of TensorFlow Datasets that is prepared as TFRecords.
        split: Str, as in `load`. Default `"train"`.
        data_dir: Str, where TensorFlow Datasets keeps its data. Default None: its own default.
        download: Bool, let TensorFlow Datasets download and prepare what is missing. Default False.
        image_size: Positive int, cut and resize to squares of this size. Default None: as they are,
            which must then be alike. TFRecords are not resized.

    Returns:
        An `ImageStream`, which has `batches` and more of a `Dataset`.

    Raises:
        FileNotFoundError: If a file, or the prepared data of a data set, is not there.
        ImportError: If TensorFlow Datasets is needed and not installed.
        OSError: If a shard is damaged, or a data set cannot be prepared.
        ValueError: If the name is unknown, an index is damaged, or the source cannot be streamed.
    """
    name = os.fspath(name_or_path)
    path = Path(name).expanduser()
    if image_size is not None and not (type(image_size) is int and image_size > 0):
        raise ValueError(
            f"`image_size` must be a positive int or None. Received: image_size={image_size!r}."
        )
    if name in GENERATED_SETS or path.is_file() or (path.is_dir() and idx.is_idx_folder(path)):
        raise ValueError(
            f"'{name}' cannot be streamed: `stream` takes folders of TFRecords or of images, and "
            "TensorFlow Datasets. Use `load`, or write the images by `write_tfrecords`."
        )
    if not path.is_dir():
        return tfds_source.stream_tfds(
            name, split=split, data_dir=data_dir, download=download, image_size=image_size
        )
    folder = tfrecord_folder(path, split)
    if folder is None:
        return FolderStream(split_folder(path, split), image_size=image_size)
    images = open_tfrecords(folder)
    if image_size is not None and images.image_shape[:2] != (image_size, image_size):
        raise ValueError(
            f"`image_size` must be that of the TFRecords in '{folder}', "
            f"{images.image_shape[:2]}. Received: image_size={image_size}. Write them at that size."
        )
    return images
