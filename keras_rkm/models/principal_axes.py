"""The axes of features that are seen one batch at a time. NumPy and SciPy, float64."""

import dataclasses

import numpy as np

from keras_rkm.rotations.rotation import with_fixed_signs


@dataclasses.dataclass(frozen=True)
class PrincipalAxes:
    """What `StiefelRKM.fit_principal_axes` found.

    Attributes:
        method: Str, how the axes were chosen.
        num_samples: Int, the number of images seen.
        explained_variance: `(latent_dim,)`, the variances of the latents, descending. The latents
            are uncorrelated after `"rotate"` and `"recompute"` only.
        explained_variance_ratio: `(latent_dim,)`, their shares of the variance of all features.
        principal_angles: `(latent_dim,)` in radians, between the span of the basis that was
            trained and that of the leading eigenvectors of the feature covariance, ascending.
        rotation: `(latent_dim, latent_dim)`, `old_basis' new_basis`: the new axes in coordinates of
            the old latents. Orthogonal but for `"recompute"`.
        feature_covariance: `(feature_dim, feature_dim)`.
        notes: Tuple of str, what one should know before using the axes.
    """

    method: str
    num_samples: int
    explained_variance: np.ndarray
    explained_variance_ratio: np.ndarray
    principal_angles: np.ndarray
    rotation: np.ndarray
    feature_covariance: np.ndarray = dataclasses.field(repr=False)
    notes: tuple[str, ...] = ()


class RowSample:
    """Rows drawn evenly, without replacement, from batches that are seen once [1].

    Which they are depends on `seed` and on the order of the rows, not on how they are batched.

    Args:
        num_rows: Positive int, how many are kept; all of them if there are fewer.
        seed: Int.

    References:
        [1] J. S. Vitter, "Random Sampling with a Reservoir", ACM Transactions on Mathematical
            Software 11(1), 1985, Algorithm R.
    """

    def __init__(self, num_rows: int, seed: int):
        self._num_rows = num_rows
        self._generator = np.random.default_rng(seed)
        self._num_seen = 0
        self._rows = None

    def add(self, batch: np.ndarray) -> None:
        """Sees the rows of `batch`, `(batch_size, dim)`."""
        if self._rows is None:
            self._rows = np.empty((self._num_rows, batch.shape[1]), batch.dtype)
        seen = np.arange(self._num_seen, self._num_seen + len(batch))
        # The row that comes n-th takes the place of any of n; the first ones take their own.
        places = self._generator.integers(0, seen + 1)
        places = np.where(seen < self._num_rows, seen, places)
        kept = places < self._num_rows
        self._rows[places[kept]] = batch[kept]  # of two for one place NumPy keeps the last
        self._num_seen += len(batch)

    @property
    def rows(self) -> np.ndarray:
        """The sample, `(at most num_rows, dim)`."""
        return self._rows[: self._num_seen]


def leading_eigenvectors(feature_covariance, latent_dim):
    """The `latent_dim` eigenvectors of largest eigenvalue as columns, and these, descending."""
    variances, vectors = np.linalg.eigh(feature_covariance)
    order = np.arange(len(variances) - 1, len(variances) - 1 - latent_dim, -1)
    return with_fixed_signs(vectors[:, order]), np.maximum(variances[order], 0)


def principal_angles(basis, other_basis):
    """The angles between the spans of two bases, `(latent_dim,)` in radians, ascending."""
    from scipy.linalg import subspace_angles

    return subspace_angles(np.asarray(basis, np.float64), other_basis)[::-1]
