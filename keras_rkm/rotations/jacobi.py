"""Orthogonal matrices made of rotations of pairs of axes, after Jacobi."""

from collections.abc import Callable
from itertools import combinations

import numpy as np


def jacobi_rotation(
    dim: int, find_angle: Callable, *, tolerance: float, max_sweeps: int
) -> tuple[np.ndarray, bool]:
    """Turns pairs of axes, one pair after the other, until none turns any more.

    Args:
        dim: Positive int; it starts from the unit matrix.
        find_angle: Callable of two axes as columns, `(dim, 2)`. Returns the angle in radians by
            which to turn the first towards the second, and the second away from the first.
        tolerance: Float, the angle below which an axis counts as still.
        max_sweeps: Positive int, how often to go through all pairs at most.

    Returns:
        The axes as columns, `(dim, dim)`, and whether they stood still at last.
    """
    axes = np.eye(dim)
    for _ in range(max_sweeps):
        largest = 0.0
        for pair in map(list, combinations(range(dim), 2)):
            angle = find_angle(axes[:, pair])
            axes[:, pair] = axes[:, pair] @ plane_rotation(angle)
            largest = max(largest, abs(angle))
        if largest <= tolerance:
            return axes, True
    return axes, False


def plane_rotation(angle: float) -> np.ndarray:
    """`(2, 2)`; its columns are the two axes turned by `angle`."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])
