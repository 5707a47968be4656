"""Mean and covariance of features: all that the Fréchet distance needs of a set of images."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from keras_rkm._moments import moments

from .feature_checks import as_features, check_finite, check_int, check_same_width


@dataclasses.dataclass(frozen=True, eq=False)
class FeatureStatistics:
    """Mean and unbiased covariance of features, in float64, with what they are features of.

    Args:
        num_samples: Int, at least 2.
        mean: `(num_features,)`.
        covariance: `(num_features, num_features)`, divided by `num_samples - 1` as `np.cov` does.
        protocol: Str, how the features were made, or None. Statistics of two protocols are neither
            merged nor compared.

    Raises:
        ValueError: If the shapes do not fit, a number is not finite, or the covariance is not
            symmetric.

    Example:

    >>> features = np.random.default_rng(0).normal(size=(100, 3))
    >>> whole = keras_rkm.metrics.FeatureStatistics.from_batches([features])
    >>> parts = [
    ...     keras_rkm.metrics.FeatureStatistics.from_batches([part])
    ...     for part in (features[:30], features[30:])
    ... ]
    >>> bool(np.allclose(parts[0].merge(parts[1]).covariance, whole.covariance))
    True
    """

    num_samples: int
    mean: np.ndarray
    covariance: np.ndarray
    protocol: str | None = None

    def __post_init__(self):
        check_int("num_samples", self.num_samples, minimum=2)
        check_mean_and_covariance(self.mean, self.covariance)

    @classmethod
    def from_batches(
        cls, batches: Iterable[np.ndarray], *, protocol: str | None = None
    ) -> "FeatureStatistics":
        """Reads batches of features once, in memory of the order of the covariance.

        Args:
            batches: Arrays `(batch, num_features)`; they may differ in length.
            protocol: Str, how the features were made.

        Raises:
            ValueError: If a batch is not a finite matrix, widths differ, or there are fewer than
                two rows in all.
        """
        found = moments(_checked(batches))
        covariance = found.covariance * (found.num_samples / (found.num_samples - 1))
        return cls(found.num_samples, found.mean, covariance, protocol)

    @property
    def num_features(self) -> int:
        """Number of features of a sample."""
        return len(self.mean)

    def merge(self, other: "FeatureStatistics") -> "FeatureStatistics":
        """Statistics of both sets of samples together, by Chan's update as in `from_batches`.

        Raises:
            ValueError: If the features are of different protocols or widths.
        """
        protocol = common_protocol(self.protocol, other.protocol)
        check_same_width(self.num_features, other.num_features, ("self", "other"))
        total = self.num_samples + other.num_samples
        delta = other.mean - self.mean
        scatter = (self.num_samples - 1) * self.covariance
        scatter = scatter + (other.num_samples - 1) * other.covariance
        scatter = scatter + np.outer(delta, delta) * (self.num_samples * other.num_samples / total)
        mean = self.mean + delta * (other.num_samples / total)
        return FeatureStatistics(total, mean, scatter / (total - 1), protocol)


def check_mean_and_covariance(mean: np.ndarray, covariance: np.ndarray) -> None:
    """Raises a ValueError unless they can be those of one set of features."""
    shapes = np.shape(mean), np.shape(covariance)
    if len(shapes[0]) != 1 or not shapes[0][0] or shapes[1] != 2 * shapes[0]:
        raise ValueError(
            "`mean` and `covariance` must have the shapes (num_features,) and (num_features, "
            f"num_features). Received: {shapes[0]} and {shapes[1]}."
        )
    check_finite(mean, "mean")
    check_finite(covariance, "covariance")
    asymmetry = np.abs(covariance - covariance.T).max()
    if asymmetry > 1e-6 * np.abs(covariance).max():
        raise ValueError(
            f"`covariance` must be symmetric. Received: entries that differ by {asymmetry:g} from "
            "those across the diagonal."
        )


def common_protocol(*protocols: str | None) -> str | None:
    """The one protocol among those that are known; raises a ValueError if there are two."""
    known = sorted({protocol for protocol in protocols if protocol is not None})
    if len(known) > 1:
        raise ValueError(
            "Features that were made in different ways cannot be compared. "
            f"Received: protocol={known[0]!r} and protocol={known[1]!r}."
        )
    return known[0] if known else None


def _checked(batches: Iterable[np.ndarray]) -> Iterable[np.ndarray]:
    width = None
    for batch in batches:
        batch = as_features(batch, "batches", min_samples=1)
        width = batch.shape[1] if width is None else width
        check_same_width(width, batch.shape[1], ("the first batch", "a later batch"))
        yield batch
