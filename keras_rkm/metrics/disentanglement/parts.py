"""The parts that a predictor is trained, tuned and tested on."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Parts(NamedTuple):
    """Disjoint row indices, in random order."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def counts(self) -> dict[str, int]:
        return {name: len(rows) for name, rows in self._asdict().items() if len(rows)}


def split_rows(num_samples: int, fractions: Sequence[float], seed: int) -> Parts:
    """Shuffles the rows, since sets of images often come ordered by their factors, and cuts.

    Args:
        num_samples: Int.
        fractions: Three floats that add up to 1: train, validation (may be 0) and test.
        seed: Int.

    Raises:
        ValueError: If the fractions are none, or leave a part with fewer than two rows.

    Example:

    >>> from keras_rkm.metrics.disentanglement.parts import split_rows
    >>> split_rows(100, (0.8, 0.1, 0.1), seed=0).counts()
    {'train': 80, 'validation': 10, 'test': 10}
    """
    train, validation, test = check_fractions(fractions)
    counts = np.array([int(round(num_samples * share)) for share in (train, validation)])
    order = np.random.default_rng(seed).permutation(num_samples)
    parts = Parts(*np.split(order, np.cumsum(counts)))
    wanted = {"train": train, "validation": validation, "test": test}
    short = [name for name, share in wanted.items() if share and len(getattr(parts, name)) < 2]
    if short:
        raise ValueError(
            f"There are too few samples to split by `fractions`: the part(s) {short} would have "
            f"fewer than two. Received: {num_samples} samples, fractions={tuple(fractions)}."
        )
    return parts


def check_fractions(fractions: Sequence[float]) -> tuple[float, float, float]:
    try:
        train, validation, test = map(float, fractions)
        valid = train > 0 and validation >= 0 and test > 0
        valid = valid and abs(train + validation + test - 1) < 1e-6
    except (TypeError, ValueError):
        valid = False
    if not valid:
        raise ValueError(
            "`fractions` must be three numbers that add up to 1: train, validation (may be 0) and "
            f"test. Received: fractions={fractions!r}."
        )
    return train, validation, test
