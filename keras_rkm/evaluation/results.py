"""What an evaluation has found: reports by measure, as plain data, as a table and as scalars."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_rkm.metrics import DisentanglementReport, Report, RotationControlReport, SpreadReport


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Measured:
    """One measure.

    Attributes:
        name: Str, a key of `MEASURES`.
        group: Str, the value there.
        reports: List of `Report`, one per draw of generated images, else a single one.
        rotation_control: `RotationControlReport`, or None.
        bootstrap: `SpreadReport`, or None.
        notes: List of str, what to bear in mind besides the notes of the report.
        cpu_seconds: Float, the time of the processor that it took, controls included.
    """

    name: str
    group: str
    reports: list[Report]
    rotation_control: RotationControlReport | None = None
    bootstrap: SpreadReport | None = None
    notes: Sequence[str] = ()
    cpu_seconds: float = 0.0

    @property
    def report(self) -> Report:
        """The first of the reports."""
        return self.reports[0]

    @property
    def scores(self) -> dict[str, float]:
        """The measured numbers by name, means over the draws."""
        values = [scores_of(report) for report in self.reports]
        return {name: float(np.mean([each[name] for each in values])) for name in values[0]}

    @property
    def stddevs(self) -> dict[str, float]:
        """Their standard deviations over the draws; empty for a single one."""
        if len(self.reports) < 2:
            return {}
        values = [scores_of(report) for report in self.reports]
        return {name: float(np.std([v[name] for v in values], ddof=1)) for name in values[0]}

    def as_dict(self) -> dict[str, Any]:
        """Everything, in types that `json.dumps` takes."""
        fields = {
            "group": self.group,
            "scores": self.scores,
            "report": self.report.as_dict(),
            "cpu_seconds": round(self.cpu_seconds, 3),
        }
        if self.stddevs:
            fields["draws"] = [scores_of(report) for report in self.reports]
            fields["stddevs"] = self.stddevs
        if self.rotation_control:
            fields["rotation_control"] = self.rotation_control.as_dict()
        if self.bootstrap:
            fields["bootstrap"] = self.bootstrap.as_dict()
        if self.notes:
            fields["notes"] = list(self.notes)
        return fields


@dataclasses.dataclass(frozen=True, eq=False, kw_only=True)
class Evaluation:
    """What `evaluate` returns.

    Attributes:
        measured: Dict of `Measured` by name, in the order of `MEASURES`.
        skipped: Dict of str by name: why a measure was not taken.
        settings: Dict of what it was called with, as far as it is plain data.
        notes: Tuple of str, what to bear in mind.
    """

    measured: Mapping[str, Measured]
    skipped: Mapping[str, str]
    settings: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> Measured:
        if name not in self.measured:
            raise KeyError(f"{name!r} was not measured: {self.skipped.get(name, 'not asked for')}")
        return self.measured[name]

    def as_dict(self) -> dict[str, Any]:
        """Everything, in types that `json.dumps` takes."""
        return {
            "settings": dict(self.settings),
            "measured": {name: each.as_dict() for name, each in self.measured.items()},
            "skipped": dict(self.skipped),
            "notes": list(self.notes),
        }

    def scalars(self) -> dict[str, float]:
        """Every number by `group/measure/score`, such as TensorBoard takes."""
        return {
            f"{each.group}/{name}/{score}": value
            for name, each in self.measured.items()
            for score, value in each.scores.items()
        }

    def to_markdown(self) -> str:
        """A table of all scores, what they were measured with, and what was left out."""
        lines = [
            "| measure | score | value | rotated at random | 95 % interval | |",
            "|---|---|---|---|---|---|",
        ]
        for each in self.measured.values():
            lines += [_row(each, score) for score in each.scores]
        protocols = dict.fromkeys(
            each.report.protocol
            for each in self.measured.values()
            if getattr(each.report, "protocol", None)
        )
        notes = [(note, each.name) for each in self.measured.values() for note in _notes(each)]
        skipped = [(reason, name) for name, reason in self.skipped.items()]
        remarks = [
            *(f"Protocol: {protocol}." for protocol in protocols),
            *self.notes,
            *(f"{note} ({', '.join(names)})." for note, names in _grouped(notes)),
            *(f"Not measured: {', '.join(names)} ({why})." for why, names in _grouped(skipped)),
        ]
        return "\n".join([*lines, "", *(f"- {remark}" for remark in remarks)]).rstrip() + "\n"


def scores_of(report: Report) -> dict[str, float]:
    """The measured numbers of any report, by the names that its directions have."""
    if isinstance(report, DisentanglementReport):
        return dict(report.scores)
    values = {name: getattr(report, name) for name in report.directions}
    return {name: float(value) for name, value in values.items() if value is not None}


def _grouped(pairs: list[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """The names that go with each text, in the order of the texts."""
    groups: dict[str, list[str]] = {}
    for text, name in pairs:
        groups.setdefault(text, []).append(name)
    return list(groups.items())


def _notes(measured: Measured) -> list[str]:
    report = measured.report
    named = [
        f"{what} {', '.join(names)}"
        for what, attribute in (
            ("dead latents", "dead_latents"),
            ("constant factors, left out:", "constant_factors"),
        )
        if (names := getattr(report, attribute, ()))
    ]
    return [*named, *report.notes, *measured.notes]


def _row(measured: Measured, score: str) -> str:
    value = f"{measured.scores[score]:.4g}"
    if measured.stddevs:
        value += f" +- {measured.stddevs[score]:.2g}"
    cells = [
        measured.name,
        score,
        value,
        _rotated(measured, score),
        _interval(measured, score),
        measured.report.directions[score],
    ]
    return f"| {' | '.join(cells)} |"


def _rotated(measured: Measured, score: str) -> str:
    control = measured.rotation_control
    if control:
        mean, stddev = control.rotated_means[score], control.rotated_stddevs[score]
        return f"{mean:.4g} +- {stddev:.2g}"
    rotated = getattr(measured.report, f"rotated_{score}", None)
    return "" if rotated is None else f"{rotated:.4g}"


def _interval(measured: Measured, score: str) -> str:
    spread = measured.bootstrap
    return f"{spread.low[score]:.4g} to {spread.high[score]:.4g}" if spread else ""
