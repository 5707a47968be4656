"""The sprites: geometry by independent formulas, symmetries, and likeness to the original."""

import numpy as np
import pytest

from keras_rkm.datasets import DSpritesLike
from keras_rkm.datasets.npz import load_npz

SQUARE, ELLIPSE, HEART = range(3)


@pytest.fixture(scope="module")
def sprites():
    return DSpritesLike()


def _masks(sprites, shape, scale=5, orientation=0, x=16, y=16) -> np.ndarray:
    """(num_samples, 64, 64) booleans for broadcast classes."""
    columns = np.broadcast_arrays(shape, scale, orientation, x, y)
    images = sprites.render(np.stack([np.atleast_1d(column) for column in columns], axis=1))
    assert set(np.unique(images)) <= {0, 255}
    return images[..., 0] > 0


@pytest.mark.parametrize(("shape", "area"), [(SQUARE, 19.2**2), (ELLIPSE, np.pi * 12.8 * 7.2)])
def test_area_grows_with_the_square_of_scale_at_every_orientation(sprites, shape, area):
    for scale in range(6):
        areas = _masks(sprites, shape, scale, np.arange(40)).sum(axis=(1, 2))
        expected = area * (0.5 + 0.1 * scale) ** 2
        assert abs(areas.mean() / expected - 1) < 0.03
        assert np.abs(areas / expected - 1).max() < 0.16


@pytest.mark.parametrize("shape", [SQUARE, ELLIPSE])
def test_centre_of_mass_is_at_the_position(sprites, shape):
    steps = np.arange(32)
    for x, y in ((steps, 7), (20, steps)):
        masks = _masks(sprites, shape, x=x, y=y)
        rows, columns = np.indices((64, 64))
        count = masks.sum(axis=(1, 2))
        centre_x = (masks * columns).sum(axis=(1, 2)) / count
        centre_y = (masks * rows).sum(axis=(1, 2)) / count
        assert np.abs(centre_x - (15.5 + 32 * np.asarray(x) / 31)).max() < 0.6
        assert np.abs(centre_y - (15.5 + 32 * np.asarray(y) / 31)).max() < 0.6


@pytest.mark.parametrize("scale", range(6))
def test_all_40_orientations_of_the_heart_differ(sprites, scale):
    masks = _masks(sprites, HEART, scale, np.arange(40))
    assert len({mask.tobytes() for mask in masks}) == 40


@pytest.mark.parametrize(("shape", "period"), [(SQUARE, 10), (ELLIPSE, 20)])
def test_square_and_ellipse_repeat_by_symmetry(sprites, shape, period):
    # At position 0 the centre lies in the middle between pixels, where no rounding interferes.
    masks = _masks(sprites, shape, 5, np.arange(40), x=0, y=0)
    for start in range(period, 40, period):
        np.testing.assert_array_equal(masks[:period], masks[start : start + period])
    assert len({mask.tobytes() for mask in masks[:period]}) == period


def test_a_quarter_turn_is_counterclockwise(sprites):
    heart = _masks(sprites, HEART, 5, [0, 10, 20, 30], x=0, y=0)[:, :32, :32]
    for quarter in range(4):
        np.testing.assert_array_equal(heart[quarter], np.rot90(heart[0], quarter))
    # The tip of the upright heart is below: few pixels in the lowest rows, two lobes on top.
    rows = np.flatnonzero(heart[0].any(axis=1))
    assert heart[0][rows[-1]].sum() <= 2 and heart[0][rows[0]].sum() >= 6


def test_scale_and_position_are_visible_at_every_step(sprites):
    for shape in range(3):
        for moved in ({"scale": np.arange(6)}, {"x": np.arange(32)}, {"y": np.arange(32)}):
            masks = _masks(sprites, shape, **moved)
            assert len({mask.tobytes() for mask in masks}) == len(masks)


def test_no_sprite_is_cut_off(sprites):
    corners = [(x, y) for x in (0, 31) for y in (0, 31)]
    for shape in range(3):
        inner = _masks(sprites, shape, 5, np.arange(40)).sum(axis=(1, 2))
        for x, y in corners:
            masks = _masks(sprites, shape, 5, np.arange(40), x, y)
            assert np.abs(masks.sum(axis=(1, 2)) / inner - 1).max() < 0.12
            border = masks[:, [0, -1]].any() or masks[:, :, [0, -1]].any()
            assert not border


def test_masks_agree_with_genuine_frames(sprites, shared_data):
    path = shared_data / "dsprites-tour" / "dsprites_tour_64x64.npz"
    if not path.is_file():
        pytest.skip("needs ../shared/data/dsprites-tour")
    genuine = load_npz(path)
    # Only frames whose orientation is on our grid: 0 and, being 2 pi, 39.
    rows = np.flatnonzero(np.isin(genuine.factor_classes[:, 2], [0, 39]))
    classes = genuine.factor_classes[rows].copy()
    classes[:, 2] = 0
    ours, theirs = (
        images[..., 0] > 0 for images in (sprites.render(classes), genuine.images[rows])
    )
    union = (ours | theirs).sum(axis=(1, 2))
    overlap = (ours & theirs).sum(axis=(1, 2)) / union
    for shape, least in ((SQUARE, 0.999), (ELLIPSE, 0.97), (HEART, 0.95)):
        assert overlap[classes[:, 0] == shape].mean() > least
    assert overlap.min() > 0.85
