"""What a study compares: methods, settings, seeds, a budget and measures, from a TOML file."""

import dataclasses
import hashlib
import inspect
import json
import math
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from keras_rkm import models, rotations
from keras_rkm.evaluation import MEASURES, PRESETS
from keras_rkm.evaluation.measures import GENERATION

MODELS = (
    "StiefelRKM",
    "AutoEncoder",
    "VariationalAutoencoder",
    "FactorVAE",
    "BetaTCVAE",
    "InfoGAN",
)
ROTATIONS = ("none", *rotations.METHODS, "polar", "random")
SAMPLERS = ("gaussian", "standard_normal")
MIXTURE = "mixture_"  # and the number of components


class StudyError(ValueError):
    """A study file says something that cannot be done."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Images:
    """Which images: `name` as `keras_rkm.datasets.load` takes it."""

    name: str
    num_images: int | None = None
    image_size: int | None = None
    num_test_images: int = 5_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class Training:
    """The budget and the networks, the same for all methods."""

    steps: int
    batch_size: int = 64
    learning_rate: float = 1e-3
    latent_dim: int = 10
    feature_dim: int = 128
    capacity: int = 16
    reconstruction_loss: str = "binary_crossentropy"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tuning:
    """How one of the settings of a method is chosen: by a score of models of other seeds."""

    seeds: tuple[int, ...]
    score: str  # such as "disentanglement/dci_random_forest/disentanglement"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Measuring:
    """What is measured of every model."""

    preset: str = "full"
    measures: tuple[str, ...] | None = None
    rotations: tuple[str, ...] = ("none",)
    samplers: tuple[str, ...] = ("gaussian",)
    features: str | None = None
    num_draws: int = 1


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Method:
    """A model of `MODELS`, and the arguments of each of its settings.

    Attributes:
        name: Str.
        model: Str, an entry of `MODELS`.
        settings: Tuple of dicts of arguments; as many as the other methods have.
        fixed: Bool, a control or a method with nothing to tune: exactly one setting.
        freeze: Tuple of names of layers of the model that are not trained.
    """

    name: str
    model: str
    settings: tuple[Mapping[str, Any], ...]
    fixed: bool = False
    freeze: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Cell:
    """One model to train and to measure: a method, the number of its setting, a seed."""

    method: Method
    setting: int
    seed: int

    @property
    def folder(self) -> Path:
        """Where its results are, relative to those of the study."""
        return Path("cells") / _slug(self.method.name) / f"setting-{self.setting}-seed-{self.seed}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Study:
    """A comparison of methods at equal networks, images, steps and numbers of tried settings.

    Attributes:
        name: Str.
        reference: Str, the name of the method that the others are compared with.
        seeds: Tuple of ints, of the models that are reported.
        images: `Images`.
        training: `Training`.
        measuring: `Measuring`.
        methods: Tuple of `Method`.
        tuning: `Tuning`, or None if every method has a single setting.
    """

    name: str
    reference: str
    seeds: tuple[int, ...]
    images: Images
    training: Training
    measuring: Measuring
    methods: tuple[Method, ...]
    tuning: Tuning | None = None

    def tuning_cells(self) -> list[Cell]:
        """The models that only choose the settings."""
        if self.tuning is None:
            return []
        return [
            Cell(method, setting, seed)
            for method in self.methods
            for setting in range(len(method.settings))
            for seed in self.tuning.seeds
        ]

    def cells(self, chosen: Mapping[str, int]) -> list[Cell]:
        """The models that are reported; `chosen` is the number of the setting by method."""
        # Seed by seed, so that a study that is stopped has whole comparisons.
        return [
            Cell(method, chosen[method.name], seed)
            for seed in self.seeds
            for method in self.methods
        ]

    def fingerprint(self, cell: Cell) -> str:
        """Changes with everything that the results of a cell depend on."""
        return _digest(
            self._training_facts(cell) | {"measuring": dataclasses.asdict(self.measuring)}
        )

    def training_fingerprint(self, cell: Cell) -> str:
        """Changes with everything that the trained model of a cell depends on."""
        return _digest(self._training_facts(cell))

    def _training_facts(self, cell):
        return {
            "images": dataclasses.asdict(self.images),
            "training": dataclasses.asdict(self.training),
            "model": cell.method.model,
            "arguments": dict(cell.method.settings[cell.setting]),
            "seed": cell.seed,
            **({"freeze": cell.method.freeze} if cell.method.freeze else {}),
        }


def _digest(told: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def read_study(
    path: str | os.PathLike,
    *,
    images: str | None = None,
    features: str | None = None,
    steps: int | None = None,
) -> Study:
    """Reads a study file.

    Args:
        path: Str or path of a TOML file; benchmarks/studies/ has examples.
        images: Str in place of the name of the images in the file, for instance a folder.
        features: Str in place of the file of a classifier there.
        steps: Positive int in place of the steps there: the same study with another budget.

    Returns:
        A `Study`.

    Raises:
        StudyError: If the file is not there or not TOML, or something in it is unknown, missing or
            out of range; says what and where.
    """
    path = Path(path).expanduser()
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"The study file '{path}' cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyError(f"The study file '{path}' is not TOML: {error}.") from error
    try:
        study = parse_study({"name": path.stem, **told})
    except StudyError as error:
        raise StudyError(f"'{path}': {error}") from error
    if images is not None:
        study = dataclasses.replace(study, images=dataclasses.replace(study.images, name=images))
    if features is not None:
        measuring = dataclasses.replace(study.measuring, features=features)
        study = dataclasses.replace(study, measuring=measuring)
    if steps is not None:
        training = dataclasses.replace(study.training, steps=steps)
        study = dataclasses.replace(study, training=training)
    _check_features(study.measuring)
    return study


def parse_study(told: Mapping[str, Any]) -> Study:
    """A `Study` from the tables of a study file; raises a `StudyError` as `read_study`."""
    told = dict(told)
    methods = told.pop("methods", None)
    if not isinstance(methods, list) or not methods:
        raise StudyError("It needs a [[methods]] table for each method. Received: none.")
    parts = {
        "images": _part(Images, told.pop("images", None), "images"),
        "training": _part(Training, told.pop("training", None), "training"),
        "measuring": _part(Measuring, told.pop("measuring", {}), "measuring"),
        "tuning": _part(Tuning, told.pop("tuning"), "tuning") if "tuning" in told else None,
        "methods": tuple(
            _part(Method, method, f"methods {number}") for number, method in enumerate(methods, 1)
        ),
    }
    told["seeds"] = tuple(told.get("seeds", ()))
    told.setdefault("reference", parts["methods"][0].name)
    if unknown := set(told) - {"name", "reference", "seeds"}:
        raise StudyError(f"Unknown: {', '.join(sorted(unknown))}.")
    study = Study(**told, **parts)
    _check(study)
    return study


def _part(kind: type, told: Any, where: str):
    """An instance of one of the parts from its table."""
    if not isinstance(told, dict):
        raise StudyError(f"It needs a table [{where}]. Received: {told!r}.")
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := set(told) - set(fields):
        raise StudyError(
            f"[{where}] has {', '.join(sorted(unknown))}, which is unknown. "
            f"There are: {', '.join(fields)}."
        )
    values = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told.items()
    }
    try:
        part = kind(**values)
    except TypeError as error:
        missing = [
            name
            for name, field in fields.items()
            if field.default is dataclasses.MISSING and name not in told
        ]
        raise StudyError(f"[{where}] needs {', '.join(missing)}.") from error
    for name, value in values.items():
        _check_type(fields[name], value, where)
    return part


def _check_type(field: dataclasses.Field, value: Any, where: str) -> None:
    text = str(field.type)
    if "bool" in text:
        fits, kind = isinstance(value, bool), "true or false"
    elif "int" in text.split("[")[0] or "float" in text:
        wanted = (int, float) if "float" in text else int
        fits = isinstance(value, wanted) and not isinstance(value, bool)
        fits = fits and math.isfinite(value) and value > 0
        kind = "a positive number" if "float" in text else "a positive int"
    elif "tuple" in text:
        fits, kind = isinstance(value, tuple), "a list"
    else:
        fits, kind = isinstance(value, str), "a text"
    if not fits:
        raise StudyError(f"[{where}] {field.name} must be {kind}. Received: {value!r}.")


def _check(study: Study) -> None:
    names = [method.name for method in study.methods]
    if len(set(map(_slug, names))) < len(names):
        raise StudyError(f"Every method needs a name of its own. Received: {names}.")
    _check_known("reference", [study.reference], names)
    for method in study.methods:
        _check_known(f"the model of '{method.name}'", [method.model], MODELS)
        if not method.settings or not all(isinstance(s, dict) for s in method.settings):
            raise StudyError(
                f"'{method.name}' needs `settings`, a list of tables such as [{{beta = 4.0}}]. "
                f"Received: {method.settings!r}."
            )
        for setting in method.settings:
            where = f"a setting of '{method.name}', {dict(setting)},"
            _check_known(where, [*setting], _arguments_of(method.model))
    measuring = study.measuring
    _check_known("[measuring] preset", [measuring.preset], PRESETS)
    _check_known("[measuring] measures", measuring.measures or (), MEASURES)
    _check_known("[measuring] rotations", measuring.rotations, ROTATIONS)
    if others := [
        name for name in measuring.samplers if not re.fullmatch(f"{MIXTURE}[1-9][0-9]*", name)
    ]:
        _check_known("[measuring] samplers", others, (*SAMPLERS, f"{MIXTURE}10"))
    _check_seeds("seeds", study.seeds)
    _check_tuning(study)


def _arguments_of(model: str) -> list[str]:
    """What a setting may say: the rest is the same for all methods."""
    fixed = {"encoder", "decoder", "latent_dim", "reconstruction_loss", "dataset_size", "seed"}
    parameters = inspect.signature(getattr(models, model)).parameters
    return [name for name in parameters if name not in {*fixed, "kwargs"}]


def _check_tuning(study: Study) -> None:
    counts = {method.name: len(method.settings) for method in study.methods}
    if several := {
        method.name for method in study.methods if method.fixed and counts[method.name] > 1
    }:
        raise StudyError(
            "A method that is `fixed` has one setting. Received several for: "
            f"{', '.join(sorted(several))}."
        )
    tuned = {method.name: counts[method.name] for method in study.methods if not method.fixed}
    if len(set(tuned.values())) > 1:
        raise StudyError(
            "Methods are compared at equal tuning, so each needs as many settings as the others, "
            f"but one that says `fixed = true`. Received: {tuned}."
        )
    if study.tuning is None:
        if max(counts.values()) > 1:
            raise StudyError(
                "Several settings need a table [tuning] with seeds and a score to choose by."
            )
        return
    _check_seeds("[tuning] seeds", study.tuning.seeds)
    if shared := set(study.seeds) & set(study.tuning.seeds):
        raise StudyError(
            "The seeds of [tuning] must be others than those that are reported. "
            f"Received: {sorted(shared)} in both."
        )

    group, _, name = study.tuning.score.rpartition("/")[0].partition("/")
    measuring = study.measuring
    taken = measuring.measures or PRESETS[measuring.preset].measures
    known = {f"{MEASURES[measure]}/{measure}" for measure in taken}
    if f"{group}/{name}" not in known:
        raise StudyError(
            "[tuning] score must be group/measure/score of a measure that is taken, such as "
            f"{min(known)}/... Received: '{study.tuning.score}'."
        )


def _check_features(measuring: Measuring) -> None:
    """Raises unless what was asked for by name has the classifier that it needs."""
    asked = sorted(set(measuring.measures or ()) & set(GENERATION))
    if measuring.features is None and asked:
        raise StudyError(
            f"{', '.join(asked)} compare features of images. Name the .keras file of a classifier "
            "by `features` in [measuring], or by --features."
        )
    if measuring.features is not None and not Path(measuring.features).is_file():
        raise StudyError(
            "[measuring] features must be the .keras file of a classifier. Received: "
            f"{measuring.features}, which is no file."
        )


def _check_seeds(where: str, seeds: Sequence) -> None:
    fits = all(isinstance(seed, int) and 0 <= seed < 2**31 for seed in seeds)
    if not seeds or not fits or len(set(seeds)) < len(seeds):
        raise StudyError(
            f"{where} must be a list of different ints from 0 on. Received: {list(seeds)}."
        )


def _check_known(where: str, names: Sequence[str], known) -> None:
    if unknown := [name for name in names if name not in known]:
        raise StudyError(
            f"{where} is unknown. Received: {', '.join(map(str, unknown))}. "
            f"There are: {', '.join(known)}."
        )


def _slug(name: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in name).strip("-.").lower()
