"""`keras-rkm compare`: a study from its file to its report."""

import csv
import re
import shutil

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

STUDY = """
seeds = [0, 1]

[images]
name = "dsprites_like"
num_images = 128
image_size = 16
num_test_images = 150

[training]
steps = 25
batch_size = 32
latent_dim = 2
capacity = 2
feature_dim = 8

[measuring]
measures = ["reconstruction_error", "dci_lasso"]
rotations = ["none", "random"]
samplers = ["gaussian"]

[tuning]
seeds = [5]
score = "reconstruction/reconstruction_error/squared_error"

[[methods]]
name = "St-RKM"
model = "StiefelRKM"
settings = [{}, {mean_penalty = 0.0}]

[[methods]]
name = "VAE"
model = "VariationalAutoencoder"
settings = [{}, {beta = 2.0}]
"""


@pytest.fixture(scope="module")
def study_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("studies") / "tiny.toml"
    path.write_text(STUDY)
    return path


@pytest.fixture
def compare(run_alone):
    def run(study, folder, *arguments):
        return run_alone("compare", f"--study={study}", f"--output_dir={folder}", *arguments)

    return run


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """Where the results of the first test stay for the others."""
    return tmp_path_factory.mktemp("kept") / "results"


def test_study_is_run_reported_and_not_repeated(compare, study_file, kept):
    result = compare(study_file, kept, "--images=dsprites_like")
    assert result.status == 0, result.err
    assert "tuning 4/4" in result.out
    assert "reported 4/4" in result.out
    report = (kept / "report.md").read_text()
    assert "| St-RKM | StiefelRKM | 2 |" in report
    assert "Differences to St-RKM" in report
    command = f"keras-rkm compare --study={study_file} --images=dsprites_like --output_dir={kept}"
    assert command in report
    assert "![traversal-none](pictures/vae-traversal.png)" in report
    assert (kept / "pictures" / "st-rkm-samples-gaussian.png").is_file()
    with (kept / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["seed"] for row in rows} == {"0", "1", "5"}
    assert {row["method"] for row in rows} == {"St-RKM", "VAE"}
    times = {path: path.stat().st_mtime_ns for path in kept.rglob("result.json")}
    assert len(times) == 8
    _assert_trials(kept, rows)
    again = compare(study_file, kept, "--images=dsprites_like")
    assert again.status == 0, again.err
    assert times == {path: path.stat().st_mtime_ns for path in kept.rglob("result.json")}
    assert (kept / "report.md").read_text() == report


def _assert_trials(folder, rows):
    """Every model is a trial for TensorBoard, with the numbers of results.csv."""
    trials = sorted((folder / "tensorboard").glob("*/*"))
    assert len(trials) == 8
    trial = folder / "tensorboard" / "vae" / "setting-1-seed-5"
    accumulator = EventAccumulator(str(trial), size_guidance={"tensors": 0})
    accumulator.Reload()
    metadata = accumulator.SummaryMetadata("_hparams_/session_start_info")
    data = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
    values = data.session_start_info.hparams
    assert values["method"].string_value == "VAE"
    assert values["beta"].number_value == 2.0
    assert values["seed"].number_value == 5
    own = {
        (row["measure"], row["score"], row["rotation"], row["sampler"]): float(row["value"])
        for row in rows
        if row["method"] == "VAE" and row["setting"] == '{"beta": 2.0}' and row["seed"] == "5"
    }
    tags = {tag for tag in accumulator.Tags()["tensors"] if not tag.startswith("_hparams_")}
    assert tags == {"/".join(filter(None, key)) for key in own}
    assert "disentanglement/dci_lasso/disentanglement/random" in tags
    for key, value in own.items():
        (event,) = accumulator.Tensors("/".join(filter(None, key)))
        assert float(tf.make_ndarray(event.tensor_proto)) == pytest.approx(value, rel=1e-4)


@pytest.mark.slow
def test_study_that_lost_a_cell_runs_that_one_alone(compare, study_file, kept, tmp_path):
    folder = shutil.copytree(kept, tmp_path / "results")
    lost = folder / "cells" / "vae"
    (first, *_) = sorted(lost.iterdir())
    shutil.rmtree(first)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
    result = compare(study_file, folder, "--num_workers=1")
    assert result.status == 0, result.err
    after = {path: path.stat().st_mtime_ns for path in folder.rglob("result.json")}
    assert set(after) - set(before) == {first / "result.json"}
    assert all(after[path] == before[path] for path in before)
    report = (folder / "report.md").read_text()
    assert report.count("|") == (kept / "report.md").read_text().count("|")


def test_model_that_fails_is_told_and_the_others_are_reported(compare, tmp_path):
    text = STUDY.split("[tuning]")[0].replace("seeds = [0, 1]", "seeds = [0]")
    text += '[[methods]]\nname = "good"\nmodel = "AutoEncoder"\nsettings = [{}]\n'
    text += (
        '[[methods]]\nname = "bad"\nmodel = "VariationalAutoencoder"\nsettings = [{beta = -2.0}]\n'
    )
    (tmp_path / "study.toml").write_text(text)
    result = compare(tmp_path / "study.toml", tmp_path / "results")
    assert result.status == 1
    # Above it stand the notes that TensorFlow prints in every process before it can be stopped.
    error = result.err.splitlines()[-1]
    assert "1 models could not be trained or measured" in error
    assert "`beta`" in error
    assert "Traceback" not in result.err
    assert "| good |" in (tmp_path / "results" / "report.md").read_text()


@pytest.mark.slow
def test_study_whose_tuning_is_not_whole_chooses_nothing(compare, tmp_path):
    text = STUDY.split("[[methods]]")[0] + '[[methods]]\nname = "bad"\n'
    text += 'model = "VariationalAutoencoder"\nsettings = [{beta = -2.0}, {beta = -3.0}]\n'
    (tmp_path / "study.toml").write_text(text)
    result = compare(tmp_path / "study.toml", tmp_path / "results")
    assert result.status == 1
    error = result.err.splitlines()[-1]
    assert "2 models could not be trained or measured. bad, setting-" in error
    assert "`beta`" in error
    assert not (tmp_path / "results" / "report.md").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("[training]", "[trainings]"), r"Unknown: trainings|needs a table \[training\]"),
        (('"dsprites_like"', '"nowhere_at_all"'), "nowhere_at_all"),
        (("steps = 25", "steps = -1"), "steps must be a positive int"),
        (("settings = [{}, {mean_penalty = 0.0}]", "settings = [{}]"), "equal tuning"),
    ],
)
def test_mistakes_in_the_file_are_told_in_one_line(compare, tmp_path, change, message):
    (tmp_path / "study.toml").write_text(STUDY.replace(*change))
    result = compare(tmp_path / "study.toml", tmp_path / "results")
    assert result.status == 1
    assert re.search(message, result.error)
    assert not (tmp_path / "results").exists()


def test_study_file_must_be_there(compare, tmp_path):
    result = compare(tmp_path / "nowhere.toml", tmp_path / "results")
    assert result.status == 1
    assert "nowhere.toml' cannot be read" in result.error
