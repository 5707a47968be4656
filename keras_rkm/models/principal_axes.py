"""The principal axes of features that are seen one batch at a time. NumPy and SciPy, float64."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class PrincipalAxes:
    """What `StiefelRKM.fit_principal_axes` found.

    Attributes:
        num_samples: Int, the number of images seen.
        explained_variance: `(latent_dim,)`, the variances of the latents, descending.
        explained_variance_ratio: `(latent_dim,)`, their shares of the variance of all features.
        principal_angles: `(latent_dim,)` in radians, between the span of the basis that was
            trained and that of the leading eigenvectors of the feature covariance, ascending.
        feature_covariance: `(feature_dim, feature_dim)`.
    """

    num_samples: int
    explained_variance: np.ndarray
    explained_variance_ratio: np.ndarray
    principal_angles: np.ndarray
    feature_covariance: np.ndarray = dataclasses.field(repr=False)


def rotate_to_principal_axes(basis, feature_covariance):
    """Turns `basis` inside its span so that the latents are uncorrelated, variances descending.

    Args:
        basis: `(feature_dim, latent_dim)`, orthonormal columns.
        feature_covariance: `(feature_dim, feature_dim)`.

    Returns:
        The new basis and its explained variances, `(latent_dim,)`.
    """
    basis = np.asarray(basis, dtype=np.float64)
    variances, rotation = np.linalg.eigh(basis.T @ feature_covariance @ basis)
    return _with_fixed_signs(basis @ rotation[:, ::-1]), np.maximum(variances[::-1], 0)


def leading_eigenvectors(feature_covariance, latent_dim):
    """The `latent_dim` eigenvectors of largest eigenvalue as columns, and these, descending."""
    variances, vectors = np.linalg.eigh(feature_covariance)
    order = np.arange(len(variances) - 1, len(variances) - 1 - latent_dim, -1)
    return _with_fixed_signs(vectors[:, order]), np.maximum(variances[order], 0)


def principal_angles(basis, other_basis):
    """The angles between the spans of two bases, `(latent_dim,)` in radians, ascending."""
    from scipy.linalg import subspace_angles

    return subspace_angles(np.asarray(basis, np.float64), other_basis)[::-1]


def _with_fixed_signs(vectors):
    """Makes the largest entry of every column positive: an eigenvector has no sign of its own."""
    largest = np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[np.newaxis], axis=0)
    return vectors * np.where(largest < 0, -1, 1)
