"""Mutual information between binned latents and the values of factors, by counting."""

import numpy as np

NUM_BINS = 20


def equal_width_bins(latents: np.ndarray, num_bins: int) -> np.ndarray:
    """Which of `num_bins` equal parts of its range each latent falls into, `(n, num_latents)`."""
    columns = []
    for column in latents.T:
        edges = np.linspace(column.min(), column.max(), num_bins + 1)
        # The largest value belongs to the last bin, not to one of its own.
        columns.append(np.searchsorted(edges[1:-1], column, side="right"))
    return np.stack(columns, axis=1)


def mutual_information(latents: np.ndarray, classes: np.ndarray, num_bins: int) -> np.ndarray:
    """Plug-in estimates in nats, `(num_latents, num_factors)`.

    Args:
        latents: Float array `(n, num_latents)`, cut into bins of equal width.
        classes: Int array `(n, num_factors)`.
        num_bins: Int.

    Example:

    >>> from keras_rkm.metrics.disentanglement.information import mutual_information
    >>> classes = np.array([[0], [0], [1], [1]])
    >>> latents = np.stack([classes[:, 0], [1, 2, 1, 2]], axis=1)
    >>> mutual_information(latents, classes, num_bins=2).round(3)  # log 2 and nothing
    array([[0.693],
           [0.   ]])
    """
    bins = equal_width_bins(latents, num_bins)
    return np.array([[_information(b, c) for c in classes.T] for b in bins.T])


def entropies(classes: np.ndarray) -> np.ndarray:
    """Of each factor, in nats, `(num_factors,)`."""
    return np.array([_entropy(np.bincount(column)) for column in classes.T])


def _information(bins: np.ndarray, classes: np.ndarray) -> float:
    """Summed over the joint table, so that it is exactly zero for counts that are independent."""
    joint = np.zeros((bins.max() + 1, classes.max() + 1))
    np.add.at(joint, (bins, classes), 1)
    expected = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    ratios = joint[seen] * len(bins) / expected[seen]
    return max(float(joint[seen] @ np.log(ratios)) / len(bins), 0.0)


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log(shares)))
