"""The Stiefel manifold St(n, p): real n x p matrices with orthonormal columns, X'X = I.

Pure functions on tensors of shape `(..., n, p)`, batched over all leading axes, in float32 or
float64. No function forms a matrix with two axes of size n: with p << n the skew generator of a
Cayley step has rank at most 2p, and everything it does fits into p x p algebra
(docs/objective.md derives it).

References:
    [1] J. Li, L. Fuxin, S. Todorovic, "Efficient Riemannian Optimization on the Stiefel Manifold
        via the Cayley Transform", ICLR 2020, arXiv:2002.01113.
    [2] P.-A. Absil, R. Mahony, R. Sepulchre, "Optimization Algorithms on Matrix Manifolds",
        Princeton University Press, 2008, sections 3.5, 4.1 and 8.1.
"""

from typing import NamedTuple

import numpy as np
import tensorflow as tf


def projection(matrix):
    """Returns the point of the manifold that is nearest in the Frobenius norm.

    It is the orthogonal factor of the polar decomposition, `V W'` for the singular value
    decomposition `matrix = V diag(s) W'`; unique where `matrix` has full rank.

    Args:
        matrix: Tensor of shape `(..., n, p)` with `p <= n`.

    Returns:
        A tensor of the shape of `matrix` with orthonormal columns.

    Raises:
        ValueError: If `matrix` has more columns than rows, or fewer than two axes.

    >>> projection(tf.constant([[2.0, 0.0], [0.0, 3.0], [0.0, 0.0]])).numpy()
    array([[1., 0.],
           [0., 1.],
           [0., 0.]], dtype=float32)
    """
    matrix = _as_tall(matrix, "matrix")
    _, left, right = tf.linalg.svd(matrix)
    return tf.matmul(left, right, transpose_b=True)


def tangent_projection(point, vector):
    """Projects `vector` orthogonally onto the tangent space at `point`.

    Computes `vector - point sym(point' vector)` with `sym(A) = (A + A') / 2` [2, eq. 3.35]. A
    tangent vector T is one for which `point' T` is skew.

    Args:
        point: Tensor of shape `(..., n, p)`, on the manifold.
        vector: Tensor of the same shape.

    Returns:
        A tensor of the same shape, tangent at `point`.
    """
    point, vector = _as_pair(point, vector)
    return vector - tf.matmul(point, _symmetric_part(tf.matmul(point, vector, transpose_a=True)))


def transport(new_point, tangent):
    """Carries `tangent` into the tangent space at `new_point`, by projection [2, eq. 8.4].

    Args:
        new_point: Tensor of shape `(..., n, p)`, on the manifold.
        tangent: Tensor of the same shape, tangent at another point.

    Returns:
        A tensor of the same shape, tangent at `new_point`.
    """
    return tangent_projection(new_point, tangent)


def cayley_retraction(point, tangent):
    """Moves from `point` along `tangent` by the exact Cayley transform.

    Computes `Y = (I - W/2)^-1 (I + W/2) point` for the skew n x n matrix W with `W point = tangent`
    [1, eq. 3], from p x p matrices only. It agrees with the geodesic of the canonical metric to
    second order, and has no restriction on the length of `tangent`.

    Args:
        point: Tensor of shape `(..., n, p)`, on the manifold.
        tangent: Tensor of the same shape. A vector that is not tangent is treated as its tangent
            projection.

    Returns:
        A tensor of the same shape, on the manifold.

    >>> point = random_point((3, 1), seed=0)
    >>> tangent = tangent_projection(point, tf.ones((3, 1)))
    >>> float(orthonormality_error(cayley_retraction(point, tangent))) < 1e-6
    True
    """
    point, tangent = _as_pair(point, tangent)
    split = split_tangent(point, tangent)
    half_step = tf.fill(tf.shape(split.squared_norm), tf.constant(-0.5, point.dtype))
    step = cayley_step(split, half_step)
    return point - tf.matmul(point, step.point) - tf.matmul(split.normal, step.normal)


