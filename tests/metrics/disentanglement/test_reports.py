"""What the report of a disentanglement score says and refuses."""

import json

import numpy as np
import pytest

from keras_rkm.metrics.disentanglement.reports import (
    HIGHER,
    DisentanglementReport,
    by_name,
    scored,
)


def _report(**fields):
    fields = {"metric": "score", "variant": "plain"} | scored({"value": np.float64(0.25)}) | fields
    return DisentanglementReport(**fields)


def test_scores_are_read_by_name_and_others_are_told():
    report = _report(**scored({"a": 0.5, "b": 1}, b="NRMSE, lower is better"))
    assert (report["a"], report["b"]) == (0.5, 1.0)
    assert type(report["b"]) is float
    assert report.directions == {"a": HIGHER, "b": "NRMSE, lower is better"}
    with pytest.raises(KeyError, match=r"score has no score 'c', only \['a', 'b'\]"):
        report["c"]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match=r"score \(plain\) has no finite value.*'value'"):
        _report(**scored({"value": value}))
    with pytest.raises(ValueError, match="has no finite value.*'matrix': '2 entries'"):
        _report(matrix=np.array([[1, value], [0, value]]))


def test_as_dict_is_plain_with_the_scores_on_top():
    report = _report(
        matrix=np.eye(2),
        num_samples={"all": np.int64(3)},
        details={"gap": {"factor_0": 0.5}},
        row_names=("latent_0", "latent_1"),
        seed=3,
    )
    fields = json.loads(json.dumps(report.as_dict(), allow_nan=False))
    assert list(fields)[:3] == ["metric", "variant", "value"]
    assert "scores" not in fields
    assert fields["value"] == 0.25
    assert fields["matrix"] == [[1, 0], [0, 1]]
    assert fields["num_samples"] == {"all": 3}
    assert fields["details"] == {"gap": {"factor_0": 0.5}}
    assert (fields["seed"], fields["predictor"]) == (3, None)


def test_it_prints_what_the_number_depends_on():
    report = _report(
        predictor="a rule",
        standardisation="latents: none",
        num_samples={"train": 20, "test": 10},
        seed=7,
        factor_kinds=("continuous", "circular"),
        column_names=("size", "angle"),
        dead_latents=("latent_3",),
        constant_factors=("hue",),
        notes=("one", "two"),
    )
    assert str(report).split("\n  ") == [
        "score, variant plain",
        "value 0.2500  higher is better",
        "predictor: a rule",
        "standardisation: latents: none",
        "samples: train 20, test 10; seed 7",
        "factors: size, angle (circular)",
        "dead latents: latent_3",
        "constant factors, left out: hue",
        "note: one; two",
    ]


def test_it_prints_no_empty_line():
    assert str(_report()) == "\n  ".join(
        ["score, variant plain", "value 0.2500  higher is better", "standardisation: none"]
    )


def test_values_by_name_must_be_as_many_as_the_names():
    assert by_name(("a", "b"), np.array([1, 2])) == {"a": 1.0, "b": 2.0}
    with pytest.raises(ValueError, match="longer|shorter"):
        by_name(("a", "b"), np.array([1]))
