"""Rays against solids, checked with distances marched through implicit inside-tests."""

import numpy as np
import pytest

from keras_rkm.datasets.ray_casting import SHAPES, hit, normal

_SCALES = [0.75, 1.0, 1.25]


def _inside(shape: str, points: np.ndarray, scale: float) -> np.ndarray:
    """Whether points (..., 3) lie in the solid: an oracle that knows no rays."""
    x, y, z = np.moveaxis(points / scale, -1, 0)
    across = np.hypot(x, z)
    if shape == "cube":
        return (abs(x) < 0.58) & (abs(y - 0.58) < 0.58) & (abs(z) < 0.58)
    if shape == "cylinder":
        return (across < 0.6) & (y > 0) & (y < 1.2)
    if shape == "sphere":
        return across**2 + (y - 0.68) ** 2 < 0.68**2
    return across**2 + (y - np.clip(y, 0.45, 1.05)) ** 2 < 0.45**2


def _rays(num_rays=400):
    random = np.random.default_rng(0)
    origins = random.normal(size=(num_rays, 3))
    origins *= 4 / np.linalg.norm(origins, axis=1, keepdims=True)
    origins[:, 1] = np.abs(origins[:, 1]) + 0.1
    targets = random.uniform([-1, 0, -1], [1, 1.6, 1], (num_rays, 3))
    directions = targets - origins
    return origins, directions / np.linalg.norm(directions, axis=1, keepdims=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", _SCALES)
def test_distance_is_where_marching_enters_the_solid(shape, scale):
    origins, directions = _rays()
    steps = np.arange(0, 8, 0.005)
    points = origins[:, None] + steps[:, None] * directions[:, None]
    inside = _inside(shape, points, scale)
    marched = np.where(inside.any(axis=1), steps[inside.argmax(axis=1)], np.inf)
    distance = hit(shape, origins, directions, scale)
    marched, distance = (np.where(np.isinf(d), 1e6, d) for d in (marched, distance))
    # A ray that only grazes the solid may slip between two steps, or through the open underside.
    enters_below = (origins + marched[:, None] * directions)[:, 1] < 0.01
    agree = np.abs(marched - distance) < 0.006
    assert agree[~enters_below].mean() > 0.99
    assert 50 < (distance < 1e6).sum() < 400


@pytest.mark.parametrize("shape", SHAPES)
def test_normal_leaves_the_solid_straight(shape):
    origins, directions = _rays()
    distance = hit(shape, origins, directions, 1.25)
    rows = np.isfinite(distance)
    points = (origins + distance[:, None] * directions)[rows]
    normals = normal(shape, points, 1.25)
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1)
    assert not _inside(shape, points + 1e-4 * normals, 1.25).any()
    assert _inside(shape, points - 1e-4 * normals, 1.25).all()
    assert ((normals * directions[rows]).sum(axis=1) < 0).all()
    # Straight, not only outwards: the tangent plane touches the solid in no other place.
    above = np.cross(normals, [0.3, 0.5, 0.8])
    assert _inside(shape, points + 0.01 * above - 1e-2 * normals, 1.25).mean() > 0.85
    assert not _inside(shape, points + 0.05 * above + 1e-4 * normals, 1.25).any()


def test_what_lies_behind_is_not_hit():
    for shape in SHAPES:
        ahead = hit(shape, np.array([0, 0.5, 4.0]), np.array([[0, 0, -1.0]]), 1.0)
        behind = hit(shape, np.array([0, 0.5, 4.0]), np.array([[0, 0, 1.0]]), 1.0)
        assert 3 < ahead.item() < 4 and np.isinf(behind).all()
