"""The principal axes of the latents of the moment, each in the place that it had before."""

from typing import NamedTuple

import numpy as np

from .axis_matching import match_axes


class LatentMoments(NamedTuple):
    """Mean and covariance of latents, and the variance of all features (None without a basis)."""

    latents: np.ndarray
    mean: np.ndarray
    covariance: np.ndarray
    total_variance: float | None


class LatentAxes(NamedTuple):
    """Orthogonal axes of latents.

    latents: `(num_images, latent_dim)`, of the images.
    mean: `(latent_dim,)`.
    directions: `(latent_dim, latent_dim)`, a unit vector in each column.
    variances: `(latent_dim,)`, along the columns.
    shares: `(latent_dim,)`, of the variance of all features, or of all latents without a basis.
    """

    latents: np.ndarray
    mean: np.ndarray
    directions: np.ndarray
    variances: np.ndarray
    shares: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """Coordinates of the latents along the axes, `(num_images, latent_dim)`, centred."""
        return (self.latents - self.mean) @ self.directions


def latent_moments(model, images: np.ndarray) -> LatentMoments:
    """Mean and covariance of the latents of images, float64, at one pass through the encoder."""
    if hasattr(model, "basis"):
        features = np.asarray(model.encoder(images, training=False), "float64")
        latents = (features - np.asarray(model.feature_mean, "float64")) @ np.asarray(
            model.basis, "float64"
        )
        total = features.var(axis=0).sum()
    else:
        latents, total = np.asarray(model.encode(images), "float64"), None
    covariance = np.atleast_2d(np.cov(latents, rowvar=False, bias=True))
    return LatentMoments(latents, latents.mean(axis=0), covariance, total)


def at_least_two(images) -> np.ndarray:
    """The images as float32, or a ValueError if there are fewer than two."""
    if len(images) < 2:
        raise ValueError(
            f"`images` must be at least two, to have a variance. Received: {len(images)}."
        )
    return np.asarray(images, "float32")


class AxisTracker:
    """Principal axes that keep their numbers from one call to the next.

    They start in descending order of variance. Later ones are matched to those of the call before
    by the angles between them in the space of the features, which does not turn with U.
    """

    def __init__(self):
        self._last = None

    def update(self, model, images: np.ndarray) -> LatentAxes:
        """The axes of the latents of `images`, which should be the same in every call."""
        latents, mean, covariance, total = latent_moments(model, images)
        variances, directions = np.linalg.eigh(covariance)
        variances, directions = np.maximum(variances[::-1], 0), directions[:, ::-1]
        basis = getattr(model, "basis", None)
        axes = directions if basis is None else np.asarray(basis, "float64") @ directions
        if self._last is not None:
            match = match_axes(self._last, axes)
            variances = variances[match.order]
            directions = directions[:, match.order] * match.signs
            axes = axes[:, match.order] * match.signs
        self._last = axes
        total = variances.sum() if total is None else total
        shares = variances / total if total > 0 else np.zeros_like(variances)
        return LatentAxes(latents, mean, directions, variances, shares)
