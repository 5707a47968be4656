"""Batches of samples that share the value of one factor, drawn out of a finite set."""

from typing import NamedTuple

import numpy as np

from .inputs import Inputs

# With fewer samples per value, on average, a batch would consist of a handful of them.
_MIN_SAMPLES_PER_VALUE = 4


class FixedFactorSampler:
    """Draws rows by the value of a factor, out of `rows` of a table of classes.

    The definitions draw fresh samples from a generator of images. Here the samples at hand stand
    for it: rows are drawn with replacement from those that have the value.

    Args:
        inputs: The `Inputs`; their factors must be classes.
        rows: Int array, the rows that may be drawn.

    Raises:
        ValueError: If a factor has too few rows per value.
    """

    def __init__(self, inputs: Inputs, rows: np.ndarray):
        self.classes = inputs.classes[rows]
        self.rows = rows
        self.groups = [_group(column) for column in self.classes.T]
        for name, group in zip(inputs.factor_names, self.groups, strict=True):
            counts = group.counts[group.counts > 0]
            if counts.mean() < _MIN_SAMPLES_PER_VALUE:
                raise ValueError(
                    f"`factors` must have {_MIN_SAMPLES_PER_VALUE} samples or more for each of "
                    "their values, on average, since a batch shares one. Received: "
                    f"{len(counts)} values of {name} in {len(rows)} samples (half of the set; "
                    "the other half is for the other part). Use more samples."
                )

    def batches(self, num_points: int, batch_size: int, generator) -> tuple[np.ndarray, ...]:
        """Factors `(num_points,)`, drawn evenly, and rows `(num_points, batch_size)`.

        All rows of a batch have the value that the factor takes in a row drawn at random.
        """
        factors = generator.integers(len(self.groups), size=num_points)
        drawn = np.empty((num_points, batch_size), np.int64)
        for index, group in enumerate(self.groups):
            at = np.flatnonzero(factors == index)
            values = self.classes[generator.integers(len(self.rows), size=len(at)), index]
            positions = generator.random((len(at), batch_size)) * group.counts[values, None]
            drawn[at] = group.order[group.starts[values, None] + positions.astype(np.int64)]
        return factors, self.rows[drawn]

    def pairs(self, num_points: int, batch_size: int, generator) -> tuple[np.ndarray, ...]:
        """Factors `(num_points,)`, and two arrays of rows `(num_points, batch_size)`.

        The two rows of a pair are different and share the value of the factor; pairs differ.
        """
        factors = generator.integers(len(self.groups), size=num_points)
        first = np.empty((num_points, batch_size), np.int64)
        second = np.empty_like(first)
        for index, group in enumerate(self.groups):
            at = np.flatnonzero(factors == index)
            usable = np.flatnonzero(group.counts[self.classes[:, index]] > 1)
            chosen = usable[generator.integers(len(usable), size=(len(at), batch_size))]
            values = self.classes[chosen, index]
            counts = group.counts[values]
            # A step of 1 ... count - 1 round the rows of the value never ends where it began.
            steps = 1 + (generator.random(chosen.shape) * (counts - 1)).astype(np.int64)
            positions = (group.places[chosen] + steps) % counts
            first[at], second[at] = chosen, group.order[group.starts[values] + positions]
        return factors, self.rows[first], self.rows[second]

    def num_short_values(self, batch_size: int) -> int:
        """How many values of all factors have fewer rows than a batch."""
        return sum(int(np.sum(g.counts[g.counts > 0] < batch_size)) for g in self.groups)


class _Group(NamedTuple):
    """Rows sorted by value: value v has `order[starts[v]:][:counts[v]]`, row r is number
    `places[r]` of its value."""

    order: np.ndarray
    starts: np.ndarray
    counts: np.ndarray
    places: np.ndarray


def _group(classes: np.ndarray) -> _Group:
    order = np.argsort(classes, kind="stable")
    counts = np.bincount(classes)
    starts = np.cumsum(counts) - counts
    places = np.empty(len(classes), np.int64)
    places[order] = np.arange(len(classes)) - starts[classes[order]]
    return _Group(order, starts, counts, places)


def half_and_half(inputs: Inputs, generator) -> tuple[FixedFactorSampler, FixedFactorSampler]:
    """Samplers for the train and the test points, which share no row."""
    order = generator.permutation(inputs.num_samples)
    half = inputs.num_samples // 2
    return FixedFactorSampler(inputs, order[:half]), FixedFactorSampler(inputs, order[half:])


def notes_on_samples(samplers: tuple[FixedFactorSampler, ...], batch_size: int) -> tuple[str, ...]:
    short = max(sampler.num_short_values(batch_size) for sampler in samplers)
    if not short:
        return ()
    return (
        f"{short} values of factors have fewer than {batch_size} samples in a half of the set: "
        "their batches repeat samples",
    )
