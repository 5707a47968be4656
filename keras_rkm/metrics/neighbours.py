"""Balls around samples that reach to their k-th neighbour: what approximates a manifold."""

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
