"""`keras-rkm train --strategy`: what it refuses, and that it trains as without."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from apps import strategy, train
from apps.run_folder import RunFolder


def test_several_workers_need_their_cluster_in_the_environment(train_run, tmp_path, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    result = train_run(tmp_path / "run", "--strategy=multi_worker")
    assert result.status == 2
    assert "needs the environment variable TF_CONFIG" in result.error
    assert '"worker": ["host1:12345", "host2:12345"]' in result.error
    assert not (tmp_path / "run").exists()


CLUSTER = {"worker": ["localhost:1", "localhost:2"]}


@pytest.mark.parametrize(
    "config",
    [
        "{'cluster'",
        "[]",
        {"cluster": CLUSTER},
        {"cluster": CLUSTER, "task": {"type": "worker", "index": 2}},
        {"cluster": CLUSTER, "task": {"type": "worker", "index": "first"}},
        {"cluster": CLUSTER, "task": {"type": "chief", "index": 0}},
        {"cluster": {"ps": ["localhost:1"]}, "task": {"type": "ps", "index": 0}},
    ],
)
def test_a_cluster_that_makes_no_sense_is_refused(train_run, tmp_path, monkeypatch, config):
    text = config if isinstance(config, str) else json.dumps(config)
    monkeypatch.setenv("TF_CONFIG", text)
    result = train_run(tmp_path / "run", "--strategy=multi_worker")
    assert result.status == 2
    assert f"Received: {text}" in result.error


@pytest.mark.parametrize(
    "task, with_chief, expected",
    [
        ({"type": "worker", "index": 0}, False, True),
        ({"type": "worker", "index": 1}, False, False),
        ({"type": "worker", "index": 0}, True, False),
        ({"type": "chief", "index": 0}, True, True),
    ],
)
def test_one_worker_is_the_chief(task, with_chief, expected):
    cluster = {**CLUSTER, **({"chief": ["localhost:3"]} if with_chief else {})}
    assert strategy._is_chief({"cluster": cluster, "task": task}) == expected


def test_mixed_float16_is_refused_before_anything_is_made(train_run, tmp_path):
    result = train_run(tmp_path / "run", "--strategy=mirrored", "--mixed_precision=mixed_float16")
    assert result.status == 2
    assert "mixed_bfloat16" in result.error
    assert not (tmp_path / "run").exists()


def test_a_mirrored_run_has_the_numbers_of_a_plain_one_and_its_flags(finished, train_run, tmp_path):
    # One device, since this process has no more; tests/models/test_distribution.py has several.
    folder = tmp_path / "run"
    result = train_run(folder, "--epochs=3", "--strategy=mirrored")
    assert result.status == 0
    assert "Devices: 1, of --strategy=mirrored." in result.out
    folders = RunFolder(folder), RunFolder(finished)
    ours, expected = (folder.read_history() for folder in folders)
    for name in expected.keys() - {"orthonormality_error", "val_orthonormality_error"}:
        np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5, err_msg=name)
    flags = [folder.flags_file.read_text() for folder in folders]
    assert flags[0] == flags[1]


def test_a_run_of_one_device_goes_on_under_a_strategy(finished, run_command, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    (folder / "metrics.json").unlink()
    result = run_command(train.main, f"--output_dir={folder}", "--resume", "--strategy=mirrored")
    assert result.status == 0 and "are done already" in result.out
    ours, expected = (RunFolder(path).read_metrics() for path in (folder, finished))
    for name in ("loss", "explained_variance"):
        np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5, err_msg=name)


def test_gpus_give_memory_as_it_is_needed(monkeypatch):
    grown = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [f"{kind}:0", f"{kind}:1"])
    monkeypatch.setattr(
        tf.config.experimental, "set_memory_growth", lambda *device: grown.append(device)
    )
    strategy.Devices("none")
    assert grown == [("GPU:0", True), ("GPU:1", True)]


def test_batches_are_sent_ahead_to_a_gpu_and_the_run_is_the_same(
    finished, train_run, tmp_path, monkeypatch
):
    # The CPU in the place of a GPU, which is not there.
    place = tf.config.LogicalDevice(name="/device:CPU:0", device_type="GPU")
    actual, asked = tf.config.list_logical_devices, []

    def list_logical_devices(kind=None):
        asked.append(kind)
        return [place] if kind == "GPU" else actual(kind)

    monkeypatch.setattr(tf.config, "list_logical_devices", list_logical_devices)
    batches = tf.data.Dataset.range(3)
    sent = strategy.Devices("none").to_device(batches)
    assert type(sent) is not type(batches) and list(sent.as_numpy_iterator()) == [0, 1, 2]
    asked.clear()
    assert train_run(tmp_path / "run", "--epochs=3").status == 0
    assert "GPU" in asked
    history = (tmp_path / "run" / "history.csv").read_text()
    assert history == (finished / "history.csv").read_text()


def test_a_worker_that_is_gone_is_told_in_a_line(monkeypatch):
    devices = strategy.Devices("none")
    devices.strategy = tf.distribute.get_strategy()
    monkeypatch.setattr(strategy._replicas, "in_multi_worker_mode", lambda _: True)
    with (
        pytest.raises(strategy.CommandError, match="another worker is gone.*--resume"),
        devices.speaking_once(),
    ):
        raise tf.errors.UnavailableError(None, None, "socket closed")


def test_only_the_chief_prints(capsys):
    devices = strategy.Devices("none")
    devices.is_chief = False
    with devices.speaking_once():
        print("a worker")
    assert capsys.readouterr().out == ""
    assert train.Devices is strategy.Devices
