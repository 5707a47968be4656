"""Measures of generation as their papers state them: loops, dense matrices, float64."""

import numpy as np
import scipy.linalg


def frechet(mean_a, covariance_a, mean_b, covariance_b):
    """Heusel et al. 2017, with SciPy's root of the product of both covariances."""
    root = scipy.linalg.sqrtm(covariance_a @ covariance_b).real
    return np.sum((mean_a - mean_b) ** 2) + np.trace(covariance_a + covariance_b - 2 * root)


def frechet_of_features(a, b):
    return frechet(a.mean(0), np.cov(a.T), b.mean(0), np.cov(b.T))


def cubic_kernel(x, y):
    return (sum(float(i) * float(j) for i, j in zip(x, y, strict=True)) / len(x) + 1) ** 3


def squared_discrepancy(a, b):
    """Bińkowski et al. 2018: the U-statistic of MMD^2, pair by pair."""

    def within(rows):
        pairs = [
            cubic_kernel(x, y)
            for i, x in enumerate(rows)
            for j, y in enumerate(rows)
            if i != j
        ]  # fmt: skip
        return np.mean(pairs)

    return within(a) + within(b) - 2 * np.mean([cubic_kernel(x, y) for x in a for y in b])


def distance_to_neighbour(rows, k):
    """From every row to the k-th nearest other one."""
    radii = []
    for i, row in enumerate(rows):
        others = [np.linalg.norm(row - other) for j, other in enumerate(rows) if j != i]
        radii.append(sorted(others)[k - 1])
    return radii


def share_on_manifold(points, centres, k):
    """Kynkäänniemi et al. 2019, eqs. 1 and 2: in at least one closed ball."""
    radii = distance_to_neighbour(centres, k)
    inside = [
        any(
            np.linalg.norm(point - centre) <= radius
            for centre, radius in zip(centres, radii, strict=True)
        )
        for point in points
    ]
    return np.mean(inside)


def density_and_coverage(real, generated, k):
    """Naeem et al. 2020, eqs. 3 and 4."""
    radii = distance_to_neighbour(real, k)
    inside = np.array(
        [
            [np.linalg.norm(x - y) < radius for y in generated]
            for x, radius in zip(real, radii, strict=True)
        ]
    )
    return inside.sum() / (k * len(generated)), inside.any(axis=1).mean()


_BINOMIAL = np.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256


def smooth(image):
    """A 5x5 binomial filter on one channel, mirrored at the border without repeating it."""
    padded = np.pad(image, 2, mode="reflect")
    height, width = image.shape
    return np.array(
        [
            [np.sum(padded[i : i + 5, j : j + 5] * _BINOMIAL) for j in range(width)]
            for i in range(height)
        ]
    )


def pyramid(image, num_levels):
    """The Laplacian pyramid of one channel, the finest level first."""
    levels = [image]
    for _ in range(num_levels - 1):
        small = smooth(levels[-1])[::2, ::2]
        spread = np.zeros((2 * small.shape[0], 2 * small.shape[1]))
        spread[::2, ::2] = small
        levels[-1] = levels[-1] - smooth(spread) * 4
        levels.append(small)
    return levels
