"""keras_rkm.manifolds.stiefel against independent formulas in NumPy float64."""

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.manifolds import stiefel
from tests.oracles import stiefel as oracle

SHAPES = [(6, 1), (7, 3), (4, 4), (2, 3, 6, 2)]
RETRACTIONS = {
    "cayley": stiefel.cayley_retraction,
    "iterative": lambda x, t: stiefel.iterative_cayley_retraction(x, t, num_iterations=30),
    "qr": stiefel.qr_retraction,
    "polar": stiefel.polar_retraction,
}
TOLERANCE = {"float32": 2e-6, "float64": 1e-14}


def _point_and_vector(shape, dtype="float64", seed=0):
    generator = np.random.default_rng(seed)
    point = np.linalg.qr(generator.standard_normal(shape))[0].astype(dtype)
    return point, generator.standard_normal(shape).astype(dtype)


def _tangent(point, vector):
    """V - X sym(X'V), written with einsum."""
    product = np.einsum("...ki,...kj->...ij", point, vector)
    symmetric = (product + np.swapaxes(product, -1, -2)) / 2
    return vector - np.einsum("...ki,...ij->...kj", point, symmetric)


def _gram(matrix):
    return np.swapaxes(matrix, -1, -2) @ matrix


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", RETRACTIONS)
def test_retraction_stays_on_the_manifold(name, dtype, shape):
    point, vector = _point_and_vector(shape, dtype)
    tangent = 0.2 * _tangent(point, vector)
    result = RETRACTIONS[name](point, tangent)
    assert result.dtype == dtype
    np.testing.assert_allclose(
        _gram(result.numpy()), np.broadcast_to(np.eye(shape[-1]), (*shape[:-2], *[shape[-1]] * 2)),
        atol=10 * TOLERANCE[dtype],
    )  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize("name", RETRACTIONS)
def test_retraction_agrees_with_the_straight_line_to_first_order(name, shape):
    point, vector = _point_and_vector(shape)
    tangent = _tangent(point, vector)
    lengths = np.array([1e-1, 1e-2, 1e-3])
    errors = [
        np.linalg.norm(RETRACTIONS[name](point, t * tangent).numpy() - (point + t * tangent))
        for t in lengths
    ]
    slope = np.polyfit(np.log(lengths), np.log(errors), 1)[0]
    assert slope == pytest.approx(2, abs=0.1)


def test_cayley_retraction_agrees_with_the_geodesic_of_the_canonical_metric_to_second_order():
    from scipy.linalg import expm

    point, vector = _point_and_vector((7, 3))
    tangent = _tangent(point, vector)
    lengths = np.array([1e-1, 3e-2, 1e-2])
    skew = oracle.generator(point, tangent)
    errors = [
        np.linalg.norm(
            stiefel.cayley_retraction(point, t * tangent).numpy() - expm(t * skew) @ point
        )
        for t in lengths
    ]
    slope = np.polyfit(np.log(lengths), np.log(errors), 1)[0]
    assert slope == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("shape", SHAPES[:3])
@pytest.mark.parametrize("length", [0.1, 1.0, 100.0])
def test_cayley_retraction_equals_the_dense_transform(shape, length):
    point, vector = _point_and_vector(shape)
    vector = length * vector  # not tangent: the transform takes its tangent part
    expected = oracle.cayley(point, oracle.generator(point, -vector), 1.0)
    result = stiefel.cayley_retraction(point, vector).numpy()
    np.testing.assert_allclose(result, expected, atol=1e-12)


def test_cayley_retraction_is_batched():
    points, vectors = _point_and_vector((2, 3, 6, 2))
    batched = stiefel.cayley_retraction(points, vectors).numpy()
    for index in np.ndindex(2, 3):
        expected = oracle.cayley(
            points[index], oracle.generator(points[index], -vectors[index]), 1.0
        )
        np.testing.assert_allclose(batched[index], expected, atol=1e-13)


def test_iterative_cayley_retraction_converges_to_the_exact_one():
    point, vector = _point_and_vector((7, 3))
    tangent = 0.1 * _tangent(point, vector)
    exact = stiefel.cayley_retraction(point, tangent).numpy()
    rate = np.linalg.norm(oracle.generator(point, tangent), 2) / 2
    errors = [
        np.linalg.norm(
            stiefel.iterative_cayley_retraction(point, tangent, num_iterations=n).numpy() - exact
        )
        for n in (2, 4, 6)
    ]
    assert errors[1] < errors[0] * rate**2 * 1.5
    assert errors[2] < errors[1] * rate**2 * 1.5


