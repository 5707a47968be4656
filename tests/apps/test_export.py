"""`keras-rkm export`: from a run folder to a version in a server's folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from keras_rkm import export as library
from tests.serving.c_api import Session


@pytest.fixture
def export(run_alone):
    """A function `export(*arguments) -> Result`."""

    def run(*arguments):
        return run_alone("export", *arguments)

    return run


@pytest.fixture
def run_copy(finished, tmp_path):
    """The finished run, to be written to."""
    return shutil.copytree(finished, tmp_path / "run")


def test_versions_pile_up_in_the_run_folder_until_they_are_pruned(export, run_copy):
    base = run_copy / "serving"
    first = export(f"--run={run_copy}")
    assert first.status == 0, first.err
    path = base / "st_rkm" / "1"
    assert f"Wrote '{path}' with the signatures decode, encode, generate" in first.out
    assert f"-v '{base}:/models' tensorflow/serving --model_config_file=/models/m" in first.out
    manifest = library.verify_export(path)
    assert manifest["metadata"]["metrics"] == json.loads((run_copy / "metrics.json").read_text())
    assert "--latent_dim=3" in manifest["metadata"]["flags"]
    assert export(f"--run={run_copy}", "--keep=1").status == 0
    assert [path.name for path in (base / "st_rkm").iterdir()] == ["2"]
    verified = export(f"--verify={base / 'st_rkm' / '2'}")
    assert (verified.status, "is whole" in verified.out) == (0, True)


@pytest.mark.slow
def test_notes_of_tensorflow_are_shown_on_request_only(finished, tmp_path):
    def stderr(*arguments):
        output_dir = f"--output_dir={tmp_path}"
        return subprocess.run(
            [sys.executable, "-m", "apps.export", f"--run={finished}", output_dir, *arguments],
            cwd=Path(__file__).resolve().parents[2],
            check=True,
            capture_output=True,
            text=True,
        ).stderr

    assert "Assets written" not in stderr()
    assert "Assets written" in stderr("--verbosity=0")


def test_flags_reach_the_exported_version(export, run_copy, tmp_path):
    result = export(
        f"--run={run_copy}",
        f"--output_dir={tmp_path / 'models'}",
        "--name=faces",
        "--version=12",
        "--num_steps=5",
        "--max_stddev=2",
        "--serving_root=/srv",
    )
    assert result.status == 0, result.err
    manifest = library.verify_export(tmp_path / "models" / "faces" / "12")
    assert manifest["traverse_steps"] == [-2, -1, 0, 1, 2]
    assert 'base_path: "/srv/faces"' in (tmp_path / "models" / "models.config").read_text()
    with Session(tmp_path / "models" / "faces" / "12") as session:
        assert len(session.run("generate", {"seed": [1, 2]})["images"]) == 2


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "give either --run, to export it, or --verify"),
        (["--run=a", "--verify=b"], 2, "give either --run, to export it, or --verify"),
        (["--run=nowhere"], 1, "Received: 'nowhere', which does not exist"),
        (["--verify=nowhere"], 1, "Received: path='nowhere'"),
        (["--run=RUN", "--name=a/b"], 1, "Received: name='a/b'"),
        (["--run=RUN", "--keep=0"], 2, "keep"),
        (["--run=RUN", "--output_dir=/proc/models"], 1, "/proc/models"),
    ],
)
def test_mistakes_end_with_one_line(export, run_copy, arguments, status, message):
    result = export(*(argument.replace("RUN", str(run_copy)) for argument in arguments))
    assert result.status == status
    assert message in result.error
    assert not (run_copy / "serving").exists()


def test_a_version_that_is_taken_is_left_alone(export, run_copy):
    taken = run_copy / "serving" / "st_rkm" / "3"
    taken.mkdir(parents=True)
    result = export(f"--run={run_copy}", "--version=3")
    assert result.status == 1
    assert "Received: version=3" in result.error
    assert list(taken.iterdir()) == []


def test_damaged_metrics_are_named(export, run_copy):
    (run_copy / "metrics.json").write_text("{")
    assert "metrics.json' is damaged" in export(f"--run={run_copy}").error
    assert not (run_copy / "serving").exists()


def test_a_run_without_a_sampler_says_how_to_go_on(export, run_copy):
    (run_copy / "sampler.keras").unlink()
    assert "has no sampler of latents to export with it" in export(f"--run={run_copy}").error


def test_a_model_to_compare_with_is_exported_too(export, baseline, tmp_path):
    result = export(f"--run={baseline}", f"--output_dir={tmp_path}")
    assert result.status == 0, result.err
    manifest = library.verify_export(tmp_path / "st_rkm" / "1")
    assert manifest["latent_stddev"] == [1, 1, 1]
