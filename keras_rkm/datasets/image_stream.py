"""Images that stay on the disk: what an `ImageStream` offers, whatever it reads."""

import abc

import tensorflow as tf

from .dataset import Dataset


class ImageStream(abc.ABC):
    """Images that are read when they are needed; as much of a `Dataset` as training takes.

    Made by `stream` and `write_tfrecords`. Memory does not grow with the number of images, but for
    the names of the files of an image folder.

    Args:
        name: Str, where the images come from.
        num_images: Positive int.
        image_shape: `(height, width, channels)`.
        has_labels: Bool, whether `batches(with_labels=True)` is possible.
    """

    def __init__(
        self, name: str, num_images: int, image_shape: tuple[int, int, int], *, has_labels: bool
    ):
        self.name = name
        self.num_images = num_images
        self.image_shape = image_shape
        self.has_labels = has_labels

    def __repr__(self):
        return (
            f"{type(self).__name__}(name={self.name!r}, num_images={self.num_images}, "
            f"image_shape={self.image_shape}, labels={self.has_labels})"
        )

    def batches(
        self,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        drop_remainder: bool = False,
        num_epochs: int | None = 1,
        start_step: int = 0,
        with_labels: bool = False,
    ) -> tf.data.Dataset:
        """Float32 batches in [0, 1] whose content depends on the seed and the step alone.

        As `Dataset.batches`, whose arguments it has. A file that is missing or damaged when its
        turn comes ends the iteration by a `tf.errors.OpError` that names it.

        Raises:
            ValueError: If an argument is out of range, or labels are wanted and there are none.
        """
        if with_labels and not self.has_labels:
            raise ValueError(
                f"`with_labels=True` needs labels, and '{self.name}' has none. "
                "Use `with_labels=False`."
            )
        return self._batches(
            batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            num_epochs=num_epochs,
            start_step=start_step,
            with_labels=with_labels,
        )

    def factor_arguments(self) -> dict:
        """No factors are known, as `Dataset.factor_arguments` says it."""
        return {}

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """A hexadecimal digest of names, sizes and a sample of the images, in milliseconds.

        It does not depend on where the files lie.

        Raises:
            OSError: If a file is missing.
        """

    @abc.abstractmethod
    def hold_out(self, num_images: int, *, seed: int = 0) -> tuple["ImageStream", Dataset]:
        """Splits off held-out images, which are read into memory.

        Args:
            num_images: Positive int, about how many.
            seed: Int, decides which ones. Default 0.

        Returns:
            A stream of the others, and a `Dataset`.

        Raises:
            OSError: If a file is missing or damaged.
            ValueError: If nothing would be left.
        """

    @abc.abstractmethod
    def sample(self, num_images: int, *, seed: int = 0) -> Dataset:
        """Some of the images, in memory; those that `hold_out` would hold out.

        Args:
            num_images: Positive int, at most how many.
            seed: Int, decides which ones. Default 0.

        Raises:
            OSError: If a file is missing or damaged.
        """

    @abc.abstractmethod
    def _batches(self, batch_size: int, *, with_labels: bool, **options) -> tf.data.Dataset:
        pass
