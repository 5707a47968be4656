"""One stage of boosting: a regression tree per class, grown together on binned inputs."""

from typing import Any, NamedTuple

import numpy as np

# Classes that are grown at a time: as many as have their histograms in the processor's cache.
_BLOCK = 4


class Binned(NamedTuple):
    """Inputs sorted into bins.

    `bins` is an int array `(n, num_features)`. `lowest` and `highest` `(num_features, num_bins)`
    are the ends of the values in each bin. `indicators`, sparse `(num_features * num_bins, n)`,
    sums a column over each bin by a product.
    """

    bins: np.ndarray
    lowest: np.ndarray
    highest: np.ndarray
    indicators: Any


class Stage(NamedTuple):
    """One tree per class, of equal depth; level `k` has `2**k` nodes.

    `features` (ints) and `thresholds` hold an array `(2**k, num_trees)` for each level: a sample
    goes right if its value exceeds the threshold. A feature of -1 is a node that is not split.
    `values` `(2**depth, num_trees)` is what the leaves add to the scores.
    """

    features: list[np.ndarray]
    thresholds: list[np.ndarray]
    values: np.ndarray

    def leaves(self, inputs: np.ndarray) -> np.ndarray:
        """The leaf of each sample in each tree, `(n, num_trees)`."""
        nodes = np.zeros((len(inputs), self.values.shape[1]), np.int64)
        for features, thresholds in zip(self.features, self.thresholds, strict=True):
            nodes = _descend(nodes, inputs, features, thresholds)
        return nodes


def sort_into_bins(inputs: np.ndarray, max_bins: int) -> Binned:
    """A bin per distinct value of a feature, or bins of equal frequency if there are too many."""
    edges = [_edges(column, max_bins) for column in inputs.T]
    columns = [np.searchsorted(e, column) for e, column in zip(edges, inputs.T, strict=True)]
    bins = np.stack(columns, axis=1)
    # Two at least, so that a split has a place, even if it takes nobody anywhere.
    shape = (inputs.shape[1], max(1, *map(len, edges)) + 1)
    lowest, highest = np.full(shape, np.inf), np.full(shape, -np.inf)
    features = np.broadcast_to(np.arange(inputs.shape[1]), bins.shape)
    np.minimum.at(lowest, (features, bins), inputs)
    np.maximum.at(highest, (features, bins), inputs)
    return Binned(bins, lowest, highest, _indicators(bins, shape[1]))


def _edges(column: np.ndarray, max_bins: int) -> np.ndarray:
    """What separates the bins: midpoints of the distinct values, or quantiles."""
    values = np.unique(column)
    if len(values) <= max_bins:
        return (values[1:] + values[:-1]) / 2
    return np.unique(np.quantile(column, np.arange(1, max_bins) / max_bins, method="midpoint"))


def _indicators(bins: np.ndarray, num_bins: int):
    from scipy import sparse

    num_samples, num_features = bins.shape
    rows = (bins + num_bins * np.arange(num_features)).ravel()
    columns = np.repeat(np.arange(num_samples), num_features)
    shape = (num_features * num_bins, num_samples)
    return sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=shape)


def grow_trees(binned: Binned, residuals: np.ndarray, max_depth: int, generator) -> tuple:
    """Fits a tree to each column of `residuals` `(n, num_trees)`, by squared error.

    Args:
        binned: The inputs.
        residuals: Float array `(n, num_trees)`.
        max_depth: Int.
        generator: Of NumPy, draws the order of the features.

    Returns:
        A `Stage` without values, the leaf of each sample `(n, num_trees)`, and the squared error
        that each feature removed.
    """
    blocks = [
        _grow_block(binned, residuals[:, start : start + _BLOCK], max_depth, generator)
        for start in range(0, residuals.shape[1], _BLOCK)
    ]
    features, thresholds, leaves, removed = zip(*blocks, strict=True)
    stage = Stage(_joined(features), _joined(thresholds), np.zeros((2**max_depth, 0)))
    return stage, np.concatenate(leaves, axis=1), sum(removed)


