"""Mean and covariance in one pass over any number of batches, in float64."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Mean `(dim,)` and maximum likelihood covariance `(dim, dim)` of `num_samples` rows."""

    num_samples: int
    mean: np.ndarray
    covariance: np.ndarray


def moments(batches: Iterable[np.ndarray]) -> Moments:
    """Reads batches `(num_samples, dim)` once, in O(dim^2) memory.

    The scatter of every batch about its own mean is merged by Chan's update [1]:
    `scatter += batch_scatter + outer(delta, delta) * count * batch_count / total`, where `delta`
    is the distance of the means. No squares of the mean are ever subtracted, so that a mean far
    from zero costs no digits.

    Raises:
        ValueError: If there are fewer than two rows.

    Example:

    >>> from keras_rkm._moments import moments
    >>> moments([np.array([[0.0], [2.0]]), np.array([[4.0]])]).covariance.round(3)
    array([[2.667]])

    References:
        [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
            Computing Sample Variances", COMPSTAT 1982.
    """
    count, mean, scatter = 0, 0.0, 0.0
    for batch in batches:
        batch = np.asarray(batch, dtype=np.float64)
        total = count + len(batch)
        batch_mean = batch.mean(axis=0)
        centred = batch - batch_mean
        delta = batch_mean - mean
        mean = mean + delta * (len(batch) / total)
        scatter = scatter + centred.T @ centred
        scatter = scatter + np.outer(delta, delta) * (count * len(batch) / total)
        count = total
    check_num_samples(count)
    return Moments(count, mean, scatter / count)


def check_num_samples(count: int) -> None:
    """Raises a ValueError unless there are two samples."""
    if count < 2:
        raise ValueError(
            "At least two samples are needed, since one has no covariance. "
            f"Received: num_samples={count}."
        )
