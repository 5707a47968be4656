"""Angles in place of pairs of latents that go round: a factor on a circle becomes one number."""

import dataclasses
import itertools

import numpy as np
import tensorflow as tf

from .rotation import MIN_RELATIVE_VARIANCE, checked_latents, draw_rows

# Of the mutual information; in a cell of its table there are at least so many samples on average.
_MAX_BINS = 12
_SAMPLES_IN_A_CELL = 50
_RESOLUTION = 0.1  # standard deviations or radians
# Of all directions, in the search for one in which few latents lie: 5 degrees, 35 at a time.
_NUM_DIRECTIONS = 72
_WINDOW = 7
_FIRST_STEP = 0.3  # standard deviations, of the search for a center
_MAX_ITERATIONS = 60


@dataclasses.dataclass(frozen=True)
class Plane:
    """Two coordinates that are replaced by an angle and a radius.

    Attributes:
        axes: Two ints, the columns of the coordinates x and y. The angle takes the place of x, the
            radius that of y.
        center: Two floats, from where both are measured.
        stddev: Two floats, the units of x and y.
        cut: Float, in radians, the direction in which the angle jumps from pi to -pi: one in which
            few latents lie.
        gain: Float, in nats: by how much less angle and radius depend on each other than x and y.
    """

    axes: tuple[int, int]
    center: tuple[float, float]
    stddev: tuple[float, float]
    cut: float
    gain: float


@dataclasses.dataclass(frozen=True)
class PolarPlanes:
    """Coordinates of which some pairs are replaced by an angle and a radius.

    Both functions take and return `(num_samples, latent_dim)`, with TensorFlow, and can be
    differentiated away from the centers. Angles are in radians, in [-pi, pi) and zero opposite to
    the cut; radii are in standard deviations.

    Attributes:
        planes: Tuple of `Plane`, the one of the greatest gain first; no two share an axis.
    """

    planes: tuple[Plane, ...]

    @property
    def angles(self) -> tuple[int, ...]:
        """The columns that are angles."""
        return tuple(plane.axes[0] for plane in self.planes)

    def to_polar(self, coordinates) -> tf.Tensor:
        """Replaces x and y by angle and radius."""
        columns = tf.unstack(tf.convert_to_tensor(coordinates), axis=1)
        for plane in self.planes:
            u, v = (
                (columns[axis] - center) / stddev
                for axis, center, stddev in zip(plane.axes, plane.center, plane.stddev, strict=True)
            )
            angle = tf.math.floormod(tf.atan2(v, u) - plane.cut, 2 * np.pi) - np.pi
            columns[plane.axes[0]], columns[plane.axes[1]] = angle, tf.sqrt(u**2 + v**2)
        return tf.stack(columns, axis=1)

    def from_polar(self, coordinates) -> tf.Tensor:
        """Replaces angle and radius by x and y; the inverse of `to_polar`."""
        columns = tf.unstack(tf.convert_to_tensor(coordinates), axis=1)
        for plane in self.planes:
            angle, radius = (columns[axis] for axis in plane.axes)
            angle += plane.cut + np.pi
            for axis, center, stddev, unit in zip(
                plane.axes, plane.center, plane.stddev, (tf.cos(angle), tf.sin(angle)), strict=True
            ):
                columns[axis] = center + stddev * radius * unit
        return tf.stack(columns, axis=1)