def _grow_block(binned: Binned, residuals: np.ndarray, max_depth: int, generator) -> tuple:
    """Features and thresholds by level, leaves, and what each feature removed."""
    num_features, num_bins = binned.lowest.shape
    indicators = binned.indicators
    nodes = np.zeros(residuals.shape, np.int64)
    removed, levels = np.zeros(num_features), ([], [])
    # The sums of a node over (feature, bin) are those of its parent less those of its sibling.
    sums = _histogram(indicators, residuals[:, None], num_bins)
    counts = _histogram(indicators, np.ones_like(residuals)[:, None], num_bins)
    for level in range(max_depth):
        features, last_left, gains = _best_splits(sums, counts, generator.permutation(num_features))
        np.add.at(removed, features[features >= 0], gains[features >= 0])
        levels[0].append(features)
        levels[1].append(_thresholds(binned, counts, features, last_left))
        nodes = _descend(nodes, binned.bins, features, last_left)
        if level < max_depth - 1:
            in_left = nodes[:, None] == 2 * np.arange(2**level)[:, None]
            left = _histogram(indicators, residuals[:, None] * in_left, num_bins)
            left_counts = _histogram(indicators, in_left.astype(np.float64), num_bins)
            sums, counts = _siblings(left, sums), _siblings(left_counts, counts)
    return *levels, nodes, removed


def _joined(blocks: tuple[list[np.ndarray], ...]) -> list[np.ndarray]:
    return [np.concatenate(level, axis=1) for level in zip(*blocks, strict=True)]


def _histogram(indicators, columns: np.ndarray, num_bins: int) -> np.ndarray:
    """Sums of `columns` `(n, num_nodes, num_trees)`, `(features, bins, num_nodes, num_trees)`."""
    sums = indicators @ columns.reshape(len(columns), -1)
    return sums.reshape(-1, num_bins, *columns.shape[1:])


def _siblings(left: np.ndarray, parents: np.ndarray) -> np.ndarray:
    pairs = np.stack([left, parents - left], axis=3)
    return pairs.reshape(*parents.shape[:2], -1, parents.shape[3])


def _best_splits(sums: np.ndarray, counts: np.ndarray, order: np.ndarray) -> tuple:
    """Feature, last bin to the left and squared error that is removed of the best splits.

    Each is `(num_nodes, num_trees)`; a feature of -1 means that no split removes anything.

    Among equal splits the feature wins that comes first in `order`.
    """
    total, total_counts = sums[0].sum(axis=0), counts[0].sum(axis=0)
    gains, left_counts = (part[:, :-1].cumsum(axis=1) for part in (sums, counts))
    right = total - gains
    # In place: these arrays are what takes the time. An empty side has a sum and so a gain of 0.
    np.square(gains, out=gains)
    gains /= np.maximum(left_counts, 1)
    np.square(right, out=right)
    right /= np.maximum(total_counts - left_counts, 1)
    gains += right
    thresholds = gains.argmax(axis=1)
    gains = np.take_along_axis(gains, thresholds[:, None], axis=1)[:, 0]
    features = order[gains[order].argmax(axis=0)][None]
    thresholds, gains = (
        np.take_along_axis(part, features, axis=0)[0] for part in (thresholds, gains)
    )
    gains -= total**2 / np.maximum(total_counts, 1)
    # A node of equal residuals removes nothing, but for rounding.
    return np.where(gains > 1e-12, features[0], -1), thresholds, gains


def _thresholds(binned: Binned, counts, features, last_left) -> np.ndarray:
    """Midway between the neighbours of a split among the samples of its node."""
    features = np.maximum(features, 0)
    nodes, trees = np.indices(features.shape)
    filled = counts[features, :, nodes, trees] > 0
    bins = np.arange(counts.shape[1])
    is_left = bins <= last_left[:, :, None]
    left = np.where(filled & is_left, bins, 0).max(axis=2)
    right = np.where(filled & ~is_left, bins, len(bins) - 1).min(axis=2)
    return binned.highest[features, left] / 2 + binned.lowest[features, right] / 2


def _descend(nodes, values, features, thresholds) -> np.ndarray:
    """The nodes of the next level, `(n, num_trees)`; all go left where there is no split."""
    feature = of_node(features, nodes)
    value = np.take_along_axis(values, np.maximum(feature, 0), axis=1)
    return 2 * nodes + ((value > of_node(thresholds, nodes)) & (feature >= 0))


def of_node(table: np.ndarray, nodes: np.ndarray) -> np.ndarray:
    """Looks up `table` `(num_nodes, num_trees)` for each sample and tree."""
    return np.take_along_axis(table, nodes, axis=0)
