"""Nearest neighbours: rows near to others, and balls around samples up to their k-th neighbour."""

from collections.abc import Iterator

import numpy as np

from .feature_checks import check_int

_CHUNK = 1_024  # rows of a block of distances: 80 MB against 10,000 samples
# Of the squared norms. Squared distances come from products, so a distance that is exactly that of
# the k-th neighbour, as of a copied sample, comes out a few units of the last digit above or below.
_TOLERANCE = 1e-12


class Balls:
    """Balls around the rows of `centres`, each up to the k-th nearest of the other rows.

    Args:
        centres: Float64 array `(num_samples, num_features)`.
        num_neighbours: Positive int k, less than the number of rows.

    Raises:
        ValueError: If there are too few rows for `num_neighbours`.
    """

    def __init__(self, centres: np.ndarray, num_neighbours: int):
        check_int("num_neighbours", num_neighbours)
        if num_neighbours >= len(centres):
            raise ValueError(
                "`num_neighbours` must be less than the number of samples, since a sample is not "
                f"its own neighbour. Received: num_neighbours={num_neighbours}, "
                f"num_samples={len(centres)}."
            )
        # About their mean, so that the products do not cancel.
        self._origin = centres.mean(axis=0)
        self._centres = centres - self._origin
        self._squared_norms = np.sum(np.square(self._centres), axis=1)
        self._squared_radii = self._radii(num_neighbours)

    def _radii(self, num_neighbours: int) -> np.ndarray:
        radii = []
        for start, distances, _ in self._blocks(self._centres):
            rows = np.arange(len(distances))
            distances[rows, start + rows] = np.inf
            radii.append(np.partition(distances, num_neighbours - 1)[:, num_neighbours - 1])
        return np.concatenate(radii)

    def membership(self, points: np.ndarray, *, closed: bool) -> Iterator[np.ndarray]:
        """Yields for blocks of `points` (num_points, num_features) which balls they lie in.

        Args:
            points: Float64 array.
            closed: Whether a point on the sphere itself, a tie, lies in the ball.

        Yields:
            Bool arrays `(block, num_samples)`.
        """
        for _, distances, tolerances in self._blocks(points - self._origin):
            if closed:
                yield distances <= self._squared_radii + tolerances
            else:
                yield distances < self._squared_radii - tolerances

    def _blocks(self, points: np.ndarray) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
        for start in range(0, len(points), _CHUNK):
            block = points[start : start + _CHUNK]
            sums = np.sum(np.square(block), axis=1)[:, np.newaxis] + self._squared_norms
            distances = np.maximum(sums - 2 * (block @ self._centres.T), 0)
            yield start, distances, _TOLERANCE * sums


def nearest_rows(
    queries: np.ndarray, references: np.ndarray, num_neighbours: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Finds for each query the nearest of many references, in bounded memory.

    Args:
        queries: `(num_queries, ...)`, images or features; uint8 counts as values in [0, 1].
        references: `(num_references, ...)`, of the same shape but for the first axis.
        num_neighbours: Positive int, at most the number of references. Defaults to 1.

    Returns:
        The Euclidean distances `(num_queries, num_neighbours)`, ascending, float64, and the rows of
        `references` that they lead to.

    Raises:
        ValueError: If the shapes differ or there are too few references.

    Example:

    >>> nearest_rows(np.array([[0.0], [5.0]]), np.array([[4.0], [1.0], [7.0]]), 2)
    (array([[1., 4.], [1., 2.]]), array([[1, 0], [0, 2]]))
    """
    check_int("num_neighbours", num_neighbours)
    if queries.shape[1:] != references.shape[1:] or num_neighbours > len(references):
        raise ValueError(
            "`references` must be like `queries`, and at least `num_neighbours`. Received: shapes "
            f"{queries.shape} and {references.shape}, num_neighbours={num_neighbours}."
        )
    rows = _flat(queries)
    norms = np.sum(np.square(rows), axis=1)[:, np.newaxis]
    best = np.full((len(rows), num_neighbours), np.inf)
    found = np.zeros((len(rows), num_neighbours), np.int64)
    for start in range(0, len(references), _CHUNK):
        block = _flat(references[start : start + _CHUNK])
        squares = norms + np.sum(np.square(block), axis=1) - 2 * (rows @ block.T)
        candidates = np.concatenate([best, squares], axis=1)
        indices = np.broadcast_to(np.arange(start, start + len(block)), squares.shape)
        indices = np.concatenate([found, indices], axis=1)
        chosen = np.argsort(candidates, axis=1, kind="stable")[:, :num_neighbours]
        best = np.take_along_axis(candidates, chosen, axis=1)
        found = np.take_along_axis(indices, chosen, axis=1)
    # Of a copy a product of float64 leaves 1e-7 rather than zero.
    exact = [
        np.linalg.norm(_flat(references[near]) - row, axis=1)
        for row, near in zip(rows, found, strict=True)
    ]
    order = np.argsort(exact, axis=1, kind="stable")
    return np.take_along_axis(np.array(exact), order, axis=1), np.take_along_axis(found, order, 1)


def _flat(values: np.ndarray) -> np.ndarray:
    """Rows as float64 vectors, uint8 brought to [0, 1]."""
    rows = values.reshape(len(values), -1).astype(np.float64)
    return rows / 255 if values.dtype == np.uint8 else rows
