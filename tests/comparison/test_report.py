import copy
import csv

import numpy as np
import pytest

from keras_rkm import comparison
from keras_rkm.comparison import Cell, Choice, parse_study
from tests.comparison.test_study import TOLD

STUDY = parse_study(TOLD)
RKM, VAE = STUDY.methods
SCORE = "disentanglement/dci_lasso"


def _row(value, *, rotation=None, sampler=None, measure=SCORE, score="disentanglement", low=False):
    return {
        "rotation": rotation,
        "sampler": sampler,
        "measure": measure,
        "score": score,
        "value": value,
        "direction": "lower is better" if low else "higher is better",
    }


def _result(*rows, seconds=0.002, parameters=100):
    return {"rows": list(rows), "seconds_per_step": seconds, "num_parameters": parameters}


def _tuning(values):
    """Of (method, setting): the score by rotation."""
    return [
        (
            Cell(method, setting, 7),
            _result(*(_row(value, rotation=name) for name, value in by_rotation.items())),
        )
        for (method, setting), by_rotation in values.items()
    ]


def test_setting_and_axes_with_the_best_score_are_chosen_but_never_random_ones():
    tuning = _tuning(
        {
            (RKM, 0): {"none": 0.3, "ica": 0.5, "random": 0.9},
            (RKM, 1): {"none": 0.4, "ica": 0.2},
            (VAE, 0): {"none": 0.6, "ica": 0.1},
            (VAE, 1): {"none": 0.5, "ica": 0.3},
        }
    )
    assert comparison.choose(STUDY, tuning) == {
        "RKM": Choice(0, "ica"),
        "beta-VAE": Choice(0, "none"),
    }


def test_lowest_score_is_chosen_where_lower_is_better():
    tuning = [
        (Cell(method, setting, 7), _result(_row(value, low=True)))
        for method in STUDY.methods
        for setting, value in enumerate((0.4, 0.2))
    ]
    assert comparison.choose(STUDY, tuning) == {
        "RKM": Choice(1, "none"),
        "beta-VAE": Choice(1, "none"),
    }


def test_method_without_the_score_is_told():
    tuning = _tuning({(RKM, 0): {"none": 0.3}})
    with pytest.raises(ValueError, match="'beta-VAE'.*dci_lasso/disentanglement'"):
        comparison.choose(STUDY, tuning)


def _results():
    results = {}
    for seed, (ours, theirs) in enumerate([(0.5, 0.2), (0.7, 0.3)]):
        results[Cell(RKM, 0, seed)] = _result(
            _row(ours, rotation="ica"),
            _row(ours / 2, rotation="none"),
            _row(4.0 + seed, measure="reconstruction/reconstruction_error", score="squared_error"),
            _row(9.0, sampler="gaussian", measure="generation/frechet_distance", score="value"),
        )
        results[Cell(VAE, 1, seed)] = _result(
            _row(theirs, rotation="none"),
            _row(4.5, measure="reconstruction/reconstruction_error", score="squared_error"),
            seconds=0.004,
        )
    # A model of the tuning is not reported.
    results[Cell(RKM, 1, 7)] = _result(_row(99.0, rotation="ica"))
    return results


CHOICES = {"RKM": Choice(0, "ica"), "beta-VAE": Choice(1, "none")}


def _report_rows():
    text = comparison.to_markdown(STUDY, _results(), CHOICES, "the command")
    sections = {part.split("\n")[0]: part for part in text.split("\n## ")}
    rows = {
        name: {
            row[1]: row[2:-1]
            for line in part.splitlines()
            if line.startswith("| ") and (row := [cell.strip() for cell in line.split("|")])
        }
        for name, part in sections.items()
    }
    return text, rows


