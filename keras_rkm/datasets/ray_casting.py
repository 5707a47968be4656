"""Where rays meet four upright solids that stand on the floor y = 0, in plain NumPy.

Points and directions are arrays `(num_rays, 3)` with y upwards. Sizes are those at scale 1.
"""

import numpy as np

SHAPES = ("cube", "cylinder", "sphere", "capsule")

_CUBE_HALF = 0.58
_CYLINDER = (0.6, 1.2)  # radius, height
_SPHERE_RADIUS = 0.68
_CAPSULE = (0.45, 1.5)


def hit(shape: str, origins: np.ndarray, directions: np.ndarray, scale: float) -> np.ndarray:
    """Distances `(num_rays,)`, in lengths of `directions`, to the solid ahead; inf without a hit.

    Args:
        shape: One of `SHAPES`.
        origins: `(num_rays, 3)` or `(3,)`, outside of the solid.
        directions: `(num_rays, 3)` or `(3,)`.
        scale: Positive float.
    """
    # A solid of scale s is met by a ray where the ray divided by s meets the solid of scale 1.
    origins, directions = np.broadcast_arrays(origins / scale, directions / scale)
    if shape == "cube":
        return _hit_cube(origins, directions)
    if shape == "sphere":
        return _hit_ball(origins, directions, _SPHERE_RADIUS, _SPHERE_RADIUS)
    if shape == "cylinder":
        radius, height = _CYLINDER
        side = _hit_tube(origins, directions, radius, 0, height)
        return np.minimum(side, _hit_disc(origins, directions, radius, height))
    radius, height = _CAPSULE
    parts = [_hit_tube(origins, directions, radius, radius, height - radius)]
    parts += [_hit_ball(origins, directions, radius, y) for y in (radius, height - radius)]
    return np.minimum.reduce(parts)


def normal(shape: str, points: np.ndarray, scale: float) -> np.ndarray:
    """Outward unit normals `(num_points, 3)` of the solid at points of its surface."""
    points = points / scale
    if shape == "cube":
        relative = points - np.array([0, _CUBE_HALF, 0])
        face = np.abs(relative).argmax(axis=1)[:, np.newaxis]
        result = np.zeros_like(relative)
        np.put_along_axis(result, face, np.sign(np.take_along_axis(relative, face, 1)), 1)
        return result
    axis_point = np.zeros_like(points)
    if shape == "sphere":
        axis_point[:, 1] = _SPHERE_RADIUS
    elif shape == "cylinder":
        axis_point[:, 1] = points[:, 1]
    else:
        radius, height = _CAPSULE
        axis_point[:, 1] = np.clip(points[:, 1], radius, height - radius)
    result = points - axis_point
    if shape == "cylinder":
        result[points[:, 1] > _CYLINDER[1] - 1e-4] = (0, 1, 0)
    return result / np.linalg.norm(result, axis=1, keepdims=True)


def _hit_ball(origins, directions, radius: float, height: float):
    relative = origins - np.array([0, height, 0])
    a = (directions**2).sum(1)
    b = (relative * directions).sum(1)
    c = (relative**2).sum(1) - radius**2
    return _first_root(a, b, c)


def _hit_tube(origins, directions, radius: float, bottom: float, top: float):
    """The side of an upright cylinder."""
    flat = [0, 2]
    a = (directions[:, flat] ** 2).sum(1)
    b = (origins[:, flat] * directions[:, flat]).sum(1)
    c = (origins[:, flat] ** 2).sum(1) - radius**2
    distance = _first_root(a, b, c)
    return _where_inside(distance, origins, directions, bottom, top)


def _where_inside(distance, origins, directions, bottom, top):
    finite = np.isfinite(distance)
    height = origins[:, 1] + np.where(finite, distance, 0) * directions[:, 1]
    return np.where(finite & (height >= bottom) & (height <= top), distance, np.inf)


def _hit_disc(origins, directions, radius: float, height: float):
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = (height - origins[:, 1]) / directions[:, 1]
        points = origins + distance[:, np.newaxis] * directions
        inside = (points[:, 0] ** 2 + points[:, 2] ** 2 <= radius**2) & (distance > 0)
    return np.where(inside, distance, np.inf)


def _hit_cube(origins, directions):
    relative = origins - np.array([0, _CUBE_HALF, 0])
    with np.errstate(divide="ignore", invalid="ignore"):
        one, other = ((side * _CUBE_HALF - relative) / directions for side in (-1, 1))
    enter = np.minimum(one, other).max(axis=1)
    leave = np.maximum(one, other).min(axis=1)
    return np.where((enter <= leave) & (enter > 0), enter, np.inf)


def _first_root(a, b, c):
    """The smaller root of a t^2 + 2 b t + c if it is positive, else inf."""
    discriminant = b**2 - a * c
    with np.errstate(divide="ignore", invalid="ignore"):
        root = (-b - np.sqrt(discriminant)) / a
        return np.where((discriminant >= 0) & (root > 0), root, np.inf)
