"""Mean and covariance in one pass over any number of batches, in float64."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Mean `(dim,)` and maximum likelihood covariance `(dim, dim)` of `num_samples` rows."""

    num_samples: int
    mean: np.ndarray
    covariance: np.ndarray


def moments(
    batches: Iterable[np.ndarray], total: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> Moments:
    """Reads batches `(num_samples, dim)` once, in O(dim^2) memory.

    The scatter of every batch about its own mean is merged by Chan's update [1]:
    `scatter += batch_scatter + outer(delta, delta) * count * batch_count / total`, where `delta`
    is the distance of the means. No squares of the mean are ever subtracted, so that a mean far
    from zero costs no digits.

    Args:
        batches: Arrays `(num_samples, dim)`; some may have no rows.
        total: Where several processes see batches, sums an array over all of them. It is called
            three times, the last time for the scatter, `(dim, dim)`.

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
    count, mean, scatter = 0, np.zeros(()), np.zeros(())
    for batch in batches:
        batch = np.asarray(batch, dtype=np.float64)
        if not count:
            mean, scatter = np.zeros(batch.shape[1:]), np.zeros(batch.shape[1:] * 2)
        if not len(batch):
            continue
        new_count = count + len(batch)
        batch_mean = batch.mean(axis=0)
        centred = batch - batch_mean
        delta = batch_mean - mean
        mean = mean + delta * (len(batch) / new_count)
        scatter = scatter + centred.T @ centred
        scatter = scatter + np.outer(delta, delta) * (count * len(batch) / new_count)
        count = new_count
    return _of_all(count, mean, scatter, total)


def _of_all(count, mean, scatter, total):
    """The moments of the rows of all processes, from the count, mean and scatter of one's own."""
    num_samples = int(total(np.float64(count)))
    check_num_samples(num_samples)
    overall_mean = total(mean * (count / num_samples))
    delta = mean - overall_mean
    scatter = total(scatter + np.outer(delta, delta) * count)
    return Moments(num_samples, overall_mean, scatter / num_samples)


def check_num_samples(count: int) -> None:
    """Raises a ValueError unless there are two samples."""
    if count < 2:
        raise ValueError(
            "At least two samples are needed, since one has no covariance. "
            f"Received: num_samples={count}."
        )