def test_qr_retraction_does_not_flip_columns():
    point, _ = _point_and_vector((5, 3))
    np.testing.assert_allclose(
        stiefel.qr_retraction(point, np.zeros_like(point)).numpy(), point, atol=1e-14
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_tangent_projection_is_the_identity_on_tangent_vectors(shape):
    point, vector = _point_and_vector(shape)
    tangent = _tangent(point, vector)
    np.testing.assert_allclose(
        stiefel.tangent_projection(point, vector).numpy(), tangent, atol=1e-14
    )
    np.testing.assert_allclose(
        stiefel.tangent_projection(point, tangent).numpy(), tangent, atol=1e-14
    )


def test_transport_lands_in_the_tangent_space_of_the_new_point():
    point, vector = _point_and_vector((6, 3))
    new_point, _ = _point_and_vector((6, 3), seed=1)
    moved = stiefel.transport(new_point, _tangent(point, vector)).numpy()
    product = new_point.T @ moved
    np.testing.assert_allclose(product, -product.T, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_projection_is_nearer_than_any_other_point(shape):
    point, vector = _point_and_vector(shape)
    matrix = point + 0.5 * vector
    nearest = stiefel.projection(matrix).numpy()
    # The polar factor P is characterised by P'P = I and a symmetric positive P'A.
    product = np.swapaxes(nearest, -1, -2) @ matrix
    identity = np.broadcast_to(np.eye(shape[-1]), product.shape)
    np.testing.assert_allclose(_gram(nearest), identity, atol=1e-13)
    np.testing.assert_allclose(product, np.swapaxes(product, -1, -2), atol=1e-13)
    assert np.all(np.linalg.eigvalsh(product) > 0)


def test_the_split_gives_the_norm_of_the_dense_generator_and_the_tangent_part():
    point, vector = _point_and_vector((7, 3))
    split = stiefel.split_tangent(tf.constant(point), tf.constant(vector))
    expected = np.linalg.norm(oracle.generator(point, vector)) ** 2
    assert float(tf.squeeze(split.squared_norm)) == pytest.approx(expected, rel=1e-13)
    np.testing.assert_allclose(
        split.normal + tf.matmul(point, split.skew), _tangent(point, vector), atol=1e-14
    )


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_random_points_are_orthonormal_reproducible_and_centred(dtype):
    points = stiefel.random_point((4000, 3, 2), seed=3, dtype=dtype).numpy()
    assert points.dtype == dtype
    identities = np.tile(np.eye(2), (4000, 1, 1))
    np.testing.assert_allclose(_gram(points), identities, atol=10 * TOLERANCE[dtype])
    np.testing.assert_array_equal(points, stiefel.random_point((4000, 3, 2), seed=3, dtype=dtype))
    assert np.any(points != stiefel.random_point((4000, 3, 2), seed=4, dtype=dtype).numpy())
    # Under the Haar measure every entry has mean 0 and variance 1/n: five standard errors.
    assert np.abs(points.mean(axis=0)).max() < 5 * np.sqrt(1 / 3 / 4000)
    assert np.abs((points**2).mean(axis=0) - 1 / 3).max() < 5 * 0.3 / np.sqrt(4000)


def test_orthonormality_error_is_the_frobenius_norm_per_matrix():
    matrices = np.stack([np.eye(3)[:, :2], 2 * np.eye(3)[:, :2]])
    np.testing.assert_allclose(
        stiefel.orthonormality_error(matrices).numpy(), [0, 3 * np.sqrt(2)], rtol=1e-15
    )


@pytest.mark.parametrize("name", RETRACTIONS)
def test_eager_graph_and_xla_agree(name):
    point, vector = _point_and_vector((6, 3))
    tangent = 0.1 * _tangent(point, vector)
    eager = RETRACTIONS[name](point, tangent).numpy()
    for jit_compile in (False, True):
        function = tf.function(RETRACTIONS[name], jit_compile=jit_compile)
        # XLA's singular value decomposition stops at single precision, in float64 too.
        tolerance = 1e-6 if jit_compile and name == "polar" else 1e-13
        np.testing.assert_allclose(function(point, tangent).numpy(), eager, atol=tolerance)


@pytest.mark.parametrize(
    "call",
    [
        lambda wide: stiefel.projection(wide),
        lambda wide: stiefel.cayley_retraction(wide, wide),
        lambda wide: stiefel.random_point(wide.shape),
    ],
)
def test_more_columns_than_rows_is_an_error_that_names_the_shape(call):
    with pytest.raises(ValueError, match=r"shape=\(2, 3\)"):
        call(np.zeros((2, 3)))


def test_point_and_vector_of_different_shapes_is_an_error_that_names_both():
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(3, 1\)"):
        stiefel.tangent_projection(np.eye(3)[:, :2], np.ones((3, 1)))


def test_iterations_must_be_positive():
    with pytest.raises(ValueError, match="num_iterations=0"):
        stiefel.iterative_cayley_retraction(np.eye(3), np.zeros((3, 3)), num_iterations=0)
