"""Orthogonality of variation: do different latents change an image in orthogonal directions?"""

import dataclasses
from collections.abc import Callable
from typing import ClassVar

import numpy as np

from keras_rkm._decoder_gram import decoder_grams

from .feature_checks import as_features, check_int
from .reports import Report

_DEAD = 1e-12  # of the largest squared length
_CLOSE = 1e-2  # neighbouring eigenvalues whose eigenvectors are not to be trusted


@dataclasses.dataclass(frozen=True, kw_only=True)
class OrthogonalityReport(Report):
    """What `orthogonality_of_variation` returns; it defines the terms.

    Attributes:
        off_diagonal_share: Float in [0, 1 - 1 / num_axes].
        mean_squared_cosine: Float in [0, 1], over pairs of different axes that are not dead.
        alignment: Float in (0, 1].
        rotated_off_diagonal_share: The same of the axes after random rotations, on the average.
        rotated_mean_squared_cosine: As above.
        rotated_alignment: As above.
        axis_lengths: Tuple of floats, the root of the mean of `||J u||^2` for each axis u.
        dead_axes: Tuple of the numbers of axes that change no image.
        num_dead_codes: Int, codes where no axis changes the image, left out of the shares.
        num_samples: Int, the number of codes.
        num_axes: Int.
        num_rotations: Int.
        seed: Int that selects the rotations.
        protocol: Str, which model and codes, or None.
    """

    off_diagonal_share: float
    mean_squared_cosine: float
    alignment: float
    rotated_off_diagonal_share: float
    rotated_mean_squared_cosine: float
    rotated_alignment: float
    axis_lengths: tuple[float, ...]
    dead_axes: tuple[int, ...]
    num_dead_codes: int
    num_samples: int
    num_axes: int
    num_rotations: int
    seed: int
    protocol: str | None = None

    metric: ClassVar[str] = "orthogonality_of_variation"
    directions: ClassVar[dict[str, str]] = {
        "off_diagonal_share": "lower is better",
        "mean_squared_cosine": "lower is better",
        "alignment": "higher is better",
    }


def orthogonality_of_variation(
    decode: Callable,
    latents,
    *,
    axes=None,
    num_rotations: int = 20,
    batch_size: int = 32,
    seed: int = 0,
    dtype: str = "float32",
    protocol: str | None = None,
) -> OrthogonalityReport:
    """Measures how far the axes of the latents change images in orthogonal directions [1].

    With J(h) the Jacobian of `decode` at a code h and the axes as columns of A (for a StiefelRKM
    the identity: its latents are coordinates along U), `G(h) = A' J(h)' J(h) A` holds the products
    of the changes that the axes make. Three numbers say how diagonal it is:

        off_diagonal_share    mean over h of   sum_{i != j} G_ij^2 / sum_ij G_ij^2
        mean_squared_cosine   mean over h and i != j of   G_ij^2 / (G_ii G_jj)
        alignment             mean over i of   (w_i . e_i)^2

    where w_i are the eigenvectors of the mean of G over h, matched one to one with the axes e_i so
    that the sum is largest. A share is small too where one axis dwarfs the others; cosines weigh
    all axes alike. The alignment says whether the directions along which images change least and
    most ARE the axes; it means nothing where eigenvalues nearly tie, which a note then says.

    Beside each stands the same number for axes rotated at random. Only if that is clearly worse do
    the axes themselves deserve the credit: for G(h) near a multiple of the identity any axes are
    orthogonal.

    Args:
        decode: Callable of TensorFlow operations from latents `(batch, latent_dim)` to images, such
            as `model.decode`; each image a function of its own code.
        latents: `(num_samples, latent_dim)`, codes to look at, such as those of test images.
        axes: `(latent_dim, num_axes)`, the directions as columns. Defaults to None, the identity;
            scale it by the standard deviations of the latents to weigh axes by what they vary.
        num_rotations: Positive int. Defaults to 20.
        batch_size: Positive int, codes at a time. Defaults to 32.
        seed: Int, selects the rotations. Defaults to 0.
        dtype: That of the codes that `decode` gets. Defaults to `"float32"`.
        protocol: Str for the report, which model and which codes.

    Returns:
        An `OrthogonalityReport`.

    Raises:
        ValueError: If `latents` or `axes` are not finite or do not fit, there are fewer than two
            axes, no axis changes any image, or TensorFlow cannot differentiate `decode`.

    Example:

    >>> weights = tf.constant([[3.0, 0.0, 0.0], [0.0, 2.0, 0.0]])  # orthogonal rows
    >>> report = keras_rkm.metrics.orthogonality_of_variation(
    ...     lambda latents: latents @ weights, np.zeros((2, 2))
    ... )
    >>> report.off_diagonal_share, report.alignment, report.rotated_alignment < 0.9
    (0.0, 1.0, True)

    References:
        [1] A. Pandey, M. Fanuel, J. Schreurs, J. A. K. Suykens, "Disentangled Representation
            Learning and Generation with Manifold Optimization", Neural Computation 34(10), 2022,
            arXiv:2006.07046.
    """
    latents = as_features(latents, "latents", min_samples=1)
    axes = _checked_axes(axes, latents.shape[1])
    check_int("num_rotations", num_rotations)
    check_int("batch_size", batch_size)
    grams = decoder_grams(decode, latents, axes, batch_size=batch_size, dtype=dtype)
    squared_lengths = np.diagonal(grams, axis1=1, axis2=2)
    live_codes = squared_lengths.any(axis=1)
    mean_squares = squared_lengths.mean(axis=0)
    dead = mean_squares <= _DEAD * mean_squares.max()
    if dead.sum() > len(dead) - 2:
        raise ValueError(
            "`decode` must change its images along two axes at least, for their directions to be "
            f"compared. Received: axes that change nothing: {np.flatnonzero(dead).tolist()} of "
            f"{len(dead)}."
        )
    generator = np.random.default_rng(seed)
    rotations = [_random_rotation(len(dead), generator) for _ in range(num_rotations)]
    rotated = [_numbers(rotation.T @ grams[live_codes] @ rotation) for rotation in rotations]
    numbers = _numbers(grams[live_codes], ~dead)
    return OrthogonalityReport(
        **numbers,
        **{f"rotated_{name}": float(np.mean([each[name] for each in rotated])) for name in numbers},
        axis_lengths=tuple(np.sqrt(mean_squares).tolist()),
        dead_axes=tuple(np.flatnonzero(dead).tolist()),
        num_dead_codes=int(np.sum(~live_codes)),
        num_samples=len(latents),
        num_axes=len(dead),
        num_rotations=num_rotations,
        seed=seed,
        protocol=protocol,
        notes=_notes(grams.mean(axis=0)),
    )


