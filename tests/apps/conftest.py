"""Runs a command in this process, as `python -m apps.NAME` would."""

import contextlib
import copy
import dataclasses
import functools
import importlib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver

from apps import errors, train
from keras_rkm import networks, samplers
from keras_rkm.models import InfoGAN, StiefelRKM

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


@pytest.fixture
def run_alone(run_command):
    """A function `run_alone(name, *arguments) -> Result`, for a command that shares flag names.

    A command defines its flags when it is imported, and two of them may use one name. So each is
    imported and run among its own flags, as in a process of its own; no test imports it itself.
    """

    def run(name, *arguments):
        module, own = _import_alone(name)
        with _flags(own):
            return run_command(module.main, *arguments)

    return run


@functools.cache
def _import_alone(name):
    with _flags(_flags_of_absl()):
        module = importlib.import_module(f"apps.{name}")
        return module, _copied(vars(flags.FLAGS))


def _flags_of_absl():
    with _flags(vars(flags.FLAGS)):
        for name in list(flags.FLAGS):
            if flags.FLAGS.find_module_defining_flag(name, "").startswith("apps."):
                delattr(flags.FLAGS, name)
        return _copied(vars(flags.FLAGS))


@contextlib.contextmanager
def _flags(state):
    """Has absl's one collection of flags hold those of `state`."""
    before = dict(vars(flags.FLAGS))
    try:
        vars(flags.FLAGS).update(_copied(state))
        yield
    finally:
        vars(flags.FLAGS).update(before)


def _copied(state):
    """Copies of the tables of flags, but the flags themselves."""
    return {
        key: {
            name: copy.copy(entry) if isinstance(entry, list) else entry
            for name, entry in table.items()
        }
        if isinstance(table, dict)
        else table
        for key, table in state.items()
    }


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


@pytest.fixture(scope="session")
def vivid(tmp_path_factory):
    """A run folder of a model that no training has made, whose latents change its images a lot.

    After a run of a second all images are grey, and so would be those of any mistake.
    """
    model = StiefelRKM(
        networks.dense_encoder((16, 16, 1), 8, hidden_dims=(), seed=1),
        networks.dense_decoder(8, (16, 16, 1), hidden_dims=(16,), seed=2),
        latent_dim=3,
        seed=0,
    )
    for weight in model.encoder.trainable_weights + model.decoder.trainable_weights:
        weight.assign(3 * weight)
    images = np.random.default_rng(0).random((64, 16, 16, 1), "float32")
    model.fit_principal_axes(images)
    folder = tmp_path_factory.mktemp("vivid") / "run"
    folder.mkdir()
    model.save(folder / "model.keras")
    samplers.GaussianSampler().adapt(model.encode(images)).save(folder / "sampler.keras")
    return folder


@pytest.fixture(scope="session")
def baseline(tmp_path_factory):
    """A run folder of a model that is no StiefelRKM, and draws more than its latents."""
    model = InfoGAN(
        networks.dense_encoder((16, 16, 1), 8, hidden_dims=(), seed=1),
        networks.dense_decoder(8, (16, 16, 1), hidden_dims=(16,), seed=2),
        latent_dim=3,
        seed=0,
    )
    folder = tmp_path_factory.mktemp("baseline") / "run"
    folder.mkdir()
    model.save(folder / "model.keras")
    samplers.StandardNormalSampler(latent_dim=3).save(folder / "sampler.keras")
    return folder
