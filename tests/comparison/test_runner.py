"""Cells and their processes, on models of a second."""

import dataclasses
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import keras_rkm
from keras_rkm import comparison, evaluation
from keras_rkm.comparison import Cell, cells, parse_study

TOLD = {
    "name": "tiny",
    "seeds": [0],
    "images": {
        "name": "dsprites_like",
        "num_images": 256,
        "image_size": 16,
        "num_test_images": 200,
    },
    "training": {"steps": 25, "batch_size": 32, "latent_dim": 3, "capacity": 2, "feature_dim": 8},
    "measuring": {
        "measures": [
            "reconstruction_error",
            "orthogonality_of_variation",
            "dci_lasso",
            "irs",
            "laplacian_sliced_wasserstein_distance",
        ],
        "rotations": ["none", "rotate", "ica", "joint_diagonalization", "polar", "random"],
        "samplers": ["gaussian", "mixture_10", "standard_normal"],
    },
    "methods": [
        {"name": "RKM", "model": "StiefelRKM", "settings": [{}]},
        {"name": "VAE", "model": "VariationalAutoencoder", "settings": [{}]},
    ],
}
STUDY = parse_study(TOLD)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the results of one cell."""
    folder = tmp_path_factory.mktemp("study")
    cells.run_cell(STUDY, _cell(0), folder)
    return folder


def _cell(method, seed=0):
    return Cell(STUDY.methods[method], 0, seed)


def test_cell_is_measured_in_all_axes_and_by_all_samplers(folder):
    result = cells.read_result(STUDY, _cell(0), folder)
    found = {(r["measure"], r["rotation"], r["sampler"]) for r in result["rows"]}
    rotations, samplers = STUDY.measuring.rotations, STUDY.measuring.samplers
    expected = {("reconstruction/reconstruction_error", None, None)}
    for rotation in rotations:
        expected |= {
            (f"{group}/{name}", rotation, None)
            for group, name in (
                ("orthogonality", "orthogonality_of_variation"),
                ("disentanglement", "dci_lasso"),
                ("disentanglement", "irs"),
            )
        }
    measure = "generation/laplacian_sliced_wasserstein_distance"
    expected |= {(measure, None, sampler) for sampler in samplers}
    assert found == expected
    assert all(np.isfinite(row["value"]) for row in result["rows"])
    assert result["seconds_per_step"] > 0
    names = {path.name for path in (folder / _cell(0).folder).iterdir()}
    assert names == {
        "result.json",
        "training.json",
        "model.keras",
        *(f"traversal-{name}.png" for name in rotations),
        *(f"samples-{name}.png" for name in samplers),
    }


def test_numbers_are_those_of_the_saved_model(folder):
    result = cells.read_result(STUDY, _cell(0), folder)
    model, _ = keras_rkm.load(folder / _cell(0).folder / "model.keras")
    _, test = cells.load_images(STUDY.images)
    names = ["reconstruction_error", "dci_lasso"]
    expected = evaluation.evaluate(
        model, test.images, measures=names, **test.factor_arguments()
    ).scalars()
    for row in result["rows"]:
        tag = f"{row['measure']}/{row['score']}"
        if row["rotation"] in (None, "none") and tag in expected:
            assert row["value"] == pytest.approx(expected[tag], rel=1e-4), tag
    assert result["num_parameters"] == sum(np.prod(v.shape) for v in model.trainable_variables)


def test_axes_of_a_stiefel_rkm_are_principal_already(folder):
    rows = cells.read_result(STUDY, _cell(0), folder)["rows"]
    own, principal = (
        {(r["measure"], r["score"]): r["value"] for r in rows if r["rotation"] == name}
        for name in ("none", "rotate")
    )
    for key, value in own.items():
        assert principal[key] == pytest.approx(value, abs=0.02), key


def test_result_of_another_study_or_of_a_cell_that_broke_off_is_none(folder, tmp_path):
    other = parse_study({**TOLD, "training": {**TOLD["training"], "steps": 26}})
    assert cells.read_result(other, Cell(other.methods[0], 0, 0), folder) is None
    assert cells.read_result(STUDY, _cell(1), folder) is None
    path = tmp_path / _cell(0).folder / "result.json"
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert cells.read_result(STUDY, _cell(0), tmp_path) is None


def test_missing_cells_alone_are_run_and_an_error_stays_with_its_cell(folder):
    before = (folder / _cell(0).folder / "result.json").stat().st_mtime_ns
    broken = parse_study(
        {
            **TOLD,
            "methods": [
                *TOLD["methods"],
                {"name": "broken", "model": "VariationalAutoencoder", "settings": [{"beta": -3.0}]},
            ],
        }
    )
    wanted = broken.cells({method.name: 0 for method in broken.methods})
    finished = list(comparison.run_cells(broken, wanted, folder, num_workers=2))
    assert finished[0].cell == wanted[0]
    assert (folder / _cell(0).folder / "result.json").stat().st_mtime_ns == before
    by_name = {each.cell.method.name: each for each in finished}
    assert by_name["VAE"].result["method"] == "VAE"
    assert by_name["VAE"].error is None
    assert by_name["broken"].result is None
    assert "`beta`" in by_name["broken"].error
    assert "-3.0" in by_name["broken"].error


@pytest.mark.slow
def test_same_cell_gives_the_same_numbers(folder, tmp_path):
    again = cells.run_cell(STUDY, _cell(0), tmp_path)
    first = cells.read_result(STUDY, _cell(0), folder)
    assert json.dumps(again["rows"]) == json.dumps(first["rows"])


def test_model_is_not_trained_again_when_only_what_is_measured_has_changed(folder, tmp_path):
    home = shutil.copytree(folder / _cell(0).folder, tmp_path / _cell(0).folder)
    weights = (home / "model.keras").read_bytes()
    before = cells.read_result(STUDY, _cell(0), tmp_path)
    more = parse_study({**TOLD, "measuring": {**TOLD["measuring"], "samplers": ["mixture_2"]}})
    assert cells.read_result(more, _cell(0), tmp_path) is None
    after = cells.run_cell(more, _cell(0), tmp_path)
    assert (home / "model.keras").read_bytes() == weights
    assert after["losses"] == before["losses"]
    assert {row["sampler"] for row in after["rows"]} == {None, "mixture_2"}
    same = [row for row in before["rows"] if row["sampler"] is None]
    assert [row for row in after["rows"] if row["sampler"] is None] == [
        {**row, "value": pytest.approx(row["value"], rel=1e-5)} for row in same
    ]


def test_model_is_trained_again_when_its_training_has_changed(folder, tmp_path):
    home = shutil.copytree(folder / _cell(0).folder, tmp_path / _cell(0).folder)
    before = cells.read_result(STUDY, _cell(0), tmp_path)
    longer = parse_study({**TOLD, "training": {**TOLD["training"], "steps": 26}})
    after = cells.run_cell(longer, _cell(0), tmp_path)
    assert after["losses"] != before["losses"]
    assert json.loads((home / "training.json").read_text())["losses"] == after["losses"]


def test_source_without_a_test_split_is_cut_in_two(tmp_path):
    images = np.arange(40, dtype=np.uint8)[:, None, None, None] * np.ones((1, 8, 8, 1), np.uint8)
    np.savez(tmp_path / "images.npz", imgs=images)
    told = comparison.study.Images(name=str(tmp_path / "images.npz"), num_test_images=3)
    train, test = cells.load_images(told)
    assert (train.num_images, test.num_images) == (36, 3)
    assert not set(train.images[:, 0, 0, 0]) & set(test.images[:, 0, 0, 0])


def test_batch_larger_than_the_set_is_told(tmp_path):
    told = {**TOLD, "training": {**TOLD["training"], "batch_size": 1_000}}
    study = parse_study(told)
    with pytest.raises(ValueError, match="batch_size=1000 for 256 images"):
        cells.run_cell(study, Cell(study.methods[0], 0, 0), tmp_path)


@pytest.mark.parametrize("model", ["AutoEncoder", "FactorVAE", "BetaTCVAE", "InfoGAN"])
def test_every_model_can_be_a_method(model, tmp_path):
    told = {
        **TOLD,
        "measuring": {"measures": ["reconstruction_error"], "rotations": ["none"]},
        "methods": [{"name": "it", "model": model, "settings": [{}]}],
    }
    study = parse_study({**told, "training": {**TOLD["training"], "steps": 3}})
    result = cells.run_cell(study, Cell(study.methods[0], 0, 0), tmp_path)
    assert {row["measure"] for row in result["rows"]} == {"reconstruction/reconstruction_error"}
    assert all(np.isfinite(row["value"]) for row in result["rows"])
    # Of three steps none is timed.
    assert result["seconds_per_step"] is None


def test_frozen_layer_stays_as_it_was_and_an_unknown_one_is_told():
    train, _ = comparison.load_images(STUDY.images)
    frozen = dataclasses.replace(STUDY.methods[0], freeze=("projection",))
    model = cells.build_model(STUDY, Cell(frozen, 0, 0), train)
    before = model.basis.numpy()
    weights = [np.copy(w) for w in model.encoder.get_weights()]
    model.fit(train.batches(8, num_epochs=1), verbose=0)
    np.testing.assert_array_equal(model.basis.numpy(), before)
    assert any((a != b).any() for a, b in zip(weights, model.encoder.get_weights(), strict=True))
    wrong = dataclasses.replace(frozen, freeze=("basis",))
    with pytest.raises(ValueError, match="must name layers.*Received: basis. There are: .*proj"):
        cells.build_model(STUDY, Cell(wrong, 0, 0), train)


def test_worker_ends_when_the_process_that_started_it_is_killed():
    program = (
        "import concurrent.futures, multiprocessing, os\n"
        "from keras_rkm.comparison import runner\n"
        "context = multiprocessing.get_context('spawn')\n"
        "pool = concurrent.futures.ProcessPoolExecutor(1, context, runner._begin_worker)\n"
        "pool.submit(os.write, 1, b'up\\n').result()\n"
        "input()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    process = subprocess.Popen([sys.executable, "-c", program], **pipes)
    assert process.stdout.readline() == "up\n"
    process.kill()
    # The pipe ends when the last process that holds it has ended.
    assert process.communicate(timeout=60)[0] == ""
