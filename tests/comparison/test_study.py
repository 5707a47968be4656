import copy
import dataclasses
import tomllib
from pathlib import Path

import pytest

from keras_rkm import comparison
from keras_rkm.comparison import StudyError, parse_study, read_study

_STUDIES = Path(__file__).parents[2] / "benchmarks" / "studies"

TOLD = {
    "name": "small",
    "seeds": [0, 1],
    "images": {"name": "dsprites_like", "num_images": 64, "image_size": 16},
    "training": {"steps": 2, "latent_dim": 3},
    "measuring": {"rotations": ["none", "ica"], "measures": ["dci_lasso"]},
    "tuning": {"seeds": [7], "score": "disentanglement/dci_lasso/disentanglement"},
    "methods": [
        {"name": "RKM", "model": "StiefelRKM", "settings": [{}, {"mean_penalty": 0.0}]},
        {
            "name": "beta-VAE",
            "model": "VariationalAutoencoder",
            "settings": [{"beta": 2.0}, {"beta": 4.0}],
        },
    ],
}


def _changed(**changes):
    """The tables with one entry replaced, such as `training__steps=0`; None removes it."""
    told = copy.deepcopy(TOLD)
    for path, value in changes.items():
        *tables, last = path.split("__")
        table = told
        for each in tables:
            table = table[int(each) if each.isdecimal() else each]
        if value is None:
            del table[last]
        else:
            table[last] = value
    return told


def test_study_holds_what_the_file_says():
    study = parse_study(TOLD)
    assert study.reference == "RKM"
    assert study.seeds == (0, 1)
    assert study.images.num_images == 64
    assert (study.training.steps, study.training.batch_size) == (2, 64)
    assert study.measuring.rotations == ("none", "ica")
    assert [dict(setting) for setting in study.methods[1].settings] == [
        {"beta": 2.0},
        {"beta": 4.0},
    ]


@pytest.mark.parametrize("path", sorted(_STUDIES.glob("*.toml")), ids=lambda path: path.stem)
def test_studies_of_the_project_can_be_run(path):
    study = parse_study({"name": path.stem, **tomllib.loads(path.read_text(encoding="utf-8"))})
    assert study.reference == "St-RKM"
    assert {method.model for method in study.methods} > {"StiefelRKM", "VariationalAutoencoder"}


def test_file_is_read_and_its_images_classifier_and_steps_can_be_others(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'seeds = [3]\n[images]\nname = "mnist"\n[training]\nsteps = 5\n'
        '[[methods]]\nname = "AE"\nmodel = "AutoEncoder"\nsettings = [{}]\n'
    )
    study = read_study(path)
    assert (study.name, study.images.name, study.measuring.features) == ("mine", "mnist", None)
    (tmp_path / "classifier.keras").touch()
    features = str(tmp_path / "classifier.keras")
    other = read_study(path, images="folder", features=features, steps=7)
    assert (other.images.name, other.measuring.features) == ("folder", features)
    assert (study.training.steps, other.training.steps) == (5, 7)
    with pytest.raises(StudyError, match="nowhere.keras, which is no file"):
        read_study(path, features="nowhere.keras")