def _numbers(grams: np.ndarray, live_axes=slice(None)) -> dict[str, float]:
    squares = np.square(grams)
    diagonal = np.diagonal(grams, axis1=1, axis2=2)
    shares = 1 - np.square(diagonal).sum(1) / squares.sum((1, 2))
    return {
        "off_diagonal_share": float(np.maximum(shares, 0).mean()),
        "mean_squared_cosine": _mean_squared_cosine(grams[:, live_axes][:, :, live_axes]),
        "alignment": _alignment(grams.mean(axis=0)),
    }


def _mean_squared_cosine(grams: np.ndarray) -> float:
    diagonal = np.diagonal(grams, axis1=1, axis2=2)
    products = diagonal[:, :, np.newaxis] * diagonal[:, np.newaxis]
    # An axis that is dead at one code only has no direction there.
    counted = (products > 0) & ~np.eye(grams.shape[1], dtype=bool)
    return float(np.mean(np.square(grams[counted]) / products[counted]))


def _alignment(gram: np.ndarray) -> float:
    from scipy.optimize import linear_sum_assignment

    squares = np.square(np.linalg.eigh(gram)[1])
    rows, columns = linear_sum_assignment(squares, maximize=True)
    return float(squares[rows, columns].mean())


def _random_rotation(dim: int, generator: np.random.Generator) -> np.ndarray:
    """Uniform on the orthogonal group but for the signs of columns, which change no square."""
    return np.linalg.qr(generator.normal(size=(dim, dim)))[0]


def _checked_axes(axes, latent_dim: int) -> np.ndarray:
    axes = np.eye(latent_dim) if axes is None else as_features(axes, "axes", min_samples=1)
    if len(axes) != latent_dim or axes.shape[1] < 2:
        raise ValueError(
            "`axes` must have the shape (latent_dim, num_axes) with two axes at least. "
            f"Received: shape={axes.shape}, latent_dim={latent_dim}."
        )
    return axes


def _notes(mean_gram: np.ndarray) -> tuple[str, ...]:
    eigenvalues = np.linalg.eigvalsh(mean_gram)[::-1]
    gaps = (eigenvalues[:-1] - eigenvalues[1:]) / np.maximum(eigenvalues[:-1], 1e-300)
    if gaps.min() < _CLOSE:
        return ("two eigenvalues of the mean Gram matrix nearly tie: alignment means little",)
    return ()
