"""The rooms: which factor changes which part of the picture, and how."""

import colorsys

import numpy as np
import pytest

from keras_rkm.datasets import Shapes3DLike

_NAMES = ["floor_hue", "wall_hue", "object_hue", "scale", "shape", "orientation"]
_MIDDLE = {"floor_hue": 0, "wall_hue": 3, "object_hue": 6, "scale": 4, "shape": 0, "orientation": 7}
_SHAPES = range(4)


@pytest.fixture(scope="module")
def rooms():
    return Shapes3DLike()


def _render(rooms, **classes) -> np.ndarray:
    columns = np.broadcast_arrays(*(np.atleast_1d({**_MIDDLE, **classes}[n]) for n in _NAMES))
    return rooms.render(np.stack(columns, axis=1)).astype(int)


def _object(rooms, **classes) -> np.ndarray:
    """Where the picture changes with the colour of the object, (64, 64) booleans."""
    one, other = (_render(rooms, object_hue=hue, **classes)[0] for hue in (6, 1))
    return np.abs(one - other).max(axis=-1) > 40


def test_factors_are_in_the_order_of_the_original(rooms):
    assert [factor.name for factor in rooms.factor_info] == _NAMES
    assert rooms.sizes == (10, 10, 10, 8, 4, 15)
    kinds = [factor.kind for factor in rooms.factor_info]
    assert kinds == ["circular"] * 3 + ["continuous", "categorical", "continuous"]


@pytest.mark.parametrize("hue", range(10))
def test_floor_wall_and_object_have_their_hues(rooms, hue):
    other = (hue + 5) % 10
    places = {"floor_hue": (60, 3), "wall_hue": (3, 32), "object_hue": (44, 32)}
    for name, (row, column) in places.items():
        others = {n: other for n in places if n != name}
        pixel = _render(rooms, **{name: hue}, **others)[0, row, column]
        assert abs(colorsys.rgb_to_hsv(*pixel)[0] * 10 - hue) % 10 < 0.15


def test_floor_is_below_and_wall_above(rooms):
    one, other = _render(rooms, floor_hue=[0, 5])
    changed = np.abs(one - other).max(axis=-1) > 30
    assert changed[44:].mean() > 0.7 and not changed[:20].any()
    one, other = _render(rooms, wall_hue=[0, 5])
    changed = np.abs(one - other).max(axis=-1) > 30
    assert changed[:12].all() and not changed[40:].any()


@pytest.mark.parametrize("shape", _SHAPES)
def test_object_grows_with_scale_and_keeps_its_foot(rooms, shape):
    masks = [_object(rooms, shape=shape, scale=scale) for scale in range(8)]
    areas = np.array([mask.sum() for mask in masks])
    assert (np.diff(areas) > 0).all()
    # An object of 5/3 the height also comes nearer to the camera.
    assert 25 / 9 < areas[-1] / areas[0] < 25 / 9 * 1.35
    heights = [np.flatnonzero(mask.any(axis=1)) for mask in masks]
    assert heights[0][-1] <= heights[-1][-1] <= heights[0][-1] + 6
    for mask in masks:
        assert not (mask[[0, -1]].any() or mask[:, [0, -1]].any())
        assert abs(np.flatnonzero(mask.any(axis=0)).mean() - 31.5) < 1


def test_shapes_differ_in_outline(rooms):
    masks = [_object(rooms, shape=shape) for shape in _SHAPES]
    for i in _SHAPES:
        for j in range(i):
            overlap = (masks[i] & masks[j]).sum() / (masks[i] | masks[j]).sum()
            assert overlap < 0.93
    width = [mask.any(axis=0).sum() for mask in masks]
    height = [mask.any(axis=1).sum() for mask in masks]
    assert abs(width[2] - height[2]) <= 2  # the sphere is round
    assert height[3] > 1.4 * width[3]  # the capsule stands upright


def test_camera_goes_round_the_object(rooms):
    # Outlines of round solids stay, that of the cube widens, mirrored for opposite angles.
    for shape in (1, 2, 3):
        outlines = [_object(rooms, shape=shape, orientation=o) for o in (0, 7, 14)]
        assert (outlines[0] ^ outlines[1]).mean() < 0.01
        assert (outlines[2] ^ outlines[1]).mean() < 0.01
    left, front, right = (_object(rooms, shape=0, orientation=o) for o in (0, 7, 14))
    assert (left ^ right[:, ::-1]).mean() < 0.01
    assert left.any(axis=0).sum() > front.any(axis=0).sum() + 2


@pytest.mark.parametrize("shape", _SHAPES)
def test_all_orientations_and_scales_differ_visibly(rooms, shape):
    pictures = _render(rooms, shape=shape, orientation=np.arange(15))
    for one, other in zip(pictures[1:], pictures[:-1], strict=True):
        assert np.abs(one - other).max() > 30
    # The light comes from one side, so that even round solids show left from right.
    assert np.abs(pictures[0] - pictures[-1][:, ::-1]).max() > 60


def test_object_throws_a_shadow_on_the_floor(rooms):
    picture = _render(rooms, shape=2, floor_hue=0, orientation=14)[0]
    floor = ~_object(rooms, shape=2, floor_hue=0, orientation=14)
    reds = picture[40:50, :, 0][floor[40:50]]
    assert reds.min() < 0.75 * np.median(reds)


def test_edges_are_smooth(rooms):
    picture = _render(rooms, shape=2, object_hue=0, floor_hue=5, wall_hue=5)[0]
    red, green = picture[..., 0], picture[..., 1]
    # The room is cyan, without red; all of the red object is redder by 70 than it is green.
    assert ((red > 12) & (red - green < 60)).sum() > 40
