"""What a measure returns: values that carry their direction and how they came about."""

import dataclasses
from typing import Any, ClassVar

import numpy as np


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """Base of the reports; a subclass adds its fields and says which of them are the measure.

    Attributes:
        notes: Sentences on what to bear in mind with these numbers, if anything.
        metric: Str, the name of the function that made it.
        directions: For each measured field what is good, such as `"lower is better"`.

    Example:

    >>> a, b = np.random.default_rng(0).normal(size=(2, 100, 3))
    >>> report = keras_rkm.metrics.frechet_distance(a, a, protocol="raw numbers")
    >>> print(report)
    frechet_distance: value 0 (lower is better); mean_term 0, covariance_term 0, num_samples_a 100,
    num_samples_b 100, num_features 3; protocol: raw numbers
    >>> report.as_dict()["directions"]
    {'value': 'lower is better'}
    """

    notes: tuple[str, ...] = ()

    metric: ClassVar[str]
    directions: ClassVar[dict[str, str]]

    def as_dict(self) -> dict[str, Any]:
        """Everything, in types that `json.dumps` takes."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {
            "metric": self.metric,
            "directions": dict(self.directions),
            **{name: _plain(value) for name, value in fields.items()},
        }

    def __str__(self) -> str:
        fields = self.as_dict()
        measured = [
            f"{name} {_short(fields[name])} ({direction})"
            for name, direction in self.directions.items()
        ]
        told = {"metric", "directions", "notes", "protocol", *self.directions}
        others = [
            f"{name} {_short(value)}"
            for name, value in fields.items()
            if name not in told and value is not None
        ]
        parts = [f"{self.metric}: {', '.join(measured)}", ", ".join(others)]
        if fields.get("protocol"):
            parts.append(f"protocol: {fields['protocol']}")
        return "; ".join([*filter(None, parts), *fields["notes"]])


def _plain(value: Any) -> Any:
    """Arrays, NumPy's scalars, tuples and dicts as what JSON knows."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
