"""Two workers of one training: one is killed or to stop, and both go on as if it had not been."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

import keras_rkm
from apps.run_folder import RunFolder
from keras_rkm.checkpoints import CheckpointStore

from .conftest import SMALL

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 240  # until a worker has to have ended, on a loaded machine
_STEPS = 30  # 5 epochs


class _Workers:
    """The processes of a training on two workers of this machine."""

    def __init__(self, folder, *arguments):
        ports = _free_ports(2)
        cluster = {"worker": [f"localhost:{port}" for port in ports]}
        self.processes = [
            subprocess.Popen(
                [
                    *(sys.executable, "-m", "apps.train", "--strategy=multi_worker"),
                    *(f"--output_dir={folder}", *arguments),
                ],
                cwd=_ROOT,
                env={
                    **os.environ,
                    "TF_CONFIG": json.dumps(
                        {"cluster": cluster, "task": {"type": "worker", "index": index}}
                    ),
                    "TF_NUM_INTRAOP_THREADS": "1",
                    "TF_NUM_INTEROP_THREADS": "1",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for index in range(len(ports))
        ]

    def wait(self):
        """Returns status, standard output and standard error of each, once all have ended."""
        try:
            told = [process.communicate(timeout=_SECONDS) for process in self.processes]
        finally:
            for process in self.processes:
                process.kill()  # what has not ended
        return [(p.returncode, *texts) for p, texts in zip(self.processes, told, strict=True)]


def _free_ports(number):
    sockets = [socket.socket() for _ in range(number)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _flags():
    return (*SMALL, f"--steps={_STEPS}", "--checkpoint_steps=2", "--summary_share=0")


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("uninterrupted") / "run"
    assert [status for status, *_ in _Workers(folder, *_flags()).wait()] == [0, 0]
    return folder


def _wait_for_steps(folder, steps):
    store = CheckpointStore(folder / "checkpoints")
    _wait_until(lambda: max(store.steps(), default=0) >= steps, "no checkpoint came")


def _wait_until(is_so, otherwise):
    end = time.monotonic() + _SECONDS
    while not is_so():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)


def _contents(folder):
    """All that a run comes to, but for dates and durations."""
    model = keras_rkm.load(folder / "model.keras").model
    with zipfile.ZipFile(folder / "sampler.keras") as archive:
        crcs = {m.filename: m.CRC for m in archive.infolist() if m.filename != "metadata.json"}
    metrics = RunFolder(folder).read_metrics()
    metrics.pop("training_seconds")
    weights = [variable.numpy().tobytes() for variable in model.variables]
    return weights, crcs, metrics, (folder / "history.csv").read_bytes()


@pytest.mark.parametrize("killed", [0, 1], ids=["chief", "other"])
def test_training_of_which_a_worker_was_killed_ends_as_one_that_was_not(
    uninterrupted, tmp_path, killed
):
    folder = tmp_path / "run"
    workers = _Workers(folder, *_flags())
    _wait_for_steps(folder, 8)  # of 6 an epoch
    workers.processes[killed].send_signal(signal.SIGKILL)
    ends = workers.wait()
    assert ends[killed][0] == -signal.SIGKILL
    status, _, error = ends[1 - killed]
    assert status == 1
    assert "another worker is gone" in error and "--resume" in error
    assert "Traceback" not in error
    assert not (folder / "metrics.json").exists()  # It was in the middle.

    ends = _Workers(folder, "--resume").wait()
    assert [status for status, *_ in ends] == [0, 0], ends
    begin = re.search(r"^Training: .* from step (\d+) on", ends[0][1], re.MULTILINE)
    assert int(begin[1]) >= 8
    assert _contents(folder) == _contents(uninterrupted)


def test_worker_that_is_to_stop_has_the_chief_save(tmp_path):
    folder = tmp_path / "run"
    # Far from its end, and without another checkpoint.
    workers = _Workers(folder, *SMALL, "--steps=100000", "--checkpoint_every=100000")
    history = folder / "history.csv"
    _wait_until(lambda: history.is_file() and history.stat().st_size > 0, "no epoch ended")
    workers.processes[1].send_signal(signal.SIGTERM)
    ends = workers.wait()
    assert [status for status, *_ in ends] == [143, 143], ends
    [step] = CheckpointStore(folder / "checkpoints").steps()
    for _, _, error in ends:
        assert f"terminated. The last good checkpoint, after {step} steps" in error
        assert "Traceback" not in error
