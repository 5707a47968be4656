"""The report of a disentanglement score: numbers that say which definition made them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_rkm.metrics.reports import Report

HIGHER = "higher is better"
LOWER = "lower is better"


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class DisentanglementReport(Report):
    """What every disentanglement score returns; `report["completeness"]` is one number of it.

    Attributes:
        metric: Str, the name of the function.
        variant: Str, which of its definitions; numbers of two variants do not compare.
        scores: Dict of floats, the measured values by name; all of them are finite.
        directions: Dict of `"higher is better"` or `"lower is better"`, with the same keys.
        predictor: Str, the regressor, classifier or estimator and its settings; None if none.
        standardisation: Str, what was scaled and by what.
        num_samples: Dict of ints, the rows in each part, such as `"train"` and `"test"`.
        seed: Int, or None if nothing was drawn.
        factor_kinds: Tuple of str, as each factor in `column_names` was treated.
        matrix: Float array `(len(row_names), len(column_names))`, or None.
        matrix_meaning: Str, what its entries are.
        row_names: Tuple of str, in general the latents, dead ones among them.
        column_names: Tuple of str, in general the factors that vary.
        dead_latents: Tuple of str, latents with no more variation than the noise of float32, of
            themselves or of the largest latent; they enter as zeros. Of `udr`, all left out.
        constant_factors: Tuple of str, factors with a single value; they are left out.
        details: Dict of dicts of floats, the values that the scores are means of, by name.
        notes: Tuple of str, what to bear in mind with these numbers.

    Raises:
        ValueError: If a score or an entry of the matrix is not finite.

    Example:

    >>> factors = np.random.default_rng(0).integers(0, 4, size=(1_000, 2))
    >>> report = keras_rkm.metrics.mutual_information_gap(
    ...     2.0 * factors, factors, factor_names=("size", "hue"))
    >>> print(report)
    mutual_information_gap, variant equal_width_bins
      mutual_information_gap 0.9960  higher is better
      predictor: plug-in estimate, 20 bins per latent
      standardisation: not needed, the bins span the range of each latent
      samples: all 1000
      factors: size, hue
    >>> report.details["gap"].keys()
    dict_keys(['size', 'hue'])
    """

    metric: str
    variant: str
    scores: Mapping[str, float]
    directions: Mapping[str, str]
    predictor: str | None = None
    standardisation: str = "none"
    num_samples: Mapping[str, int] = dataclasses.field(default_factory=dict)
    seed: int | None = None
    factor_kinds: tuple[str, ...] = ()
    matrix: np.ndarray | None = None
    matrix_meaning: str | None = None
    row_names: tuple[str, ...] = ()
    column_names: tuple[str, ...] = ()
    dead_latents: tuple[str, ...] = ()
    constant_factors: tuple[str, ...] = ()
    details: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        wrong = {name: value for name, value in self.scores.items() if not np.isfinite(value)}
        if self.matrix is not None and not np.isfinite(self.matrix).all():
            wrong["matrix"] = f"{np.sum(~np.isfinite(self.matrix))} entries"
        if wrong:
            raise ValueError(
                f"{self.metric} ({self.variant}) has no finite value on these data. "
                f"Received: {wrong}. Use more samples, or look for outliers in the latents."
            )

    def __getitem__(self, name: str) -> float:
        if name not in self.scores:
            raise KeyError(f"{self.metric} has no score {name!r}, only {sorted(self.scores)}")
        return self.scores[name]

    def as_dict(self) -> dict[str, Any]:
        """Everything, in types that `json.dumps` takes; the scores stand at the top level."""
        fields = super().as_dict()
        scores = fields.pop("scores")
        return {"metric": fields["metric"], "variant": fields["variant"], **scores, **fields}

    def __str__(self) -> str:
        width = max(map(len, self.scores))
        lines = [f"{self.metric}, variant {self.variant}"]
        lines += [
            f"{name:<{width}} {value:.4f}  {self.directions[name]}"
            for name, value in self.scores.items()
        ]
        lines += [f"{label}: {text}" for label, text in self._circumstances().items() if text]
        return "\n  ".join(lines)

    def _circumstances(self) -> dict[str, str]:
        samples = ", ".join(f"{part} {count}" for part, count in self.num_samples.items())
        return {
            "predictor": self.predictor or "",
            "standardisation": self.standardisation,
            "samples": samples + ("" if self.seed is None else f"; seed {self.seed}"),
            "factors": ", ".join(self._described_factors()),
            "dead latents": ", ".join(self.dead_latents),
            "constant factors, left out": ", ".join(self.constant_factors),
            "note": "; ".join(self.notes),
        }

    def _described_factors(self) -> list[str]:
        return [
            name if kind == "continuous" else f"{name} ({kind})"
            for name, kind in zip(self.column_names, self.factor_kinds, strict=False)
        ]


def scored(values: Mapping[str, float], **overrides: str) -> dict[str, Any]:
    """The fields `scores` and `directions`; higher is better unless `overrides` says otherwise."""
    return {
        "scores": {name: float(value) for name, value in values.items()},
        "directions": {name: overrides.get(name, HIGHER) for name in values},
    }


def by_name(names: tuple[str, ...], values: np.ndarray) -> dict[str, float]:
    """One entry of `details`."""
    return {name: float(value) for name, value in zip(names, values, strict=True)}
