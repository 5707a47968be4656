"""What a study has found: one row per number, means over seeds, paired differences, a report."""

import csv
import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .study import Cell, Study

_CSV_COLUMNS = (
    "method",
    "setting",
    "seed",
    "tuning",
    "rotation",
    "sampler",
    "measure",
    "score",
    "value",
)
_NUM_RESAMPLES = 10_000
_CONFIDENCE = 0.95

Results = Mapping[Cell, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Choice:
    """The setting and the rotation that a method is reported with."""

    setting: int
    rotation: str


def choose(study: Study, tuning: Sequence[tuple[Cell, Mapping[str, Any]]]) -> dict[str, Choice]:
    """The setting and rotation of each method with the best mean score on the tuning seeds.

    Without tuning there is one setting, and the first of the rotations is taken.

    Args:
        study: `Study`.
        tuning: The cells of `study.tuning_cells()` that have ended, with their results.

    Raises:
        ValueError: If no model of a method has the score.
    """
    if study.tuning is None:
        return {m.name: Choice(0, study.measuring.rotations[0]) for m in study.methods}
    measure, _, score = study.tuning.score.rpartition("/")
    chosen = {}
    for method in study.methods:
        values: dict[Choice, list[float]] = {}
        lower = False
        for cell, result in tuning:
            if cell.method.name != method.name:
                continue
            for row in result["rows"]:
                if (row["measure"], row["score"]) == (measure, score):
                    rotation = row["rotation"] or study.measuring.rotations[0]
                    values.setdefault(Choice(cell.setting, rotation), []).append(row["value"])
                    lower = row["direction"].endswith("lower is better")
        # A random rotation is a control, not a choice.
        means = {c: np.mean(v) for c, v in values.items() if c.rotation != "random"}
        if not means:
            raise ValueError(
                f"No model of '{method.name}' has the score to choose by. "
                f"Received: [tuning] score = '{study.tuning.score}'."
            )
        chosen[method.name] = (min if lower else max)(means, key=means.get)
    return chosen


def write_csv(study: Study, results: Results, path: Path) -> None:
    """One row per number: every cell, rotation, sampler and score."""
    tuning_seeds = study.tuning.seeds if study.tuning else ()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _CSV_COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        for cell, result in results.items():
            known = {
                "method": cell.method.name,
                "setting": json.dumps(dict(cell.method.settings[cell.setting])),
                "seed": cell.seed,
                "tuning": int(cell.seed in tuning_seeds),
            }
            for row in [*result["rows"], *cost_rows(result)]:
                writer.writerow({**known, **row, "value": f"{row['value']:.6g}"})


def to_markdown(study: Study, results: Results, choices: Mapping[str, Choice], command: str) -> str:
    """The report: what was compared, every score by method, differences to the reference."""
    reported = {
        method.name: {
            cell.seed: result
            for cell, result in results.items()
            if cell.method.name == method.name
            and cell.setting == choices[method.name].setting
            and cell.seed in study.seeds
        }
        for method in study.methods
    }
    values = {name: _values(seeds, choices[name]) for name, seeds in reported.items()}
    directions = {
        _key(row): row["direction"]
        for seeds in reported.values()
        for result in seeds.values()
        for row in [*result["rows"], *cost_rows(result)]
    }
    parts = [
        f"# {study.name}",
        _setting(study, command),
        _methods(study, reported, choices),
        "## Means and standard deviations over seeds",
        _table(study, values, directions),
        f"## Differences to {study.reference}",
        "Of models of equal seeds: mean of (reference - method), and in brackets the "
        f"{_CONFIDENCE:.0%} interval of the bootstrap over seeds. An interval without 0 is marked "
        "by `*`.".replace("%", " %"),
        _differences(study, values, directions),
        f"## {study.reference} against the best of the others",
        "The reference in the rotation that was chosen for it; of all methods of another model the "
        "one with the best mean, each in the rotation that suits it best in this very table, so "
        "that the choice favours them.",
        _against_best(study, reported, values, directions),
    ]
    if len(study.measuring.rotations) > 1:
        parts += ["## All rotations", _rotations(study, reported)]
    return "\n\n".join(part for part in parts if part) + "\n"


def cost_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a model costs, as rows like those of its scores."""
    costs = {"parameters": result["num_parameters"]}
    if result["seconds_per_step"] is not None:  # of very few steps
        costs["milliseconds_per_step"] = 1e3 * result["seconds_per_step"]
    return [
        {
            "rotation": None,
            "sampler": None,
            "measure": "cost",
            "score": name,
            "value": value,
            "direction": "lower is better",
        }
        for name, value in costs.items()
    ]


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["measure"], row["score"], row["sampler"] or ""


def _values(seeds: Mapping[int, Mapping], choice: Choice) -> dict[tuple, dict[int, float]]:
    """Values by seed of every score, in the rotation of choice."""
    found: dict[tuple, dict[int, float]] = {}
    for seed, result in seeds.items():
        for row in [*result["rows"], *cost_rows(result)]:
            if row["rotation"] in (None, choice.rotation):
                found.setdefault(_key(row), {})[seed] = row["value"]
    return found


def _setting(study: Study, command: str) -> str:
    images, budget = study.images, study.training
    number = f"{images.num_images:,}" if images.num_images else "all"
    size = f", {images.image_size} pixels wide" if images.image_size else ""
    return (
        f"Images: {images.name}, {number} to train on{size}, at most {images.num_test_images:,} "
        f"others to measure on. Networks: convolutional, capacity {budget.capacity}, "
        f"{budget.feature_dim} features, {budget.latent_dim} latents. Budget: {budget.steps:,} "
        f"steps of {budget.batch_size} images, Adam at {budget.learning_rate:g}, "
        f"{budget.reconstruction_loss}. Seeds: {', '.join(map(str, study.seeds))}."
        + (
            f" Settings and rotation of each method were chosen by `{study.tuning.score}` on the "
            f"seeds {', '.join(map(str, study.tuning.seeds))}, which are not reported."
            if study.tuning
            else ""
        )
        + f"\n\n    {command}"
    )


def _methods(study: Study, reported: Mapping, choices: Mapping[str, Choice]) -> str:
    lines = [
        "| method | model | settings tried | chosen | rotation | seeds |",
        "|---|---|---|---|---|---|",
    ]
    for method in study.methods:
        choice = choices[method.name]
        cells = [
            method.name,
            method.model,
            str(len(method.settings)),
            _arguments(method.settings[choice.setting]),
            choice.rotation,
            str(len(reported[method.name])),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _arguments(setting: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in setting.items()) or "defaults"


def _label(key: tuple[str, str, str]) -> str:
    measure, score, sampler = key
    name = measure.rpartition("/")[2]
    return f"{name} {score}" + (f", {sampler}" if sampler else "")


def _table(study: Study, values: Mapping, directions: Mapping) -> str:
    names = [method.name for method in study.methods]
    lines = [f"| score | {' | '.join(names)} | |", "|---" * (len(names) + 2) + "|"]
    for key, direction in directions.items():
        cells = [_mean_text([*values[name].get(key, {}).values()]) for name in names]
        lines.append(f"| {_label(key)} | {' | '.join(cells)} | {direction} |")
    return "\n".join(lines)


def _mean_text(numbers: Sequence[float]) -> str:
    if not numbers:
        return "-"
    spread = f" +- {np.std(numbers, ddof=1):.2g}" if len(numbers) > 1 else ""
    return f"{np.mean(numbers):.4g}{spread}"


def _differences(study: Study, values: Mapping, directions: Mapping) -> str:
    others = [method.name for method in study.methods if method.name != study.reference]
    lines = [f"| score | {' | '.join(others)} | |", "|---" * (len(others) + 2) + "|"]
    for key, direction in directions.items():
        reference = values[study.reference].get(key, {})
        cells = [_difference_text(reference, values[name].get(key, {})) for name in others]
        lines.append(f"| {_label(key)} | {' | '.join(cells)} | {direction} |")
    return "\n".join(lines)


def _difference_text(reference: Mapping[int, float], other: Mapping[int, float]) -> str:
    seeds = sorted(set(reference) & set(other))
    differences = np.array([reference[seed] - other[seed] for seed in seeds])
    if not len(differences):
        return "-"
    mean = differences.mean()
    if len(differences) == 1:
        return f"{mean:+.3g}"
    low, high = paired_interval(differences)
    mark = "*" if low > 0 or high < 0 else ""
    return f"{mean:+.3g} [{low:+.3g}, {high:+.3g}]{mark}"


def paired_interval(differences: np.ndarray) -> tuple[float, float]:
    """The percentile bootstrap of the mean of differences between models of equal seeds.

    >>> from keras_rkm.comparison.report import paired_interval
    >>> paired_interval(np.array([1.0, 1.0, 1.0]))
    (1.0, 1.0)
    """
    from scipy.stats import bootstrap

    low, high = bootstrap(
        (differences,),
        np.mean,
        n_resamples=_NUM_RESAMPLES,
        confidence_level=_CONFIDENCE,
        method="percentile",
        rng=0,
    ).confidence_interval
    return float(low), float(high)


def _against_best(study: Study, reported: Mapping, values: Mapping, directions: Mapping) -> str:
    """The reference beside the best mean of another model in any rotation, and their ratio."""
    reference = next(method for method in study.methods if method.name == study.reference)
    others = [method.name for method in study.methods if method.model != reference.model]
    lines = [f"| score | {study.reference} | best other | which | ratio | |", "|---" * 6 + "|"]
    for key, direction in directions.items():
        own = [*values[study.reference].get(key, {}).values()]
        means = {
            (name, rotation): np.mean(numbers)
            for name in others
            for rotation, numbers in _by_rotation(reported[name]).get(key, {}).items()
            if rotation != "random"
        }
        if not own or not means:
            continue
        lower = direction.endswith("lower is better")
        name, rotation = which = (min if lower else max)(means, key=means.get)
        ratio = f"{np.mean(own) / means[which]:.3f}" if means[which] else "-"
        label = name + (f", {rotation}" if rotation else "")
        lines.append(
            f"| {_label(key)} | {np.mean(own):.4g} | {means[which]:.4g} | {label} | {ratio} "
            f"| {direction} |"
        )
    return "\n".join(lines)


def _by_rotation(seeds: Mapping[int, Mapping]) -> dict[tuple, dict[str | None, list[float]]]:
    """The numbers of all seeds by score and rotation."""
    found: dict[tuple, dict[str | None, list[float]]] = {}
    for result in seeds.values():
        for row in [*result["rows"], *cost_rows(result)]:
            found.setdefault(_key(row), {}).setdefault(row["rotation"], []).append(row["value"])
    return found


def _rotations(study: Study, reported: Mapping) -> str:
    """Disentanglement by rotation, so that none is hidden by the choice of another."""
    rotations = study.measuring.rotations
    lines = [f"| method | score | {' | '.join(rotations)} |", "|---" * (len(rotations) + 2) + "|"]
    for name, seeds in reported.items():
        for key, by_rotation in _by_rotation(seeds).items():
            if None in by_rotation:  # what no rotation changes
                continue
            cells = [_mean_text(by_rotation.get(rotation, [])) for rotation in rotations]
            lines.append(f"| {name} | {_label(key)} | {' | '.join(cells)} |")
    return "\n".join(lines)
