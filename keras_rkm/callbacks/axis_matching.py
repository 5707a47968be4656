"""Axes that keep their places while a basis turns."""

from typing import NamedTuple

import numpy as np


class AxisMatch(NamedTuple):
    """`axes[:, order] * signs` are the matched axes.

    order: `(num_axes,)` ints, which of the axes stands in each place.
    signs: `(num_axes,)`, 1.0 or -1.0.
    cosines: `(num_axes,)` in [0, 1], of the angles between the matched axes.
    """

    order: np.ndarray
    signs: np.ndarray
    cosines: np.ndarray


def match_axes(previous, axes) -> AxisMatch:
    """Finds the order and the signs in which axes are most like those of before.

    Each axis gets the place of one of the previous axes, so that the sum of the absolute cosines of
    the angles between them is largest [1], and then the sign that makes its cosine positive.

    Args:
        previous: `(dim, num_axes)`, the axes of before as columns.
        axes: `(dim, num_axes)`, those of now.

    Returns:
        An `AxisMatch`.

    Raises:
        ValueError: If the shapes differ, or a column is zero or not finite.

    Example:

    >>> previous = np.eye(3)
    >>> axes = np.array([[0.1, 1.0, 0.0], [0.0, 0.0, -1.0], [-1.0, 0.1, 0.0]])
    >>> match = match_axes(previous, axes)
    >>> match.order, match.signs
    (array([1, 2, 0]), array([ 1., -1., -1.]))

    References:
        [1] D. F. Crouse, "On implementing 2D rectangular assignment algorithms", IEEE Transactions
            on Aerospace and Electronic Systems 52(4), 2016: `scipy.optimize.linear_sum_assignment`.
    """
    from scipy.optimize import linear_sum_assignment

    previous, axes = np.asarray(previous, "float64"), np.asarray(axes, "float64")
    if previous.ndim != 2 or previous.shape != axes.shape:
        raise ValueError(
            "`previous` and `axes` must both have the shape (dim, num_axes). Received: "
            f"{previous.shape} and {axes.shape}."
        )
    lengths = np.linalg.norm(previous, axis=0), np.linalg.norm(axes, axis=0)
    # Written so that NaN is refused too.
    if not all(np.isfinite(each).all() and (each > 0).all() for each in lengths):
        raise ValueError(
            "`previous` and `axes` must have finite columns, none of them zero. Received: columns "
            f"of the lengths {np.round(lengths[0], 6)} and {np.round(lengths[1], 6)}."
        )
    cosines = (previous / lengths[0]).T @ (axes / lengths[1])
    places, order = linear_sum_assignment(np.abs(cosines), maximize=True)
    matched = cosines[places, order]
    return AxisMatch(order, np.where(matched < 0, -1.0, 1.0), np.minimum(np.abs(matched), 1.0))
