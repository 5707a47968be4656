"""The sliced Wasserstein distance of features: optimal transport along random directions."""

import dataclasses
from typing import ClassVar

import numpy as np

from .feature_checks import as_feature_pair, check_int
from .reports import Report

_CHUNK = 16  # directions at a time, so that the projections of many samples fit into memory


@dataclasses.dataclass(frozen=True, kw_only=True)
class SlicedWassersteinReport(Report):
    """What `sliced_wasserstein_distance` returns.

    Attributes:
        value: Float >= 0, in units of the features.
        order: Int, the exponent of the cost.
        num_projections: Int.
        num_samples_a: Int.
        num_samples_b: Int.
        num_features: Int.
        seed: Int that selects the directions.
        protocol: Str, how the features were made, or None.
    """

    value: float
    order: int
    num_projections: int
    num_samples_a: int
    num_samples_b: int
    num_features: int
    seed: int
    protocol: str | None = None

    metric: ClassVar[str] = "sliced_wasserstein_distance"
    directions: ClassVar[dict[str, str]] = {"value": "lower is better"}


def sliced_wasserstein_distance(
    features_a,
    features_b,
    *,
    order: int = 2,
    num_projections: int = 512,
    seed: int = 0,
    protocol: str | None = None,
) -> SlicedWassersteinReport:
    """Computes the sliced Wasserstein distance of two sets of features [1].

    With the exact one-dimensional Wasserstein distance W_p of the projections onto a direction u,

        SW_p = (mean of W_p(a.u, b.u)^p over u uniform on the unit sphere)^(1/p)

    Unlike the Fréchet distance it sees more than two moments. That of images patch by patch, which
    papers on GANs call by the same name, is `laplacian_sliced_wasserstein_distance`.

    Args:
        features_a: `(num_samples, num_features)`.
        features_b: As `features_a`, possibly with another number of rows.
        order: 1 or 2, the exponent p. Defaults to 2.
        num_projections: Positive int, directions that are drawn. Defaults to 512.
        seed: Int, selects the directions. Defaults to 0.
        protocol: Str for the report, how the features were made.

    Returns:
        A `SlicedWassersteinReport`.

    Raises:
        ValueError: If features are not finite or differ in width, or `order` is unknown.

    Example:

    >>> features = np.random.default_rng(0).normal(size=(50, 1))
    >>> report = keras_rkm.metrics.sliced_wasserstein_distance(features, features + 3.0)
    >>> round(report.value, 6)
    3.0

    References:
        [1] N. Bonneel, J. Rabin, G. Peyré, H. Pfister, "Sliced and Radon Wasserstein Barycenters of
            Measures", Journal of Mathematical Imaging and Vision 51, 2015.
    """
    a, b = as_feature_pair(
        features_a, features_b, names=("features_a", "features_b"), min_samples=1
    )
    check_int("num_projections", num_projections)
    if order not in (1, 2):
        raise ValueError(f"`order` must be 1 or 2. Received: order={order!r}.")
    directions = random_directions(a.shape[1], num_projections, np.random.default_rng(seed))
    costs = projected_costs(a, b, directions, order)
    return SlicedWassersteinReport(
        value=float(costs.mean() ** (1 / order)),
        order=order,
        num_projections=num_projections,
        num_samples_a=len(a),
        num_samples_b=len(b),
        num_features=a.shape[1],
        seed=seed,
        protocol=protocol,
    )


def random_directions(
    dim: int, num_directions: int, generator: np.random.Generator, dtype="float64"
) -> np.ndarray:
    """Unit vectors as columns `(dim, num_directions)`, uniform on the sphere."""
    directions = generator.normal(size=(dim, num_directions))
    return (directions / np.linalg.norm(directions, axis=0)).astype(dtype)


def projected_costs(a: np.ndarray, b: np.ndarray, directions: np.ndarray, order: int) -> np.ndarray:
    """`W_p^p` of the projections of `a` and `b` onto each direction, `(num_directions,)`."""
    weights, rows_a, rows_b = _transport_plan(len(a), len(b))
    costs = []
    for start in range(0, directions.shape[1], _CHUNK):
        some = directions[:, start : start + _CHUNK]
        sorted_a, sorted_b = (np.sort((rows @ some).T, axis=1) for rows in (a, b))
        if weights is None:
            differences = np.abs(sorted_a - sorted_b)
            costs.append(np.mean(differences**order, axis=1, dtype=np.float64))
        else:
            differences = np.abs(sorted_a[:, rows_a] - sorted_b[:, rows_b])
            costs.append(differences**order @ weights)
    return np.concatenate(costs)


def _transport_plan(num_a: int, num_b: int):
    """How much of which sorted sample goes to which: weights and rows of either, all `(pieces,)`.

    Both quantile functions are steps; between two neighbouring steps of either they are constant.
    For equal numbers the plan is one to one, and the weights are None.
    """
    if num_a == num_b:
        return None, None, None
    # In integers: i / num_a and j / num_b have to be equal where they are.
    steps = np.union1d(np.arange(1, num_a + 1) * num_b, np.arange(1, num_b + 1) * num_a)
    starts = np.concatenate([[0], steps[:-1]])
    return (steps - starts) / (num_a * num_b), starts // num_b, starts // num_a
