"""Whether generated samples are copies of what the model was trained on."""

import dataclasses
from typing import ClassVar

import numpy as np

from .neighbours import nearest_rows
from .reports import Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataCopyingReport(Report):
    """What `data_copying` returns.

    Attributes:
        closer_than_held_out: Float in [0, 1], the probability that a generated sample is closer to
            its nearest training sample than a held-out one is to its own; ties count one half.
        median_distance: Float, of generated samples to their nearest training sample.
        held_out_median_distance: Float, of held-out samples.
        num_generated: Int.
        num_train: Int.
        num_held_out: Int.
    """

    closer_than_held_out: float
    median_distance: float
    held_out_median_distance: float
    num_generated: int
    num_train: int
    num_held_out: int

    metric: ClassVar[str] = "data_copying"
    directions: ClassVar[dict[str, str]] = {"closer_than_held_out": "0.5 is ideal, 1 is copied"}


def data_copying(generated, train, held_out) -> DataCopyingReport:
    """Compares how far generated and held-out samples are from their nearest training sample [1].

    Samples of the distribution of the training samples are as far from these as held-out ones are:
    a half. Copies are closer. Blurred images are closer too, since the mean of many images is near
    to all of them: compare with `held_out` that went through the same decoder before calling it
    copying.

    Args:
        generated: `(num_generated, ...)`, images or features; uint8 counts as values in [0, 1].
        train: `(num_train, ...)`, all that the model was trained on.
        held_out: `(num_held_out, ...)`, others of the same source.

    Returns:
        A `DataCopyingReport`.

    Raises:
        ValueError: If the shapes do not fit, or a set is empty.

    Example:

    >>> train, held_out = np.random.default_rng(0).normal(size=(2, 200, 3))
    >>> data_copying(train[:50], train, held_out).closer_than_held_out
    1.0

    References:
        [1] C. Meehan, K. Chaudhuri, S. Dasgupta, "A Non-Parametric Test to Detect Data-Copying in
            Generative Models", AISTATS 2020: their U statistic over the whole space, divided by the
            number of pairs.
    """
    sets = {"generated": generated, "train": train, "held_out": held_out}
    arrays = {name: np.asarray(each) for name, each in sets.items()}
    for name, array in arrays.items():
        if not len(array):
            raise ValueError(f"`{name}` must hold at least one sample. Received: none.")
    near, reference = (
        nearest_rows(arrays[name], arrays["train"])[0][:, 0] for name in ("generated", "held_out")
    )
    return DataCopyingReport(
        closer_than_held_out=closer_share(near, reference),
        median_distance=float(np.median(near)),
        held_out_median_distance=float(np.median(reference)),
        num_generated=len(near),
        num_train=len(arrays["train"]),
        num_held_out=len(reference),
    )


def closer_share(distances, reference_distances) -> float:
    """The probability that a distance is below one of the reference; ties count one half.

    Args:
        distances: `(num_distances,)`.
        reference_distances: `(num_reference_distances,)`.

    >>> closer_share([1.0, 3.0], [2.0, 3.0])
    0.625
    """
    ordered = np.sort(reference_distances)
    upper = np.searchsorted(ordered, distances, "right")
    lower = np.searchsorted(ordered, distances, "left")
    return float(1 - np.mean(upper + lower) / 2 / len(ordered))
