"""What every source of images turns into: `Dataset`, arrays that know their factors."""

import dataclasses
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from .fingerprints import fingerprint
from .pipeline import make_batches


class UnknownSplitError(ValueError):
    """The source is there, but has no such split."""


KINDS = ("continuous", "circular", "categorical")


@dataclasses.dataclass(frozen=True)
class Factor:
    """One ground-truth factor of variation: its name, how many values it takes, and their order.

    Args:
        name: Str, such as `"orientation"`.
        size: Positive int, the number of different values.
        kind: `"continuous"` (ordered), `"circular"` (ordered, and the last value is next to the
            first) or `"categorical"` (no order).

    Raises:
        ValueError: If `size` or `kind` is none of these.
    """

    name: str
    size: int
    kind: str = "continuous"

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"`kind` must be one of {KINDS}. Received: kind={self.kind!r}.")
        if self.size < 1:
            raise ValueError(f"`size` must be a positive int. Received: size={self.size}.")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images in memory, with labels and ground-truth factors where they are known.

    Usually made by `load` or `from_arrays`, which convert and check what people have; this class
    only insists that the parts fit together.

    Args:
        name: Str, where the images come from.
        images: uint8 array `(num_images, height, width, channels)`.
        labels: int64 array `(num_images,)`, or None.
        factors: float64 array `(num_images, num_factors)` of values, or None.
        factor_classes: int64 array `(num_images, num_factors)`, which of its values each factor
            takes, or None.
        factor_info: Tuple of `Factor`, one per column of `factors`.

    Raises:
        ValueError: If shapes or dtypes do not fit together.

    Example:

    >>> dataset = Dataset("example", np.zeros((10, 8, 8, 1), np.uint8))
    >>> dataset
    Dataset(name='example', num_images=10, image_shape=(8, 8, 1), labels=False, factors=())
    >>> [batch.shape[0] for batch in dataset.batches(4)]
    [4, 4, 2]
    """

    name: str
    images: np.ndarray
    labels: np.ndarray | None = None
    factors: np.ndarray | None = None
    factor_classes: np.ndarray | None = None
    factor_info: tuple[Factor, ...] = ()

    def __post_init__(self):
        if self.images.dtype != np.uint8 or self.images.ndim != 4 or not self.images.size:
            raise ValueError(
                "`images` must be a non-empty uint8 array (num_images, height, width, channels). "
                f"Received: dtype={self.images.dtype}, shape={self.images.shape}. "
                "Use `from_arrays` to convert."
            )
        table = (self.num_images, len(self.factor_info))
        expected = {"labels": table[:1], "factors": table, "factor_classes": table}
        for part, shape in expected.items():
            array = getattr(self, part)
            if array is not None and array.shape != shape:
                raise ValueError(
                    f"`{part}` must have one row per image and, if it holds factors, one column "
                    f"per entry of `factor_info`. Received: {part}.shape={array.shape}, "
                    f"expected {shape}."
                )

    def __repr__(self):
        factors = tuple(f"{factor.name}:{factor.size}" for factor in self.factor_info)
        return (
            f"Dataset(name={self.name!r}, num_images={self.num_images}, "
            f"image_shape={self.image_shape}, labels={self.labels is not None}, factors={factors})"
        )

    @property
    def num_images(self) -> int:
        """Number of images."""
        return self.images.shape[0]

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """`(height, width, channels)` of the images."""
        return self.images.shape[1:]

    def factor_arguments(self) -> dict[str, Any]:
        """The factors as the functions of `keras_rkm.metrics` and `evaluation` take them.

        Circular and categorical factors are given by their classes, so that the period of a
        circular one is its number of classes, even if only some of them occur.

        Returns:
            A dict with `factors`, `factor_kinds` and `factor_names`; empty if none are known.

        Example:

        >>> dataset = keras_rkm.datasets.load("dsprites_like", num_images=8, image_size=16)
        >>> arguments = dataset.factor_arguments()
        >>> arguments["factor_kinds"][:3]
        ['categorical', 'continuous', ('circular', 40.0)]
        """
        if self.factors is None:
            return {}
        factors = self.factors.copy()
        kinds: list[str | tuple[str, float]] = []
        for index, factor in enumerate(self.factor_info):
            kinds.append(factor.kind)
            if factor.kind != "continuous" and self.factor_classes is not None:
                factors[:, index] = self.factor_classes[:, index]
                if factor.kind == "circular":
                    kinds[-1] = ("circular", float(factor.size))
        names = [factor.name for factor in self.factor_info]
        return {"factors": factors, "factor_kinds": kinds, "factor_names": names}

    def subset(self, indices: np.ndarray) -> "Dataset":
        """The images at `indices`, in that order, with what belongs to them."""
        parts = {
            part: None if getattr(self, part) is None else getattr(self, part)[indices]
            for part in ("images", "labels", "factors", "factor_classes")
        }
        return dataclasses.replace(self, **parts)

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

        Batch number `step`, counted over all epochs, is a pure function of `seed` and `step`. So a
        run that stopped after `k` steps goes on with `start_step=k` exactly as if it had not.

        For the same reason every pass over the result is the same. For a new order in every epoch
        of `fit`, pass `num_epochs=None` here, and `steps_per_epoch` and `shuffle=False` there.

        Args:
            batch_size: Positive int.
            shuffle: Bool, a new order in every epoch; otherwise that of the arrays. Default True.
            seed: Int in [0, 2**63), selects the orders. Default 0.
            drop_remainder: Bool, leave out the smaller batch at the end of an epoch. Default False.
            num_epochs: Positive int, or None: for ever. Default 1.
            start_step: Non-negative int, the number of batches to leave out. Default 0.
            with_labels: Bool, yield `(images, labels)` pairs. Default False.

        Returns:
            A `tf.data.Dataset` of known cardinality. Images: `(batch, height, width, channels)`.

        Raises:
            ValueError: If an argument is out of range, or labels are wanted and there are none.
        """
        if with_labels and self.labels is None:
            raise ValueError(
                f"`with_labels=True` needs labels, and '{self.name}' has none. "
                "Use `with_labels=False`."
            )
        return make_batches(
            self._tensors if with_labels else self._tensors[:1],
            batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            num_epochs=num_epochs,
            start_step=start_step,
        )

    def fingerprint(self) -> str:
        """A hexadecimal digest of the images, their labels and factors; a second for a gigabyte.

        It tells whether a run goes on with the images it began with, wherever they lie.

        Example:

        >>> dataset = keras_rkm.datasets.load("dsprites_like", num_images=8, image_size=16)
        >>> dataset.fingerprint() == dataset.subset(np.arange(7)).fingerprint()
        False
        """
        facts = [self.images.shape, [dataclasses.astuple(factor) for factor in self.factor_info]]
        columns = (self.images, self.labels, self.factor_classes)
        contents = (np.ascontiguousarray(column) for column in columns if column is not None)
        return fingerprint(facts, contents)

    @functools.cached_property
    def _tensors(self) -> tuple[tf.Tensor, ...]:
        """Images, and labels if any, as tensors of the host: copied once, not per call."""
        arrays = (self.images,) if self.labels is None else (self.images, self.labels)
        with tf.device("CPU:0"):
            return tuple(tf.constant(array) for array in arrays)
