"""Patches of a Laplacian pyramid: the pyramid by loops, the distance in known cases."""

import re

import numpy as np
import pytest

from keras_rkm.metrics import laplacian_pyramid as pyramid_module
from keras_rkm.metrics import laplacian_sliced_wasserstein_distance
from tests.oracles import generation as oracle


def _images(num_images=24, size=16, channels=1, seed=0):
    return np.random.default_rng(seed).random((num_images, size, size, channels), np.float32)


def _descriptors(level, normalisation, *, patches_per_image=3, patch_size=5, seed=0):
    return pyramid_module.patch_descriptors(
        level,
        patches_per_image=patches_per_image,
        patch_size=patch_size,
        normalisation=normalisation,
        generator=np.random.default_rng(seed),
    )


@pytest.mark.parametrize("size", [(16, 16), (12, 20)])
def test_pyramid_agrees_with_loops(size):
    images = np.random.default_rng(0).random((2, *size, 3), np.float32)
    levels = pyramid_module.laplacian_pyramid(images, 3)
    for image in range(2):
        for channel in range(3):
            expected = oracle.pyramid(images[image, :, :, channel].astype(float), 3)
            for level, wanted in zip(levels, expected, strict=True):
                np.testing.assert_allclose(level[image, :, :, channel], wanted, atol=1e-6)


def test_constant_images_have_no_details():
    *details, rest = pyramid_module.laplacian_pyramid(np.full((1, 16, 16, 1), 0.3, np.float32), 3)
    assert all(np.abs(level).max() < 1e-6 for level in details)
    np.testing.assert_allclose(rest, 0.3, rtol=1e-6)


def test_descriptors_are_patches_of_the_images():
    level = np.arange(2 * 6 * 6 * 2, dtype=np.float32).reshape(2, 6, 6, 2)
    patches = _descriptors(level, "channel", patches_per_image=40)
    # All differences inside a patch are fixed by the arrangement of the pixels.
    scale = np.ptp(patches[0].reshape(2, 5, 5)[0, 0]) / 8
    for patch in patches.reshape(-1, 2, 5, 5) / scale:
        np.testing.assert_allclose(np.diff(patch, axis=2), 2, rtol=1e-3)
        np.testing.assert_allclose(np.diff(patch, axis=1), 12, rtol=1e-3)
    # Two by two places in each of two images, and every one of them is met.
    assert len(np.unique(patches[:, 0].round(4))) == 8


def test_normalisation_by_patch_and_by_channel():
    level = _images(channels=3) * [1.0, 5.0, 0.1] + [0.0, 3.0, 1.0]
    by_patch = _descriptors(level.astype(np.float32), "patch")
    np.testing.assert_allclose(by_patch.mean(axis=1), 0, atol=1e-5)
    np.testing.assert_allclose(by_patch.std(axis=1), 1, rtol=1e-4)
    by_channel = _descriptors(level.astype(np.float32), "channel").reshape(-1, 3, 25)
    np.testing.assert_allclose(by_channel.mean(axis=(0, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(by_channel.std(axis=(0, 2)), 1, rtol=1e-4)
    assert by_channel.mean(axis=2).std() > 0.1


def test_patch_without_contrast_becomes_zeros():
    level = np.full((2, 8, 8, 1), 0.1, np.float32)
    level[1] += _images(1, 8)[0]
    patches = _descriptors(level, "patch").reshape(2, 3, 25)
    assert not patches[0].any()
    assert patches[1].any(axis=1).all()


@pytest.mark.parametrize("normalisation", ["patch", "channel"])
def test_another_draw_of_the_same_images_is_at_the_reference_distance(normalisation):
    images = _images(200, channels=3)
    report = laplacian_sliced_wasserstein_distance(
        images, images, normalisation=normalisation, patches_per_image=16
    )
    assert report.value == pytest.approx(report.reference_distances[0], rel=0.1)
    assert report.value > 0


def test_sees_the_level_at_which_images_differ():
    # The same images with stripes of one pixel: the finest level differs, the coarsest does not.
    real = _images(64, 64)
    for _ in range(3):
        real = (real + np.roll(real, 1, 1) + np.roll(real, 1, 2) + np.roll(real, 2, 2)) / 4
    striped = real + 0.1 * (np.arange(64) % 2)[:, np.newaxis, np.newaxis]
    report = laplacian_sliced_wasserstein_distance(
        real, striped, patches_per_image=16, num_projections=60
    )
    assert report.resolutions == (64, 32, 16)
    assert report.distances[0] > 3 * report.reference_distances[0]
    assert report.distances[2] < 2 * report.reference_distances[2]
    assert report.value == pytest.approx(np.mean(report.distances))


def test_patch_normalisation_is_blind_to_brightness_and_contrast():
    real = _images(100)
    darker = 0.3 * _images(100, seed=1) + 0.2
    options = {"patches_per_image": 16, "num_projections": 60}
    blind = laplacian_sliced_wasserstein_distance(real, darker, **options)
    assert blind.value < 1.5 * blind.reference_distances[0]


def test_integers_are_images_of_256_levels_and_seeds_decide():
    images = (255 * _images(12)).astype(np.uint8)
    others = (255 * _images(12, seed=1)).astype(np.uint8)
    first = laplacian_sliced_wasserstein_distance(images, others)
    floats = laplacian_sliced_wasserstein_distance(
        images / np.float32(255), others / np.float32(255)
    )
    assert first == floats
    again = laplacian_sliced_wasserstein_distance(images, others, seed=1)
    assert again.value != first.value


def test_28_pixels_are_one_level():
    report = laplacian_sliced_wasserstein_distance(_images(8, 28), _images(8, 28, seed=1))
    assert report.resolutions == (28,)
    assert "normalised by patch" in str(report)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"normalisation": "image"}, "normalisation='image'"),
        ({"min_resolution": 4}, "`patch_size`=7. Received: height and width (16, 16)"),
        ({"patch_size": 17}, "`patch_size`=17"),
        ({"patches_per_image": 0}, "patches_per_image=0"),
        ({"num_projections": -1}, "num_projections=-1"),
    ],
)
def test_wrong_arguments_are_refused(options, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        laplacian_sliced_wasserstein_distance(_images(), _images(), **options)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (_images(3), "(24, 16, 16, 1) and (3, 16, 16, 1)"),
        (_images()[..., 0], "`generated_images`.*shape=\\(24, 16, 16\\)"),
        (np.full((24, 16, 16, 1), np.nan), "`generated_images` must be finite"),
        (np.full((24, 16, 16, 1), "x"), "dtype=<U1"),
    ],
)
def test_wrong_images_are_refused(images, message):
    pattern = message if ".*" in message else re.escape(message)
    with pytest.raises(ValueError, match=pattern):
        laplacian_sliced_wasserstein_distance(_images(), images)


def test_odd_sizes_cannot_be_halved():
    odd = np.zeros((2, 34, 34, 1), np.float32)
    with pytest.raises(ValueError, match="3 levels, from a height of 34"):
        laplacian_sliced_wasserstein_distance(odd, odd, min_resolution=8)
