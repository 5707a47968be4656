"""Angles take the place of pairs of coordinates that go round, and of no others."""

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.rotations import Plane, PolarPlanes, find_polar_planes, ica_rotation
from tests.oracles import rotations as oracle

_NUM_SAMPLES = 5000


def _ring(rng, angles=None, thickness=0.1):
    """Points around (3, -2), wider than high, and their angles."""
    if angles is None:
        angles = rng.uniform(-np.pi, np.pi, _NUM_SAMPLES)
    radius = rng.normal(1, thickness, len(angles))
    points = np.stack([3 + 2 * radius * np.cos(angles), radius * np.sin(angles) - 2], axis=1)
    return points, angles


def _circular_correlation(a, b):
    """1 if two angles differ by a constant, or their sum is one; about 0 if they are unrelated."""
    return max(abs(np.mean(np.exp(1j * (a - b)))), abs(np.mean(np.exp(1j * (a + b)))))


def test_the_angle_of_a_ring_is_its_factor_in_any_rotation_of_independent_axes():
    rng = np.random.default_rng(0)
    first, hue = _ring(rng)
    second, other_hue = _ring(rng)
    size = rng.uniform(-3, 3, (_NUM_SAMPLES, 1))
    latents = np.concatenate([first, size, 1.5 * second], axis=1) @ oracle.random_orthogonal(5, 0)
    coordinates = latents @ ica_rotation(latents).matrix
    polar = find_polar_planes(coordinates)
    assert len(polar.planes) == 2
    angles = polar.to_polar(coordinates).numpy()[:, polar.angles]
    found = [[_circular_correlation(a, b) for b in (hue, other_hue)] for a in angles.T]
    assert oracle.mismatch(np.round(found), np.eye(2)) == 0
    assert np.max(found, axis=1).min() > 0.97


def test_the_radius_of_rays_is_the_factor_that_they_grow_with():
    rng = np.random.default_rng(0)
    hue = rng.integers(0, 10, _NUM_SAMPLES) * np.pi / 5
    size = rng.uniform(0.3, 1.5, _NUM_SAMPLES)
    points = size[:, np.newaxis] * np.stack([np.cos(hue), np.sin(hue)], axis=1)
    polar = find_polar_planes(points)
    assert polar.angles == (0,)
    angle, radius = polar.to_polar(points).numpy().T
    assert np.corrcoef(radius, size)[0, 1] > 0.99
    # No hue is cut in two.
    assert max(np.ptp(angle[np.isclose(hue, value)]) for value in np.unique(hue)) < 0.5


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, shape: rng.normal(size=shape),
        lambda rng, shape: rng.uniform(size=shape),
        lambda rng, shape: rng.choice([-1.0, 1.0], shape) + rng.normal(0, 0.1, shape),
        lambda rng, shape: rng.laplace(size=shape),
    ],
    ids=["normal", "uniform", "four clusters", "heavy tails"],
)
def test_coordinates_that_go_round_nothing_stay(draw):
    coordinates = draw(np.random.default_rng(0), (_NUM_SAMPLES, 4))
    polar = find_polar_planes(coordinates)
    assert polar.planes == ()
    np.testing.assert_array_equal(polar.to_polar(coordinates), coordinates)


@pytest.mark.parametrize("num_angles", [10, 5000])
def test_a_ring_without_thickness_is_one(num_angles):
    angles = np.arange(_NUM_SAMPLES) % num_angles * 2 * np.pi / num_angles
    points, _ = _ring(np.random.default_rng(0), angles, thickness=0)
    (plane,) = find_polar_planes(points).planes
    np.testing.assert_allclose(plane.center, [3, -2], atol=0.1)


def test_the_gain_is_what_makes_the_choice():
    points, _ = _ring(np.random.default_rng(0))
    (plane,) = find_polar_planes(points).planes
    assert plane.gain > 0.5
    assert find_polar_planes(points, min_gain=plane.gain - 0.01).planes
    assert not find_polar_planes(points, min_gain=plane.gain + 0.01).planes


def test_weak_axes_stay():
    points, _ = _ring(np.random.default_rng(0))
    coordinates = np.concatenate([points, 30 * points], axis=1)
    assert [p.axes for p in find_polar_planes(coordinates).planes] == [(2, 3)]
    planes = find_polar_planes(coordinates, min_relative_variance=0).planes
    assert len(planes) == 2


def test_polar_coordinates_and_back_are_the_identity_and_can_be_differentiated():
    rng = np.random.default_rng(0)
    planes = (
        Plane((3, 0), (0.5, -1.0), (2.0, 0.5), 1.0, 1.0),
        Plane((1, 4), (0.0, 0.0), (1.0, 1.0), -3.0, 1.0),
    )
    polar = PolarPlanes(planes)
    assert polar.angles == (3, 1)
    coordinates = rng.normal(size=(200, 5))
    codes = polar.to_polar(coordinates)
    np.testing.assert_allclose(polar.from_polar(codes), coordinates, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(codes[:, 2], coordinates[:, 2])
    angles = codes.numpy()[:, [3, 1]]
    assert angles.min() >= -np.pi and angles.max() < np.pi
    x, y = (coordinates[:, 3] - 0.5) / 2, (coordinates[:, 0] + 1) / 0.5
    np.testing.assert_allclose(codes[:, 0], np.hypot(x, y))
    with tf.GradientTape() as tape:
        codes = tf.Variable(codes)
        total = tf.reduce_sum(polar.from_polar(codes)[:, 3])
    angle, radius = codes.numpy()[:, 3] + 1.0 + np.pi, codes.numpy()[:, 0]
    np.testing.assert_allclose(tape.gradient(total, codes)[:, 3], -2 * radius * np.sin(angle))


def test_float32_stays_float32():
    points, _ = _ring(np.random.default_rng(0))
    polar = find_polar_planes(points)
    codes = polar.to_polar(points.astype("float32"))
    assert codes.dtype == tf.float32 and polar.from_polar(codes).dtype == tf.float32


def test_the_same_seed_looks_at_the_same_samples():
    points, _ = _ring(np.random.default_rng(0))
    found = [find_polar_planes(points, max_samples=2000, seed=seed) for seed in (1, 1, 2)]
    assert found[0] == found[1] != found[2]


def test_coordinates_that_are_not_finite_are_told():
    with pytest.raises(ValueError, match="NaN or Inf in 1 of 3 rows"):
        find_polar_planes([[1.0, 2.0], [np.nan, 1.0], [3.0, 4.0]])
