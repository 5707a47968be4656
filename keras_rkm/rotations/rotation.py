"""What a rotation is, and the part that all of them share: which axes may be mixed."""

import dataclasses
from collections.abc import Callable

import numpy as np

from keras_rkm._moments import moments

# From which share of the largest variance on an axis is turned.
MIN_RELATIVE_VARIANCE = 0.05
_ROUNDING = 1e-10  # a smaller share is that of no variance at all


@dataclasses.dataclass(frozen=True)
class Rotation:
    """An orthogonal change of the axes of latents.

    Attributes:
        matrix: `(latent_dim, latent_dim)`, orthogonal. Its columns are the new axes:
            `latents @ matrix` are the coordinates along them. The largest entry of a column is
            positive.
        variances: `(latent_dim,)`, of the latents along the new axes, descending.
        num_strong: Int, how many axes, the first ones, were turned among themselves. The others
            are principal axes.
        converged: Bool, whether the search for the axes came to its end.
        notes: Tuple of str, what one should know before using the axes.
    """

    matrix: np.ndarray
    variances: np.ndarray
    num_strong: int
    converged: bool = True
    notes: tuple[str, ...] = ()


def principal_axes_rotation(covariance) -> Rotation:
    """Turns latents to their principal axes: uncorrelated, variances in descending order.

    Args:
        covariance: `(latent_dim, latent_dim)`, of the latents.

    Raises:
        ValueError: If it is not a finite, symmetric matrix.

    Example:

    >>> rotation = principal_axes_rotation([[5.0, 3.0], [3.0, 5.0]])
    >>> rotation.variances, (rotation.matrix**2).round(6)
    (array([8., 2.]), array([[0.5, 0.5], [0.5, 0.5]]))
    """
    variances, axes = np.linalg.eigh(checked_covariance(covariance))
    return Rotation(
        matrix=with_fixed_signs(axes[:, ::-1]),
        variances=np.maximum(variances[::-1], 0),
        num_strong=len(axes),
    )


def rotate_strong_axes(
    covariance: np.ndarray, find: Callable, *, min_relative_variance: float
) -> Rotation:
    """Turns the principal axes of much variance among themselves; the others stay.

    Args:
        covariance: `(latent_dim, latent_dim)`, of the latents.
        find: Callable of the strong axes `(latent_dim, num_strong)` and of the standard deviations
            along them `(num_strong,)`. Returns an orthogonal matrix `(num_strong, num_strong)`
            whose columns are the new axes in these coordinates, and whether it has converged.
        min_relative_variance: Float in [0, 1], the share of the largest variance from which on an
            axis is strong.

    Raises:
        ValueError: If the latents do not vary, or `min_relative_variance` is out of range.
    """
    if not 0 <= min_relative_variance <= 1:
        raise ValueError(
            "`min_relative_variance` must be a share of the largest variance, in [0, 1]. "
            f"Received: min_relative_variance={min_relative_variance!r}."
        )
    principal = principal_axes_rotation(covariance)
    if not principal.variances[0] > 0:
        raise ValueError(
            "The latents must vary, or no axis is better than others. Received: "
            f"{len(principal.variances)} latents of variance zero. Train the model first."
        )
    shares = principal.variances / principal.variances[0]
    num_strong = int(np.sum(shares >= max(min_relative_variance, _ROUNDING)))
    strong, weak = np.split(principal.matrix, [num_strong], axis=1)
    turned, converged = find(strong, np.sqrt(principal.variances[:num_strong]))
    matrix = np.concatenate([strong @ turned, weak], axis=1)
    variances = np.concatenate(
        [
            np.square(turned).T @ principal.variances[:num_strong],
            principal.variances[num_strong:],
        ]
    )
    order = np.argsort(-variances, kind="stable")
    return Rotation(
        matrix=with_fixed_signs(matrix[:, order]),
        variances=variances[order],
        num_strong=num_strong,
        converged=converged,
        notes=() if converged else ("the search for the axes did not converge",),
    )


def with_fixed_signs(axes: np.ndarray) -> np.ndarray:
    """Makes the largest entry of every column positive: an axis has no sign of its own."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(axis=0)[np.newaxis], axis=0)
    return axes * np.where(largest < 0, -1, 1)


def checked_latents(latents) -> np.ndarray:
    """`latents` in float64; a ValueError unless they are a finite matrix."""
    latents = np.asarray(latents, np.float64)
    if latents.ndim != 2 or not latents.shape[1]:
        raise ValueError(
            "`latents` must have the shape (num_samples, latent_dim). "
            f"Received: shape={latents.shape}."
        )
    finite = np.isfinite(latents).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"`latents` must be finite. Received: NaN or Inf in {np.sum(~finite)} of "
            f"{len(latents)} rows."
        )
    return latents


def draw_rows(latents: np.ndarray, num_rows: int, seed: int) -> np.ndarray:
    """All rows if there are no more than `num_rows`, otherwise so many, drawn with `seed`."""
    if num_rows < 2:
        raise ValueError(
            f"`max_samples` must be an int of at least two. Received: max_samples={num_rows!r}."
        )
    if len(latents) <= num_rows:
        return latents
    return latents[np.random.default_rng(seed).choice(len(latents), num_rows, replace=False)]


def covariance_of(latents: np.ndarray) -> np.ndarray:
    """The maximum likelihood covariance; a ValueError for fewer than two latents."""
    return moments([latents]).covariance


def checked_covariance(covariance) -> np.ndarray:
    """`covariance` in float64; a ValueError unless it is a finite, symmetric matrix."""
    covariance = np.asarray(covariance, np.float64)
    if covariance.ndim != 2 or not covariance.size or covariance.shape[0] != covariance.shape[1]:
        raise ValueError(
            "`covariance` must have the shape (latent_dim, latent_dim). "
            f"Received: shape={covariance.shape}."
        )
    check_symmetric(covariance, "covariance")
    return covariance


_ASYMMETRY = 1e-5  # of the largest entry; that of products in float32 is smaller


def check_symmetric(matrices: np.ndarray, name: str) -> None:
    """Raises a ValueError unless all matrices are finite and symmetric."""
    if not np.isfinite(matrices).all():
        raise ValueError(f"`{name}` must be finite. Received: NaN or Inf.")
    difference = np.abs(matrices - np.swapaxes(matrices, -1, -2)).max()
    if difference > _ASYMMETRY * np.abs(matrices).max():
        raise ValueError(
            f"`{name}` must be symmetric. "
            f"Received: entries that differ by {difference:.3g} from those across the diagonal."
        )