def find_polar_planes(
    coordinates,
    *,
    min_gain: float = 0.05,
    min_relative_variance: float = MIN_RELATIVE_VARIANCE,
    max_samples: int = 10_000,
    seed: int = 0,
) -> PolarPlanes:
    """Finds the pairs of coordinates that an angle and a radius describe better, without labels.

    A factor on a circle, such as a hue, takes two latents: a code without a jump cannot have less.
    No rotation makes one of them. In the axes of `ica_rotation` a circle has a plane to itself, as
    independent subspaces often have [1], and x and y depend on each other there: given x, y is one
    of two values. Its angle and its radius hardly do. So a pair is replaced if

        I(x; y) - I(angle; radius) >= min_gain,

    where both mutual informations are those of a table of at most 12 x 12 bins of equal counts, in
    which coordinates that differ by less than 0.1 standard deviations or radians are alike. The
    center is that of the least I(angle; radius), looked for from that of the circle that fits the
    pair best by least squares [2]. Pairs with the greatest gain come first, and none shares an axis
    with another. A ring whose radius varies with another factor counts too, and so does an arc. The
    angle is what scores of disentanglement can see as one latent; the Lasso, which can use an angle
    only as it stands, sees less of it than of x and y.

    Args:
        coordinates: `(num_samples, latent_dim)`, such as `latents @ ica_rotation(latents).matrix`;
            some thousands.
        min_gain: Float, in nats. Defaults to 0.05: coordinates that go round nothing gain less than
            0.02, hues gain 0.1 to 0.7 (of 10,000 latents; of 1,000 about a third of that).
        min_relative_variance: Float in [0, 1]. Axes of a smaller share of the largest variance stay
            as they are. Defaults to 0.05.
        max_samples: Int, at least two: of more so many are drawn. Defaults to 10,000.
        seed: Int, selects them. Defaults to 0.

    Returns:
        `PolarPlanes`, without a plane if there is no such pair.

    Raises:
        ValueError: If the coordinates are not finite numbers `(num_samples, latent_dim)`.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> hue, size = rng.uniform(-np.pi, np.pi, 5000), rng.uniform(size=5000)
    >>> coordinates = np.stack([2 * np.cos(hue), size, 2 * np.sin(hue)], axis=1)
    >>> polar = find_polar_planes(coordinates)
    >>> [plane.axes for plane in polar.planes]
    [(0, 2)]
    >>> angle = polar.to_polar(coordinates)[:, 0].numpy()
    >>> turned = np.exp(1j * (angle - hue))
    >>> bool(np.ptp(turned.real) < 0.1)
    True

    References:
        1. J.-F. Cardoso, "Multidimensional independent component analysis", ICASSP 1998.
        2. I. Kasa, "A circle fitting procedure and its error analysis", IEEE Transactions on
           Instrumentation and Measurement 25(1), 1976.
    """
    sample = draw_rows(checked_latents(coordinates), max_samples, seed)
    variances = sample.var(axis=0)
    strong = np.flatnonzero(
        (variances > 0) & (variances >= min_relative_variance * variances.max())
    )
    found = [_plane(sample, pair, min_gain) for pair in itertools.combinations(strong.tolist(), 2)]
    chosen, taken = [], set()
    for plane in sorted(filter(None, found), key=lambda plane: -plane.gain):
        if not taken & set(plane.axes):
            chosen.append(plane)
            taken |= set(plane.axes)
    return PolarPlanes(tuple(chosen))


def _plane(sample: np.ndarray, axes: tuple[int, int], min_gain: float) -> Plane | None:
    """The plane of two axes; None if angle and radius gain less than `min_gain`."""
    from scipy.optimize import minimize

    points = sample[:, axes]
    stddev = points.std(axis=0)
    points = points / stddev
    dependence = _mutual_information(*points.T)
    if dependence < min_gain:
        return None
    start = _center_of_circle(points)
    found = minimize(
        lambda center: _mutual_information(*_unrolled(points - center)[:2]),
        start,
        method="Nelder-Mead",
        options={
            "initial_simplex": start + _FIRST_STEP * np.array([[0, 0], [1, 0], [0, 1]]),
            "xatol": 0.01,
            "fatol": 1e-3,
            "maxiter": _MAX_ITERATIONS,
        },
    )
    gain = dependence - found.fun
    if gain < min_gain:
        return None
    cut = _unrolled(points - found.x)[2]
    center = tuple((found.x * stddev).tolist())
    return Plane(axes, center, tuple(stddev.tolist()), float(cut), float(gain))


def _center_of_circle(points: np.ndarray) -> np.ndarray:
    """The center of the circle that fits points `(num_points, 2)` best by least squares."""
    # |p|^2 = 2 p.c + constant for the points p of a circle around c.
    design = np.column_stack([2 * points, np.ones(len(points))])
    return np.linalg.lstsq(design, np.square(points).sum(axis=1), rcond=None)[0][:2]


def _unrolled(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Angles from the cut on, radii, and the cut, in the emptiest direction."""
    from scipy.ndimage import uniform_filter1d

    angles = np.arctan2(points[:, 1], points[:, 0])
    counts, edges = np.histogram(angles, _NUM_DIRECTIONS, (-np.pi, np.pi))
    counts = uniform_filter1d(counts.astype(float), _WINDOW, mode="wrap")
    cut = (edges[:-1] + edges[1:])[np.argmin(counts)] / 2
    return (angles - cut) % (2 * np.pi), np.hypot(*points.T), cut


def _mutual_information(x: np.ndarray, y: np.ndarray) -> float:
    """Of two coordinates `(num_samples,)`, in nats, from a table of bins of equal counts."""
    from sklearn.metrics import mutual_info_score

    num_bins = int(np.clip(np.sqrt(len(x) / _SAMPLES_IN_A_CELL), 2, _MAX_BINS))
    levels = np.arange(1, num_bins) / num_bins
    # Else the waves of a thin ring, by which its radius tells the angle, would have bins to fill.
    x, y = np.round(np.divide([x, y], _RESOLUTION))
    bins = [np.searchsorted(np.quantile(values, levels), values) for values in (x, y)]
    table = np.bincount(num_bins * bins[0] + bins[1], minlength=num_bins**2)
    return mutual_info_score(None, None, contingency=table.reshape(num_bins, num_bins))