def test_measures_of_features_need_a_classifier(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(
        'seeds = [3]\n[images]\nname = "mnist"\n[training]\nsteps = 5\n'
        '[measuring]\nmeasures = ["precision_recall", "frechet_distance"]\n'
        '[[methods]]\nname = "AE"\nmodel = "AutoEncoder"\nsettings = [{}]\n'
    )
    with pytest.raises(StudyError, match="frechet_distance, precision_recall compare features"):
        read_study(path)


def test_cells_are_every_setting_of_the_tuning_and_the_chosen_one_of_every_seed():
    study = parse_study(TOLD)
    tuning = study.tuning_cells()
    assert [(c.method.name, c.setting, c.seed) for c in tuning] == [
        ("RKM", 0, 7),
        ("RKM", 1, 7),
        ("beta-VAE", 0, 7),
        ("beta-VAE", 1, 7),
    ]
    cells = study.cells({"RKM": 1, "beta-VAE": 0})
    assert [(c.method.name, c.setting, c.seed) for c in cells] == [
        ("RKM", 1, 0),
        ("beta-VAE", 0, 0),
        ("RKM", 1, 1),
        ("beta-VAE", 0, 1),
    ]
    folders = [str(cell.folder) for cell in [*tuning, *cells]]
    assert len(set(folders)) == 8
    assert folders[-1] == "cells/beta-vae/setting-0-seed-1"


def test_study_without_tuning_has_the_reported_cells_only():
    told = _changed(tuning=None, methods__0__settings=[{}], methods__1__settings=[{}])
    assert parse_study(told).tuning_cells() == []


def test_fixed_method_needs_no_more_than_its_one_setting():
    study = parse_study(_changed(methods__0__settings=[{}], methods__0__fixed=True))
    assert [cell.method.name for cell in study.tuning_cells()] == ["RKM", "beta-VAE", "beta-VAE"]


@pytest.mark.parametrize(
    ("changes", "matters"),
    [
        ({"training__steps": 3}, True),
        ({"images__image_size": 32}, True),
        ({"measuring__rotations": ["none"]}, True),
        ({"methods__1__settings": [{"beta": 2.5}, {"beta": 4.0}]}, True),
        ({"methods__1__settings": [{"beta": 2.0}, {"beta": 5.0}]}, False),
        ({"methods__1__freeze": ["latents_to_features"]}, True),
        ({"methods__1__name": "another name"}, False),
        ({"seeds": [0, 1, 2]}, False),
        ({"name": "large"}, False),
    ],
)
def test_fingerprint_changes_with_what_the_results_depend_on(changes, matters):
    before, after = parse_study(TOLD), parse_study(_changed(**changes))
    cells = [study.cells({m.name: 0 for m in study.methods})[1] for study in (before, after)]
    same = before.fingerprint(cells[0]) == after.fingerprint(cells[1])
    assert same != matters


@pytest.mark.parametrize(
    ("changes", "matters"),
    [
        ({"training__steps": 3}, True),
        ({"images__image_size": 32}, True),
        ({"measuring__rotations": ["none"]}, False),
    ],
)
def test_training_fingerprint_leaves_out_what_is_measured(changes, matters):
    cell = parse_study(TOLD).cells({"RKM": 0, "beta-VAE": 0})[0]
    before, after = parse_study(TOLD), parse_study(_changed(**changes))
    assert (before.training_fingerprint(cell) != after.training_fingerprint(cell)) == matters


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"measuring__samplers": ["mixture_0"]}, "mixture_0"),
        ({"measuring__samplers": ["gaussian", "mixture_x"]}, "mixture_x"),
        ({"methods": None}, r"needs a \[\[methods\]\] table"),
        ({"images": None}, r"needs a table \[images\]. Received: None"),
        ({"training": {}}, r"\[training\] needs steps"),
        ({"training__epochs": 3}, r"\[training\] has epochs, which is unknown. There are: steps"),
        ({"training__steps": 0}, r"\[training\] steps must be a positive int. Received: 0"),
        ({"training__steps": 2.5}, "steps must be a positive int. Received: 2.5"),
        ({"training__learning_rate": float("nan")}, "learning_rate must be a positive number"),
        ({"images__name": 3}, r"\[images\] name must be a text. Received: 3"),
        ({"measuring__rotations": "ica"}, r"\[measuring\] rotations must be a list"),
        ({"measuring__rotations": ["pca"]}, "rotations is unknown. Received: pca. There are: none"),
        ({"measuring__measures": ["dci"]}, "measures is unknown. Received: dci"),
        ({"measuring__samplers": ["flow"]}, "samplers is unknown. Received: flow"),
        ({"measuring__preset": "slow"}, "preset is unknown. Received: slow. There are: full, fast"),
        ({"methods__0__model": "GAN"}, "the model of 'RKM' is unknown. Received: GAN"),
        ({"methods__0__settings": []}, "'RKM' needs `settings`"),
        ({"methods__0__settings": [3, 4]}, "'RKM' needs `settings`.*3, 4"),
        (
            {"methods__0__settings": [{"beta": 2.0}, {}]},
            "a setting of 'RKM', {'beta': 2.0}, is unknown. Received: beta. There are: rec",
        ),
        ({"methods__1__settings": [{"seed": 2}, {}]}, "is unknown. Received: seed"),
        ({"methods__0__settings": [{}]}, r"equal tuning.*\{'RKM': 1, 'beta-VAE': 2\}"),
        ({"methods__0__fixed": True}, "one setting. Received several for: RKM"),
        (
            {"methods__0__fixed": "yes"},
            r"\[methods 1\] fixed must be true or false. Received: 'yes'",
        ),
        ({"methods__0__freeze": "projection"}, r"\[methods 1\] freeze must be a list"),
        ({"methods__1__name": "rkm"}, r"a name of its own.*\['RKM', 'rkm'\]"),
        ({"reference": "VAE"}, "reference is unknown. Received: VAE. There are: RKM, beta-VAE"),
        ({"seeds": []}, r"seeds must be a list of different ints from 0 on. Received: \[\]"),
        ({"seeds": [1, 1]}, r"Received: \[1, 1\]"),
        ({"seeds": [-1]}, r"Received: \[-1\]"),
        ({"tuning": None}, "Several settings need a table"),
        (
            {"tuning__seeds": [1, 7]},
            r"must be others than those.*Received: \[1\]",
        ),
        ({"tuning__score": "irs"}, "must be group/measure/score.*Received: 'irs'"),
        ({"tuning__score": "disentanglement/irs/irs"}, "dci_lasso/... Received: 'disent.*/irs'"),
        ({"budget": 3}, "Unknown: budget"),
    ],
)
def test_mistakes_are_told(changes, message):
    with pytest.raises(StudyError, match=message):
        parse_study(_changed(**changes))


def test_file_that_cannot_be_read_is_told_by_name(tmp_path):
    with pytest.raises(StudyError, match="nowhere.toml' cannot be read"):
        read_study(tmp_path / "nowhere.toml")
    (tmp_path / "bad.toml").write_text("seeds = [")
    with pytest.raises(StudyError, match="bad.toml' is not TOML"):
        read_study(tmp_path / "bad.toml")
    (tmp_path / "empty.toml").write_text("")
    with pytest.raises(StudyError, match=r"empty.toml': It needs a \[\[methods\]\]"):
        read_study(tmp_path / "empty.toml")


def test_parts_are_immutable():
    study = parse_study(TOLD)
    with pytest.raises(dataclasses.FrozenInstanceError):
        study.training.steps = 3
    assert comparison.Cell(study.methods[0], 0, 1) == comparison.Cell(study.methods[0], 0, 1)
