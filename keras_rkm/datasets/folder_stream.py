"""A folder of image files that are read when they are needed."""

import hashlib
from pathlib import Path

import numpy as np
import tensorflow as tf

from .dataset import Dataset
from .fingerprints import fingerprint, spread
from .image_folder import find_images, labels_of, read_image, read_images
from .image_stream import ImageStream
from .pipeline import make_indexed_batches


class FolderStream(ImageStream):
    """A stream of the images that `load_image_folder` would read.

    Only the names of the files are in memory. Every epoch has an order over all of them, the one
    that a `Dataset` of these images has.

    Args:
        folder: The folder.
        image_size: Positive int: cut and resize every image. Default None: all have one size.

    Raises:
        ValueError: If there are no images, or the first one is damaged.
    """

    def __init__(self, folder: str | Path, *, image_size: int | None = None):
        folder = Path(folder)
        names = find_images(folder)
        self._set_up(folder, names, labels_of(folder, names), image_size)

    def _set_up(self, folder, names, labels, image_size):
        self._folder, self._names, self._labels, self._image_size = (
            folder,
            names,
            labels,
            image_size,
        )
        shape = read_image(folder / names[0], None, image_size).shape
        self._mode = "L" if shape[-1] == 1 else "RGB"
        super().__init__(folder.resolve().name, len(names), shape, has_labels=labels is not None)

    def _batches(self, batch_size, *, with_labels, **options):
        labels = tf.constant(self._labels if with_labels else 0, tf.int64)

        def fetch(indices):
            images = tf.numpy_function(self._read, [indices], tf.uint8)
            images = tf.ensure_shape(images, (indices.shape[0], *self.image_shape))
            return (images, tf.gather(labels, indices)) if with_labels else (images,)

        return make_indexed_batches(fetch, self.num_images, batch_size, **options)

    def _read(self, indices: np.ndarray) -> np.ndarray:
        paths = [self._folder / self._names[i] for i in indices]
        return read_images(paths, self._mode, self.image_shape, self._image_size)

    def fingerprint(self) -> str:
        files = hashlib.sha256()
        for name in self._names:
            files.update(f"{name}\0{(self._folder / name).stat().st_size}\0".encode())
        facts = [self._image_size, files.hexdigest()]
        sample = ((self._folder / self._names[i]).read_bytes() for i in spread(len(self._names)))
        return fingerprint(facts, sample)

    def hold_out(self, num_images: int, *, seed: int = 0) -> tuple[ImageStream, Dataset]:
        if num_images >= self.num_images:
            raise ValueError(
                f"`num_images` must be less than the {self.num_images} images of '{self.name}'. "
                f"Received: num_images={num_images}."
            )
        chosen = self._choose(num_images, seed)
        rest = np.setdiff1d(np.arange(self.num_images), chosen)
        stream = FolderStream.__new__(FolderStream)
        labels = None if self._labels is None else self._labels[rest]
        stream._set_up(self._folder, [self._names[i] for i in rest], labels, self._image_size)
        # The first image of all decides between grey and colour.
        stream._mode, stream.image_shape = self._mode, self.image_shape
        return stream, self._take(chosen)

    def sample(self, num_images: int, *, seed: int = 0) -> Dataset:
        return self._take(self._choose(min(num_images, self.num_images), seed))

    def _choose(self, num_images: int, seed: int) -> np.ndarray:
        return np.sort(np.random.default_rng(seed).permutation(self.num_images)[:num_images])

    def _take(self, indices: np.ndarray) -> Dataset:
        labels = None if self._labels is None else self._labels[indices]
        return Dataset(self.name, self._read(indices), labels)
