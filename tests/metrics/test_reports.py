"""Reports say what they are, to people and to JSON."""

import dataclasses
import json

import numpy as np
import pytest

from keras_rkm import metrics
from keras_rkm.metrics.reports import Report

_A, _B = np.random.default_rng(0).normal(size=(2, 40, 4))
_IMAGES = np.random.default_rng(0).random((2, 8, 16, 16, 1), np.float32)
_MAKERS = {
    "frechet_distance": lambda: metrics.frechet_distance(_A, _B),
    "kernel_distance": lambda: metrics.kernel_distance(_A, _B, num_subsets=2, subset_size=20),
    "sliced_wasserstein_distance": lambda: metrics.sliced_wasserstein_distance(_A, _B),
    "laplacian_sliced_wasserstein_distance": lambda: metrics.laplacian_sliced_wasserstein_distance(
        *_IMAGES
    ),
    "precision_recall": lambda: metrics.precision_recall(_A, _B),
    "density_coverage": lambda: metrics.density_coverage(_A, _B),
    "orthogonality_of_variation": lambda: metrics.orthogonality_of_variation(
        lambda latents: 2 * latents, _A
    ),
}


@pytest.mark.parametrize("name", _MAKERS)
def test_report_says_what_it_is(name):
    report = _MAKERS[name]()
    found = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert found["metric"] == name
    fields = {field.name for field in dataclasses.fields(report)}
    assert set(found) == fields | {"metric", "directions"}
    assert found["directions"] and set(found["directions"]) <= fields
    text = str(report)
    assert text.startswith(f"{name}: ")
    for measured, direction in found["directions"].items():
        assert direction.startswith(("lower is better", "higher is better"))
        assert f"{measured} {found[measured]:.4g} ({direction})" in text
    assert "40" in text or "num_real 8" in text
    with pytest.raises(dataclasses.FrozenInstanceError):
        report.notes = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Example(Report):
    value: float
    counts: tuple
    table: dict
    protocol: str | None = None
    unknown: float | None = None

    metric = "example"
    directions = {"value": "lower is better"}


def test_arrays_and_nested_values_become_json():
    report = _Example(
        value=np.float32(0.5),
        counts=(np.int64(3), 4),
        table={"a": np.array([[1.0, 2.0]])},
        protocol="one",
        notes=("Mind this.",),
    )
    assert json.loads(json.dumps(report.as_dict())) == {
        "metric": "example",
        "directions": {"value": "lower is better"},
        "notes": ["Mind this."],
        "value": 0.5,
        "counts": [3, 4],
        "table": {"a": [[1.0, 2.0]]},
        "protocol": "one",
        "unknown": None,
    }
    assert str(report) == (
        "example: value 0.5 (lower is better); counts [3, 4], table {'a': [[1.0, 2.0]]}; "
        "protocol: one; Mind this."
    )