def test_table_has_means_and_standard_deviations_in_the_chosen_axes():
    text, rows = _report_rows()
    table = rows["Means and standard deviations over seeds"]
    stddev = np.std([0.5, 0.7], ddof=1)
    assert table["dci_lasso disentanglement"][:2] == [
        f"0.6 +- {stddev:.2g}",
        f"0.25 +- {np.std([0.2, 0.3], ddof=1):.2g}",
    ]
    assert table["reconstruction_error squared_error"][0].startswith("4.5 +- ")
    assert table["frechet_distance value, gaussian"][:2] == ["9 +- 0", "-"]
    assert table["cost milliseconds_per_step"][:2] == ["2 +- 0", "4 +- 0"]
    assert "99" not in text
    assert "    the command" in text


def test_differences_are_paired_by_seed_with_their_interval():
    _, rows = _report_rows()
    (cell, direction) = rows["Differences to RKM"]["dci_lasso disentanglement"]
    low, high = comparison.paired_interval(np.array([0.3, 0.4]))
    assert cell == f"+0.35 [{low:+.3g}, {high:+.3g}]*"
    assert direction == "higher is better"
    (cell, _) = rows["Differences to RKM"]["reconstruction_error squared_error"]
    assert cell == "+0 [-0.5, +0.5]"


def test_all_rotations_are_shown():
    _, rows = _report_rows()
    part = comparison.to_markdown(STUDY, _results(), CHOICES, "").split("## All rotations")[1]
    assert "| RKM | dci_lasso disentanglement | 0.3 +- 0.071 | 0.6 +- 0.14 |" in part
    assert "| beta-VAE | dci_lasso disentanglement | 0.25 +- 0.071 | - |" in part


def test_reference_meets_the_best_of_other_models_in_the_rotation_that_suits_it():
    results = _results()
    for seed in (0, 1):
        results[Cell(VAE, 1, seed)]["rows"] += [
            _row(0.4, rotation="ica"),
            _row(0.9, rotation="random"),  # a control
        ]
    text = comparison.to_markdown(STUDY, results, CHOICES, "")
    part = text.split("## RKM against the best of the others")[1].split("## All")[0]
    assert (
        "| dci_lasso disentanglement | 0.6 | 0.4 | beta-VAE, ica | 1.500 | higher is better |"
    ) in part
    assert "| reconstruction_error squared_error | 4.5 | 4.5 | beta-VAE | 1.000 |" in part
    assert "frechet_distance" not in part  # which no other has


def test_lowest_of_the_others_is_the_best_where_lower_is_better():
    told = copy.deepcopy(TOLD)
    told["methods"].append({"name": "AE", "model": "AutoEncoder", "settings": [{}], "fixed": True})
    told["methods"].append({**told["methods"][0], "name": "control"})
    study = parse_study(told)
    mse = {"measure": "reconstruction/reconstruction_error", "score": "squared_error"}
    results = {
        Cell(method, 0, 0): _result(_row(value, low=True, **mse))
        for method, value in zip(study.methods, (4.0, 9.0, 8.0, 1.0), strict=True)
    }
    choices = {method.name: Choice(0, "none") for method in study.methods}
    text = comparison.to_markdown(study, results, choices, "")
    assert "| reconstruction_error squared_error | 4 | 8 | AE | 0.500 | lower is better |" in text


def test_interval_is_that_of_the_percentile_bootstrap():
    differences = np.random.default_rng(0).normal(size=9)
    generator = np.random.default_rng(1)
    means = [np.mean(generator.choice(differences, size=9)) for _ in range(20_000)]
    expected = tuple(np.quantile(means, (0.025, 0.975)))
    assert comparison.paired_interval(differences) == pytest.approx(expected, abs=0.02)


def test_csv_has_a_row_per_number(tmp_path):
    comparison.write_csv(STUDY, _results(), tmp_path / "results.csv")
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == sum(len(result["rows"]) + 2 for result in _results().values())
    (row,) = [
        row
        for row in rows
        if (row["method"], row["seed"], row["rotation"]) == ("RKM", "1", "ica")
        and row["measure"] == SCORE
    ]
    assert (row["value"], row["tuning"], row["setting"]) == ("0.7", "0", "{}")
    (row,) = [row for row in rows if row["value"] == "99"]
    assert (row["tuning"], row["setting"]) == ("1", '{"mean_penalty": 0.0}')
