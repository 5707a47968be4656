"""What generated sets have in common: a grid of factors, and an image for every point of it."""

import abc
import math
from collections.abc import Sequence

import numpy as np

from .arrays import choose
from .dataset import Dataset, Factor

DEFAULT_NUM_IMAGES = 20_000
FULL_SIZE = 64
_SPLIT_SEED = 20_110  # any fixed number: the splits must be the same for everybody
_TEST_FRACTION = 0.1


class GeneratedSet(abc.ABC):
    """A full grid of ground-truth factors whose images are drawn on demand.

    Point number `index` has the classes `np.unravel_index(index, sizes)`, as in the archives of
    dSprites and 3D Shapes: the last factor runs fastest. Subclasses set `name` and `channels` and
    give `_values`, the value of every class of every factor, and `_draw`.

    Args:
        image_size: 64, 32 or 16. The smaller ones are area averages of the same picture.

    Raises:
        ValueError: If `image_size` is another.
    """

    name: str
    channels: int

    def __init__(self, *, image_size: int = FULL_SIZE):
        if image_size not in (64, 32, 16):
            raise ValueError(
                f"`image_size` must be 64, 32 or 16 for '{self.name}'. "
                f"Received: image_size={image_size!r}."
            )
        self.image_size = image_size

    @property
    @abc.abstractmethod
    def _values(self) -> dict[Factor, np.ndarray]:
        """The value of every class, per factor."""

    @abc.abstractmethod
    def _draw(self, factor_classes: np.ndarray) -> np.ndarray:
        """uint8 images of a chunk of valid int64 `factor_classes`."""

    @property
    def factor_info(self) -> tuple[Factor, ...]:
        """The factors in the order of their columns."""
        return tuple(self._values)

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many values each factor takes."""
        return tuple(factor.size for factor in self.factor_info)

    @property
    def num_images(self) -> int:
        """Number of points of the grid, `prod(sizes)`."""
        return math.prod(self.sizes)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of the images."""
        return (self.image_size, self.image_size, self.channels)

    def factor_classes_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The classes `(num_samples, num_factors)`, int64, of points of the grid."""
        return np.stack(np.unravel_index(np.asarray(indices), self.sizes), axis=-1)

    def factors_at(self, indices: Sequence[int] | np.ndarray) -> np.ndarray:
        """The factor values `(num_samples, num_factors)`, float64, of points of the grid."""
        classes = self.factor_classes_at(indices)
        columns = [values[classes[:, i]] for i, values in enumerate(self._values.values())]
        return np.stack(columns, axis=-1).astype(np.float64)

    def render(self, factor_classes: np.ndarray) -> np.ndarray:
        """Draws the images with the given classes; the same classes give the same image.

        Args:
            factor_classes: Integers `(num_samples, num_factors)`.

        Returns:
            uint8 images `(num_samples, image_size, image_size, channels)`.

        Raises:
            ValueError: If the shape is wrong or a class is not in [0, size).
        """
        classes = np.asarray(factor_classes)
        if (
            classes.dtype.kind not in "iu"
            or classes.ndim != 2
            or classes.shape[1] != len(self.sizes)
        ):
            raise ValueError(
                f"`factor_classes` must be integers (num_samples, {len(self.sizes)}). "
                f"Received: dtype={classes.dtype}, shape={classes.shape}."
            )
        if len(classes) and ((classes < 0).any() or (classes >= self.sizes).any()):
            raise ValueError(
                f"`factor_classes` must be at least 0 and below {self.sizes}. Received: minima "
                f"{classes.min(axis=0).tolist()}, maxima {classes.max(axis=0).tolist()}."
            )
        classes = classes.astype(np.int64)
        images = np.empty((len(classes), *self.image_shape), np.uint8)
        for start in range(0, len(classes), 256):  # keeps the intermediates in the cache
            images[start : start + 256] = self._draw(classes[start : start + 256])
        return images

    def load(
        self, *, split: str = "train", num_images: int | None = DEFAULT_NUM_IMAGES, seed: int = 0
    ) -> Dataset:
        """A seeded sample, without replacement, of one split of the grid.

        The grid is permuted once and for all; the last 10 % of it are `test`, the rest is `train`.

        Args:
            split: `"train"` or `"test"`. Default `"train"`.
            num_images: Positive int, default 20,000; None for all of the split.
            seed: Int, selects the sample. Default 0.
        """
        split_indices = self.split_indices(split)
        name = f"{self.name} {split}"
        chosen = choose(len(split_indices), num_images=num_images, seed=seed, name=name)
        indices = split_indices[chosen]
        classes = self.factor_classes_at(indices)
        return Dataset(
            self.name,
            self.render(classes),
            factors=self.factors_at(indices),
            factor_classes=classes,
            factor_info=self.factor_info,
        )

    def split_indices(self, split: str) -> np.ndarray:
        """The points of the grid that belong to a split, in a fixed random order."""
        if split not in ("train", "test"):
            raise ValueError(
                f"`split` must be 'train' or 'test' for '{self.name}'. Received: split={split!r}."
            )
        order = np.random.default_rng(_SPLIT_SEED).permutation(self.num_images)
        num_train = self.num_images - round(self.num_images * _TEST_FRACTION)
        return order[:num_train] if split == "train" else order[num_train:]


def average_areas(images: np.ndarray, factor: int) -> np.ndarray:
    """Means over `factor` x `factor` squares of `(..., height, width, channels)`, as floats."""
    *batch, height, width, channels = images.shape
    blocks = (*batch, height // factor, factor, width // factor, factor, channels)
    return images.reshape(blocks).mean(axis=(-4, -2), dtype=np.float32)
