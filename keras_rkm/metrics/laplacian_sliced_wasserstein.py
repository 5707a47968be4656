"""The sliced Wasserstein distance of image patches, at each level of a Laplacian pyramid."""

import dataclasses
import functools
from typing import ClassVar

import numpy as np

from .feature_checks import check_finite, check_int
from .laplacian_pyramid import (
    NORMALISATIONS,
    count_levels,
    laplacian_pyramid,
    patch_descriptors,
)
from .reports import Report
from .sliced_wasserstein import projected_costs, random_directions


@dataclasses.dataclass(frozen=True, kw_only=True)
class LaplacianSlicedWassersteinReport(Report):
    """What `laplacian_sliced_wasserstein_distance` returns.

    Attributes:
        value: Float >= 0, the mean over the levels.
        distances: Tuple of floats, one per level, the finest first.
        reference_distances: As `distances`, of the real images from themselves in other patches:
            what a perfect generator would have.
        resolutions: Tuple of ints, the height of each level.
        normalisation: Str, as passed.
        num_real: Int, the number of real images.
        num_generated: Int, the number of generated ones.
        patches_per_image: Int.
        patch_size: Int.
        num_projections: Int.
        seed: Int.
        protocol: Str, what was compared.
    """

    value: float
    distances: tuple[float, ...]
    reference_distances: tuple[float, ...]
    resolutions: tuple[int, ...]
    normalisation: str
    num_real: int
    num_generated: int
    patches_per_image: int
    patch_size: int
    num_projections: int
    seed: int
    protocol: str | None = None

    metric: ClassVar[str] = "laplacian_sliced_wasserstein_distance"
    directions: ClassVar[dict[str, str]] = {"value": "lower is better"}


def laplacian_sliced_wasserstein_distance(
    real_images,
    generated_images,
    *,
    normalisation: str = "patch",
    min_resolution: int = 16,
    patches_per_image: int = 64,
    patch_size: int = 7,
    num_projections: int = 147,
    seed: int = 0,
) -> LaplacianSlicedWassersteinReport:
    """Compares the patches of two sets of images, level by level of a Laplacian pyramid [1].

    Square patches are drawn at random places of each level, normalised and flattened; the distance
    of a level is the mean W_1 of their projections onto random directions. With the defaults it is
    what TensorFlow-GAN computes, which the authors of the St-RKM used at 8,000 images and 10 draws.
    It is no distance of features: `sliced_wasserstein_distance` is.

    Two things differ from TensorFlow-GAN: images may have any number of channels, and a patch
    without any contrast becomes zeros, where TensorFlow-GAN divides by zero.

    Args:
        real_images: `(num_images, height, width, channels)`, uint8 or floats.
        generated_images: As `real_images`, the same shape.
        normalisation: `"patch"`: each patch gets mean 0 and variance 1, as in TensorFlow-GAN.
            `"channel"`: each channel does, over all patches of a set, as in [1], so that patches
            may still differ in brightness and contrast. Defaults to `"patch"`.
        min_resolution: Positive int, the height of the coarsest level. Defaults to 16.
        patches_per_image: Positive int, at each level. Defaults to 64.
        patch_size: Positive int. Defaults to 7.
        num_projections: Positive int. Defaults to 147, the size of a patch of three channels.
        seed: Int, selects the patches and the directions. Defaults to 0.

    Returns:
        A `LaplacianSlicedWassersteinReport`.

    Raises:
        ValueError: If shapes differ, a level is smaller than a patch or cannot be halved, a number
            is not finite, or an argument is out of range.

    Example:

    >>> images = np.random.default_rng(0).random((2, 32, 16, 16, 1))
    >>> report = keras_rkm.metrics.laplacian_sliced_wasserstein_distance(*images)
    >>> report.resolutions, report.value < 2 * report.reference_distances[0]
    ((16,), True)

    References:
        [1] T. Karras, T. Aila, S. Laine, J. Lehtinen, "Progressive Growing of GANs for Improved
            Quality, Stability, and Variation", ICLR 2018, section 5.
    """
    if normalisation not in NORMALISATIONS:
        raise ValueError(
            f"`normalisation` must be one of {NORMALISATIONS}. "
            f"Received: normalisation={normalisation!r}."
        )
    for name, number in (
        ("min_resolution", min_resolution),
        ("patches_per_image", patches_per_image),
        ("num_projections", num_projections),
        ("patch_size", patch_size),
    ):
        check_int(name, number)
    real = _as_images(real_images, "real_images")
    generated = _as_images(generated_images, "generated_images")
    if real.shape != generated.shape:
        raise ValueError(
            "`real_images` and `generated_images` must have the same shape. "
            f"Received: {real.shape} and {generated.shape}. Compare equal numbers."
        )
    num_levels = count_levels(real.shape[1:3], min_resolution, patch_size)
    generator = np.random.default_rng(seed)
    draw = functools.partial(
        patch_descriptors,
        patches_per_image=patches_per_image,
        patch_size=patch_size,
        normalisation=normalisation,
        generator=generator,
    )
    pyramids = [laplacian_pyramid(images, num_levels) for images in (real, generated)]
    references, distances = [], []
    for real_level, generated_level in zip(*pyramids, strict=True):
        patches = draw(real_level)
        directions = random_directions(patches.shape[1], num_projections, generator, "float32")
        for found, level in ((references, real_level), (distances, generated_level)):
            costs = projected_costs(patches, draw(level), directions, order=1)
            found.append(float(costs.mean()))
    return LaplacianSlicedWassersteinReport(
        value=float(np.mean(distances)),
        distances=tuple(distances),
        reference_distances=tuple(references),
        resolutions=tuple(level.shape[1] for level in pyramids[0]),
        normalisation=normalisation,
        num_real=len(real),
        num_generated=len(generated),
        patches_per_image=patches_per_image,
        patch_size=patch_size,
        num_projections=num_projections,
        seed=seed,
        protocol=f"patches of a Laplacian pyramid, normalised by {normalisation}",
    )


def _as_images(images, argument: str) -> np.ndarray:
    images = np.asarray(images)
    if images.ndim != 4 or not images.size or images.dtype.kind not in "fiub":
        raise ValueError(
            f"`{argument}` must be numbers of the shape (num_images, height, width, channels). "
            f"Received: shape={images.shape}, dtype={images.dtype}."
        )
    if images.dtype == np.uint8:
        images = images / np.float32(255)
    images = images.astype(np.float32, copy=False)
    check_finite(images, argument)
    return images
