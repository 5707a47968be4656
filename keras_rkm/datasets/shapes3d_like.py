"""A coloured solid in a coloured room: the factors of 3D Shapes, drawn anew."""

import colorsys
import functools

import numpy as np

from . import ray_casting
from .dataset import Factor
from .generated import FULL_SIZE, GeneratedSet, average_areas

_ROOM = 4.6  # half the side of the square room
_CAMERA_DISTANCE, _CAMERA_HEIGHT, _LOOK_AT_HEIGHT = 4.5, 2.3, 0.85
_FIELD_OF_VIEW = np.deg2rad(42)
_LIGHT = np.array([-0.45, 1.0, 0.65]) / np.linalg.norm([-0.45, 1.0, 0.65])
_SUPERSAMPLING = 3  # rays per pixel and axis
_MATERIALS = ("floor", "wall", "object", "highlight")


class Shapes3DLike(GeneratedSet):
    """RGB images of a solid in a room with the six factors of 3D Shapes: 480,000 images.

    In the manner of 3D Shapes [1], but not its images: camera, light, sizes and surfaces are our
    own. The camera goes round the solid by `orientation`, so the corners of the room move with it.

    Factors: `floor_hue`, `wall_hue`, `object_hue` (10 each), `scale` (8), `shape` (cube, cylinder,
    sphere, capsule) and `orientation` (15, in degrees).

    The geometry depends on the last three only. Each of their 480 combinations is ray-cast once,
    into how much light every pixel gets from every material; the rest is a sum over materials.

    Example:

    >>> rooms = Shapes3DLike()
    >>> rooms.num_images
    480000
    >>> rooms.render(rooms.factor_classes_at([0, 1])).shape
    (2, 64, 64, 3)

    References:
        1. C. Burgess, H. Kim, "3D Shapes Dataset", 2018,
           https://github.com/google-deepmind/3d-shapes
    """

    name = "shapes3d_like"
    channels = 3

    @functools.cached_property
    def _values(self):
        hues = np.arange(10) / 10
        return {
            Factor("floor_hue", 10, "circular"): hues,
            Factor("wall_hue", 10, "circular"): hues,
            Factor("object_hue", 10, "circular"): hues,
            Factor("scale", 8, "continuous"): np.linspace(0.75, 1.25, 8),
            Factor("shape", 4, "categorical"): np.arange(4.0),
            Factor("orientation", 15, "continuous"): np.linspace(-30, 30, 15),
        }

    def _draw(self, factor_classes):
        geometries, which = np.unique(factor_classes[:, 3:], axis=0, return_inverse=True)
        scales, _, orientations = list(self._values.values())[3:]
        light = np.empty((len(geometries), self.image_size**2, len(_MATERIALS)), np.float32)
        for i, (scale, shape, orientation) in enumerate(geometries):
            shape_name = ray_casting.SHAPES[shape]
            light[i] = _light(shape_name, scales[scale], orientations[orientation], self.image_size)
        hues = factor_classes[:, :3]
        images = np.empty((len(hues), self.image_size**2, 3), np.uint8)
        for i, colours in enumerate(_palette()[hues]):
            colours = np.concatenate([colours, np.ones((1, 3), np.float32)])
            images[i] = np.minimum(light[which[i]] @ (255 * colours) + 0.5, 255)
        return images.reshape(-1, *self.image_shape)


@functools.cache
def _palette() -> np.ndarray:
    return np.array([colorsys.hsv_to_rgb(i / 10, 1, 1) for i in range(10)], np.float32)


@functools.lru_cache(maxsize=960)
def _light(shape: str, scale: float, orientation: float, image_size: int) -> np.ndarray:
    """The share of each material in each pixel times its brightness, `(pixels, materials)`.

    Float16 keeps the 480 of a set in 16 MB; its steps stay below a sixth of a grey level.
    """
    side = FULL_SIZE * _SUPERSAMPLING
    light = _trace(shape, scale, np.deg2rad(orientation), side)
    light = average_areas(light.reshape(side, side, -1), side // image_size)
    return light.reshape(-1, len(_MATERIALS)).astype(np.float16)


def _trace(shape: str, scale: float, azimuth: float, side: int) -> np.ndarray:
    """Brightness of the one material each of `side * side` rays meets, `(rays, materials)`."""
    origin, directions = _camera(azimuth, side)
    distance, material, normals = _room(origin, directions)
    to_object = ray_casting.hit(shape, origin, directions, scale)
    in_front = to_object < distance
    distance[in_front] = to_object[in_front]
    points = origin + distance[:, np.newaxis] * directions
    normals[in_front] = ray_casting.normal(shape, points[in_front], scale)
    material[in_front] = _MATERIALS.index("object")

    diffuse = np.maximum(normals @ _LIGHT, 0)
    floor = np.flatnonzero(material == _MATERIALS.index("floor"))
    shadowed = np.isfinite(ray_casting.hit(shape, points[floor], _LIGHT, scale))
    diffuse[floor[shadowed]] *= 0.3
    haze = np.exp(-0.03 * np.maximum(distance - 3, 0))
    brightness = np.where(in_front, 0.42 + 0.6 * diffuse, (0.55 + 0.45 * diffuse) * haze)
    light = np.zeros((len(directions), len(_MATERIALS)), np.float32)
    light[np.arange(len(directions)), material] = np.minimum(brightness, 1)
    glint = _glint(normals[in_front], directions[in_front])
    # Mixed, not added: nothing is brighter than white, so area averages stay exact.
    light[in_front] *= 1 - glint[:, np.newaxis]
    light[in_front, _MATERIALS.index("highlight")] = glint
    return light


def _glint(normals: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """The white spot where the surface mirrors the light (Blinn and Phong)."""
    halfway = _LIGHT - directions / np.linalg.norm(directions, axis=1, keepdims=True)
    halfway /= np.linalg.norm(halfway, axis=1, keepdims=True)
    return 0.35 * np.maximum((normals * halfway).sum(1), 0) ** 40


def _camera(azimuth: float, side: int) -> tuple[np.ndarray, np.ndarray]:
    """The camera's place `(3,)`, and a direction `(side * side, 3)` through every pixel."""
    around = np.array([np.sin(azimuth), 0, np.cos(azimuth)])
    origin = _CAMERA_DISTANCE * around + np.array([0, _CAMERA_HEIGHT, 0])
    forward = np.array([0, _LOOK_AT_HEIGHT, 0]) - origin
    forward /= np.linalg.norm(forward)
    right = np.array([np.cos(azimuth), 0, -np.sin(azimuth)])
    up = np.cross(right, forward)
    ticks = ((np.arange(side) + 0.5) / side * 2 - 1) * np.tan(_FIELD_OF_VIEW / 2)
    x, y = np.meshgrid(ticks, -ticks)
    return origin, forward + x.reshape(-1, 1) * right + y.reshape(-1, 1) * up


def _room(origin: np.ndarray, directions: np.ndarray):
    """Distance, material and normal of the floor or wall behind each pixel, seen from inside."""
    walls = np.array([_ROOM, 0, _ROOM]) * np.sign(directions)
    with np.errstate(divide="ignore", invalid="ignore"):
        distances = (walls - origin) / directions
    distances[:, 1] = np.where(directions[:, 1] < 0, distances[:, 1], np.inf)
    axis = np.nanargmin(distances, axis=1)
    rows = np.arange(len(directions))
    normals = np.zeros_like(directions)
    normals[rows, axis] = -np.sign(directions[rows, axis])
    material = np.where(axis == 1, _MATERIALS.index("floor"), _MATERIALS.index("wall"))
    return distances[rows, axis], material, normals
