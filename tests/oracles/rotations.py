"""Rotations and what they cost, in the plainest form. NumPy float64."""

import numpy as np


def rotation(angle):
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def random_orthogonal(dim, seed):
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((dim, dim)))
    return q * np.sign(np.diag(r))


def off_diagonal_sum(matrix, grams):
    """sum_k sum_{i != j} (R' G_k R)_ij^2, one entry after the other."""
    total = 0.0
    for gram in grams:
        turned = matrix.T @ gram @ matrix
        for i in range(len(turned)):
            for j in range(len(turned)):
                if i != j:
                    total += turned[i, j] ** 2
    return total


def spacing_entropy(values):
    """Vasicek's estimate of the differential entropy, from the gaps between sorted values."""
    values = np.sort(values)
    count = len(values)
    reach = int(np.sqrt(count))
    gaps = values[reach:] - values[:-reach]
    return np.mean(np.log(gaps * (count + 1) / reach))


def sum_of_entropies(latents):
    """The mutual information of the columns but for what no rotation changes."""
    return sum(spacing_entropy(column) for column in latents.T)


def least_over_angles(cost, num_angles=1800):
    """The least value of `cost` over all rotations of a plane."""
    return min(cost(rotation(angle)) for angle in np.linspace(0, np.pi / 2, num_angles))


def nearest_orthogonal(matrix):
    """`matrix (matrix' matrix)^(-1/2)`, by the eigenvectors of `matrix' matrix`."""
    squares, vectors = np.linalg.eigh(matrix.T @ matrix)
    return matrix @ vectors @ np.diag(squares**-0.5) @ vectors.T


def mismatch(found, expected):
    """Largest deviation of two sets of axes, whatever their order and signs."""
    overlaps = np.abs(expected.T @ found)
    rows = overlaps.argmax(axis=0)
    if sorted(rows) != list(range(overlaps.shape[1])):
        return 1.0
    return np.abs(overlaps - np.eye(len(rows))[:, rows]).max()