def iterative_cayley_retraction(point, tangent, *, num_iterations=5):
    """Moves from `point` along `tangent` by the fixed-point form of the Cayley transform.

    Iterates `Y <- point + W/2 (point + Y)` from `Y = point + tangent` [1, Algorithm 1]. It
    converges to `cayley_retraction` when the spectral norm of W is below 2, by that norm over 2 in
    each iteration; the result is on the manifold only as far as it has converged.

    Args:
        point: Tensor of shape `(..., n, p)`, on the manifold.
        tangent: Tensor of the same shape, tangent at `point`.
        num_iterations: Positive int.

    Returns:
        A tensor of the same shape.

    Raises:
        ValueError: If `num_iterations` is not positive.
    """
    if num_iterations < 1:
        raise ValueError(
            "`num_iterations` must be a positive int, since the start of the iteration is not on "
            f"the manifold. Received: num_iterations={num_iterations}"
        )
    point, tangent = _as_pair(point, tangent)
    # W = A point' - point A' with A = (I - point point'/2) tangent, for a tangent vector.
    half = tf.matmul(point, tf.matmul(point, tangent, transpose_a=True)) / 2
    factor = tangent - half

    def generator(matrix):
        return tf.matmul(factor, tf.matmul(point, matrix, transpose_a=True)) - tf.matmul(
            point, tf.matmul(factor, matrix, transpose_a=True)
        )

    result = point + tangent
    for _ in range(num_iterations):
        result = point + generator(point + result) / 2
    return result


def qr_retraction(point, tangent):
    """Moves from `point` along `tangent` by the QR decomposition of their sum [2, eq. 4.8].

    The factor R has a positive diagonal, which makes the result unique. Agrees with
    `point + tangent` to first order, and with the geodesic no further.

    Args:
        point: Tensor of shape `(..., n, p)`, on the manifold.
        tangent: Tensor of the same shape, tangent at `point`.

    Returns:
        A tensor of the same shape, on the manifold.
    """
    point, tangent = _as_pair(point, tangent)
    return _positive_q(point + tangent)


def polar_retraction(point, tangent):
    """Moves from `point` along `tangent` to the nearest point of the manifold [2, eq. 4.7].

    Args:
        point: Tensor of shape `(..., n, p)`, on the manifold.
        tangent: Tensor of the same shape, tangent at `point`.

    Returns:
        A tensor of the same shape, on the manifold.
    """
    point, tangent = _as_pair(point, tangent)
    return projection(point + tangent)


def random_point(shape, *, seed=None, dtype="float32"):
    """Draws points uniformly from the manifold (its Haar measure).

    Args:
        shape: Tuple `(..., n, p)` with `p <= n`.
        seed: Int for a reproducible draw; None for a fresh one.
        dtype: `"float32"` or `"float64"`.

    Returns:
        A tensor of shape `shape` with orthonormal columns.

    Raises:
        ValueError: If `p > n`.

    >>> random_point((2, 5, 3), seed=1).shape
    TensorShape([2, 5, 3])
    """
    generator = (
        tf.random.Generator.from_non_deterministic_state()
        if seed is None
        else tf.random.Generator.from_seed(seed)
    )
    # The Q of a Gaussian matrix is Haar distributed only once R's diagonal is made positive.
    return _positive_q(_as_tall(generator.normal(shape, dtype=tf.as_dtype(dtype)), "shape"))


def orthonormality_error(matrix):
    """Returns `||X'X - I||_F`, the distance of the columns from orthonormality.

    Args:
        matrix: Tensor of shape `(..., n, p)`.

    Returns:
        A tensor of shape `(...)`, zero on the manifold, in the dtype of `matrix`.
    """
    return tf.norm(orthonormality_defect(tf.convert_to_tensor(matrix)), axis=(-2, -1))


def orthonormality_defect(matrix):
    """Returns `I - X'X`, of shape `(..., p, p)`, for a matrix X of shape `(..., n, p)`."""
    gram = tf.matmul(matrix, matrix, transpose_a=True)
    return _identity_like(gram) - gram


