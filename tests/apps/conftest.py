"""Runs a command in this process, as `python -m apps.NAME` would."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags
from absl.testing import flagsaver

from apps import errors, train

_ROOT = Path(__file__).resolve().parents[2]

# 6 steps an epoch.
SMALL = (
    "--image_size=16",
    "--num_images=100",
    "--capacity=2",
    "--feature_dim=8",
    "--latent_dim=3",
    "--batch_size=16",
)


@dataclasses.dataclass(frozen=True)
class Result:
    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The only line on standard error; anything more fails the test."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0]


@pytest.fixture
def run_command(capfd):
    """A function `run_command(main, *arguments) -> Result`."""

    def run(main, *arguments) -> Result:
        capfd.readouterr()
        with flagsaver.flagsaver():
            for name in flags.FLAGS:
                flags.FLAGS[name].present = 0
            flags.FLAGS.unparse_flags()
            with pytest.raises(SystemExit) as ended:
                errors.run(main, [f"keras-rkm {main.__module__.split('.')[-1]}", *arguments])
        captured = capfd.readouterr()
        return Result(ended.value.code or 0, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def small_flags():
    """The flags of a run that takes a second."""
    return SMALL


@pytest.fixture
def train_run(run_command):
    """A function `train_run(folder, *arguments) -> Result`, a small run in this process."""

    def run(folder, *arguments):
        return run_command(train.main, *SMALL, f"--output_dir={folder}", *arguments)

    return run


@pytest.fixture(scope="session")
def run_process():
    """A function that runs `python -m apps.train` with the given flags."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "apps.train", *arguments],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=120,
        )

    return run


@pytest.fixture(scope="session")
def finished(tmp_path_factory, run_process):
    """The folder of a small run of three epochs, by `python -m apps.train` itself."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    result = run_process(*SMALL, "--epochs=3", f"--output_dir={folder}")
    assert result.returncode == 0, result.stderr
    return folder
