"""Laplacian pyramids of images, and the patches of their levels as descriptors."""

import math

import numpy as np

NORMALISATIONS = ("patch", "channel")

_BINOMIAL = np.array([1, 4, 6, 4, 1], np.float32) / 16
_NO_CONTRAST = 1e-6  # where a grey level is 4e-3


def laplacian_pyramid(images: np.ndarray, num_levels: int) -> list[np.ndarray]:
    """The details of images at `num_levels` scales, the finest first; the last is the rest.

    Args:
        images: Float32 `(num_images, height, width, channels)`, halved exactly `num_levels - 1`
            times.
        num_levels: Positive int.
    """
    levels = [images]
    for _ in range(num_levels - 1):
        levels.append(_smoothed(levels[-1])[:, ::2, ::2])
        levels[-2] = levels[-2] - _enlarged(levels[-1])
    return levels


def _smoothed(images: np.ndarray) -> np.ndarray:
    from scipy.ndimage import correlate1d

    rows = correlate1d(images, _BINOMIAL, axis=1, mode="mirror")
    return correlate1d(rows, _BINOMIAL, axis=2, mode="mirror")


def _enlarged(images: np.ndarray) -> np.ndarray:
    num_images, height, width, channels = images.shape
    enlarged = np.zeros((num_images, 2 * height, 2 * width, channels), images.dtype)
    enlarged[:, ::2, ::2] = images
    return 4 * _smoothed(enlarged)  # a quarter of the pixels holds everything


def patch_descriptors(
    level: np.ndarray,
    *,
    patches_per_image: int,
    patch_size: int,
    normalisation: str,
    generator: np.random.Generator,
) -> np.ndarray:
    """Draws patches of a level of a pyramid and normalises them.

    Args:
        level: Float32 `(num_images, height, width, channels)`.
        patches_per_image: Positive int.
        patch_size: Positive int, at most the height and the width.
        normalisation: `"patch"` or `"channel"`: what gets mean 0 and variance 1.
        generator: Draws the places.

    Returns:
        Float32 `(num_images * patches_per_image, channels * patch_size * patch_size)`.
    """
    num_images, height, width, _ = level.shape
    corners = (num_images, patches_per_image)
    tops = generator.integers(0, height - patch_size + 1, corners)
    lefts = generator.integers(0, width - patch_size + 1, corners)
    windows = np.lib.stride_tricks.sliding_window_view(level, (patch_size, patch_size), (1, 2))
    patches = windows[np.arange(num_images)[:, np.newaxis], tops, lefts]
    patches = patches.reshape(-1, *patches.shape[2:])  # (num_patches, channels, size, size)
    axes = (1, 2, 3) if normalisation == "patch" else (0, 2, 3)
    patches -= patches.mean(axes, keepdims=True)
    scale = np.sqrt(np.mean(np.square(patches), axes, keepdims=True))
    # Subtracting the mean leaves rounding in a patch of one value, and that must not be blown up.
    patches /= np.where(scale > _NO_CONTRAST, scale, np.inf)
    return patches.reshape(len(patches), -1)


def count_levels(size: tuple[int, int], min_resolution: int, patch_size: int) -> int:
    """How often images of `size` (height, width) are halved, plus one.

    Raises:
        ValueError: If a level cannot be halved or gets smaller than a patch.
    """
    height = size[0]
    num_levels = int(math.log2(height)) - int(math.log2(min(min_resolution, height))) + 1
    divisor = 2 ** (num_levels - 1)
    if any(side % divisor or side // divisor < patch_size for side in size):
        raise ValueError(
            f"`real_images` must have {num_levels} levels, from a height of {height} down to about "
            f"`min_resolution`={min_resolution}, each half of the one before and none smaller than "
            f"`patch_size`={patch_size}. Received: height and width {size}. "
            "Choose another `min_resolution`, or resize the images."
        )
    return num_levels