class TangentSplit(NamedTuple):
    """A tangent vector `T = X skew + normal` at X, and the norm of its skew generator W."""

    skew: tf.Tensor  # K = (C - C') / 2 for C = X'V, of shape (..., p, p)
    normal: tf.Tensor  # N = V - X C, the part outside span(X), of shape (..., n, p)
    normal_gram: tf.Tensor  # D = N'N, of shape (..., p, p)
    squared_norm: tf.Tensor  # ||W||_F^2, of shape (..., 1, 1)


class CayleyStep(NamedTuple):
    """The p x p factors of the decrement `X - Y = X point + N normal` of a Cayley step."""

    point: tf.Tensor
    normal: tf.Tensor


def split_tangent(point, vector) -> TangentSplit:
    """Splits the tangent part of V at X into what turns X and what leaves its span.

    The skew n x n matrix with `W X = T` is `W = A X' - X A'` for `A = N + X K / 2`; its norm is
    `||W||_F^2 = ||K||_F^2 + 2 tr N'N`, without forming W.

    Args:
        point: X, a tensor of shape `(..., n, p)` on the manifold.
        vector: V, a tensor of the same shape.
    """
    product = tf.matmul(point, vector, transpose_a=True)
    skew = 0.5 * (product - tf.linalg.matrix_transpose(product))
    normal = vector - tf.matmul(point, product)
    normal_gram = tf.matmul(normal, normal, transpose_a=True)
    twice_identity = 2 * _identity_like(normal_gram)
    squared_norm = tf.reduce_sum(
        tf.square(skew) + twice_identity * normal_gram, axis=(-2, -1), keepdims=True
    )
    return TangentSplit(skew, normal, normal_gram, squared_norm)


def cayley_step(tangent: TangentSplit, half_step) -> CayleyStep:
    """Solves the Cayley transform `Y = (I + hW)^-1 (I - hW) X` exactly, in p x p matrices.

    With `H = hK + h^2 D` and `P = 2 (I + H)^-1 H`,

        X - Y = X P + N h (2I - P).

    The symmetric part of the matrix that is inverted is at least I, so it is never singular.

    Args:
        tangent: What `split_tangent(X, V)` returned.
        half_step: Half the step size, h, of shape `(..., 1, 1)`. A negative one moves along V
            instead of against it.
    """
    identity = _identity_like(tangent.skew)
    matrix = half_step * (tangent.skew + half_step * tangent.normal_gram)
    # Not by way of the inverse: the digits of a small P would drown in its ones.
    point = tf.linalg.solve(identity + matrix, 2 * matrix)
    return CayleyStep(point, half_step * (2 * identity - point))


def _symmetric_part(matrix):
    return 0.5 * (matrix + tf.linalg.matrix_transpose(matrix))


def _identity_like(matrix):
    # A constant of the graph: tf.eye would be built again in every step.
    return np.eye(matrix.shape[-1], dtype=matrix.dtype.as_numpy_dtype)


def _positive_q(matrix):
    q, r = tf.linalg.qr(matrix)
    signs = tf.where(tf.linalg.diag_part(r) < 0, -1, 1)
    return q * tf.cast(signs, q.dtype)[..., tf.newaxis, :]


def _as_tall(matrix, argument):
    matrix = tf.convert_to_tensor(matrix)
    if matrix.shape.rank < 2 or matrix.shape[-1] > matrix.shape[-2]:
        raise ValueError(
            f"`{argument}` must have at least as many rows as columns in its last two axes, since "
            "at most n columns of length n can be orthonormal. "
            f"Received: shape={tuple(matrix.shape)}"
        )
    return matrix


def _as_pair(point, vector):
    point = _as_tall(point, "point")
    vector = tf.convert_to_tensor(vector, dtype=point.dtype)
    if point.shape != vector.shape:
        raise ValueError(
            "A point and a vector at it must have the same shape. "
            f"Received: {tuple(point.shape)} and {tuple(vector.shape)}"
        )
    return point, vector
