"""On several replicas a step is that of one device, for every model, mode, update and centering."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from tests.models.distributed_training import (
    BATCH_CASE,
    CASES,
    EVALUATED_CASE,
    FLOAT64_CASE,
    MANY_STEPS,
    NUM_IMAGES,
    NUM_STEPS,
)

pytestmark = pytest.mark.slow

_ROOT = Path(__file__).resolve().parents[2]
_TOLERANCE = 1e-5
_FLOAT64_TOLERANCE = 1e-13  # of the weights; the logs are float32
_NOT_COMPARED = "orthonormality_error"  # rounding alone
_REFUSALS = {
    "networks made outside": r"features/kernel.*MirroredStrategy.*inside `with strategy.scope",
    "model made outside": r"AutoEncoder made outside.*inside `with strategy.scope",
    "optimizer made outside": r"optimizer 'sgd\w*'.*inside `with strategy.scope",
    "mixed_float16": r"LossScaleOptimizer.*2 replicas: .*mixed_bfloat16",
    "two dtypes": r"Weights of float32 and float64 .*one dtype only.*under one dtype policy",
    "batch normalization": r"'batch_normalization'.*synchronized=True",
    "jit_compile": r"jit_compile=True.*Leave it out",
    "steps_per_execution": r"steps_per_execution=2.*Leave it out",
    "gradient accumulation": r"gradient_accumulation_steps=2.*in a branch.*Leave it out",
    "overwriting by averages": r"ema_overwrite_frequency=5.*in a branch.*Leave it out",
    "clipping": r"global_clipnorm=1\.0.*Leave it out",
    "clipping of the basis": r"clipnorm=1\.0.*Leave it out",
    "validation split": r"validation_split.*Pass `validation_data`",
    "generator": r"array or a `tf.data.Dataset`.*list_iterator",
}


def _start(output, **environment):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.models.distributed_training", str(output)],
        cwd=_ROOT,
        env={**os.environ, "PYTHONPATH": str(_ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _results(processes):
    """What the programs wrote, by the files they were to write."""
    for process in processes.values():
        said, _ = process.communicate()
        assert process.returncode == 0, said
    return [json.loads(output.read_text()) for output in processes]


@pytest.fixture(scope="module")
def replicas(tmp_path_factory):
    """What one device and two replicas of one process did."""
    output = tmp_path_factory.mktemp("replicas") / "results.json"
    return _results({output: _start(output)})[0]


@pytest.fixture(scope="module")
def workers(tmp_path_factory):
    """What each of two processes did, and the model that the first one saved."""
    folder = tmp_path_factory.mktemp("workers")
    cluster = {"worker": [f"localhost:{_free_port()}" for _ in range(2)]}
    processes = {}
    for index in range(2):
        task = json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})
        output = folder / f"{index}.json"
        processes[output] = _start(output, TF_CONFIG=task)
    return _results(processes), folder / "model.keras"


def _free_port():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        return free.getsockname()[1]


def _assert_same_training(result, expected, case):
    num_steps = MANY_STEPS if case == EVALUATED_CASE else NUM_STEPS
    assert len(result["steps"]) == len(expected["steps"]) == num_steps
    _assert_same_logs(result["steps"], expected["steps"])
    _assert_same_logs([result["history"]], [expected["history"]])
    for ours, theirs in zip(result["weights"], expected["weights"], strict=True):
        error = np.linalg.norm(np.subtract(ours, theirs))
        tolerance = _FLOAT64_TOLERANCE if case == FLOAT64_CASE else _TOLERANCE
        assert error <= tolerance * max(np.linalg.norm(theirs), 1e-3)
    assert result["disagreement"] == 0


def _assert_same_logs(result, expected):
    for ours, theirs in zip(result, expected, strict=True):
        assert ours.keys() == theirs.keys()
        for name in ours.keys() - {_NOT_COMPARED, f"val_{_NOT_COMPARED}"}:
            np.testing.assert_allclose(ours[name], theirs[name], rtol=_TOLERANCE, err_msg=name)


def _assert_same_axes(result, expected):
    assert result["num_samples"] == expected["num_samples"]
    for name in ("variance", "mean", "covariance"):
        scale = np.abs(expected[name]).max()
        np.testing.assert_allclose(
            result[name], expected[name], rtol=0, atol=_TOLERANCE * scale, err_msg=name
        )
    # Found by iterations, until they move little.
    np.testing.assert_allclose(result["basis"], expected["basis"], rtol=0, atol=1e-4)


@pytest.mark.parametrize("case", CASES)
def test_two_replicas_train_as_one_device(replicas, case):
    _assert_same_training(replicas["two replicas"][case], replicas["one device"][case], case)


def test_two_replicas_evaluate_and_find_axes_as_one_device(replicas):
    result, expected = (
        replicas[strategy][EVALUATED_CASE] for strategy in ("two replicas", "one device")
    )
    _assert_same_logs([result["evaluation"]], [expected["evaluation"]])
    _assert_same_axes(result["axes"], expected["axes"])


def test_a_batch_by_itself_is_split_and_its_images_come_back_once_and_in_order(replicas):
    result, expected = (
        replicas[strategy][BATCH_CASE] for strategy in ("two replicas", "one device")
    )
    _assert_same_logs([result["tested"]], [expected["tested"]])
    for name, ours in result["predicted"].items():
        np.testing.assert_allclose(
            ours, expected["predicted"]["reconstruct"], rtol=_TOLERANCE, err_msg=name
        )


def _assert_drift_is_corrected(drift):
    [message] = drift["messages"]
    assert re.match(r"projection/basis had left .* \|\|X'X - I\|\|_F was 0\.035, above", message)
    assert drift["moved"] < 1e-6 and drift["disagreement"] == 0 and drift["error"] < 1e-6


def test_a_copy_of_the_basis_that_has_drifted_becomes_that_of_the_others(replicas):
    _assert_drift_is_corrected(replicas["two replicas"][EVALUATED_CASE]["drift"])


def _assert_running_means_are_kept(result, num_images):
    means = result["means"]
    assert means["loss"] == pytest.approx(result["history"]["loss"][-1], rel=1e-6)
    assert means["count"] == num_images
    assert means["restored"]


def test_checkpoint_keeps_the_means_over_all_replicas(replicas):
    _assert_running_means_are_kept(replicas["two replicas"][EVALUATED_CASE], NUM_IMAGES)


def test_one_worker_alone_can_save_the_means_over_all_of_them(workers):
    _assert_running_means_are_kept(workers[0][0]["training"], NUM_IMAGES)
    assert "means" not in workers[0][1]["training"]


def _assert_stopped_by_bad_batch(result):
    assert re.search(
        rf"finite.*after training step {MANY_STEPS}.*no weight", result["bad batch"]["message"]
    )
    assert result["bad batch"]["moved"] == []


def test_an_image_that_one_replica_finds_bad_stops_all_before_anything_moves(replicas):
    _assert_stopped_by_bad_batch(replicas["two replicas"][EVALUATED_CASE])


def _assert_same_after_overflow(result, expected):
    assert result["step"] == expected["step"] and result["message"] == expected["message"]
    for ours, theirs in zip(result["weights"], expected["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=_TOLERANCE, atol=1e-7)
    if expected["history"]:
        _assert_same_logs([result["history"]], [expected["history"]])


@pytest.mark.parametrize("update", ["simultaneous", "alternating"])
def test_a_gradient_of_one_replica_that_is_not_finite_reaches_no_weight(replicas, update):
    found, expected = (replicas["overflows"][name] for name in ("two replicas", "one device"))
    raised, skipped = (found[f"{update}, {policy}"] for policy in ("raise", "skip"))
    assert re.search(r"not finite, after training step 1\. .*no weight", raised["message"])
    assert skipped["history"]["skipped_steps"] == [1.0] and skipped["step"] == 2
    for policy, result in (("raise", raised), ("skip", skipped)):
        _assert_same_after_overflow(result, expected[f"{update}, {policy}"])


def test_a_graph_of_two_replicas_and_two_workers_leave_out_what_one_device_does(replicas, workers):
    overflows = replicas["overflows"]
    expected = overflows["one device"]["alternating, skip"]
    for result in [overflows["in a graph"], *(result["overflow"] for result in workers[0])]:
        _assert_same_after_overflow(result, expected)


@pytest.mark.parametrize("combination", _REFUSALS)
def test_what_cannot_work_is_refused_with_the_way_out(replicas, combination):
    assert re.search(_REFUSALS[combination], replicas["refusals"][combination])


def test_two_workers_train_as_one_device(workers, replicas):
    for result in workers[0]:
        expected = replicas["one device"][EVALUATED_CASE]
        _assert_same_training(result["training"], expected, EVALUATED_CASE)


def test_two_workers_evaluate_and_find_axes_as_one_device(workers, replicas):
    expected = replicas["one device"][EVALUATED_CASE]
    for result in workers[0]:
        _assert_same_logs([result["training"]["evaluation"]], [expected["evaluation"]])
        _assert_same_axes(result["training"]["axes"], expected["axes"])
    bases = [result["training"]["axes"]["basis"] for result in workers[0]]
    assert bases[0] == bases[1]


def test_an_image_that_one_worker_finds_bad_stops_both_before_anything_moves(workers):
    for result in workers[0]:
        _assert_stopped_by_bad_batch(result["training"])


def test_drift_of_the_basis_is_corrected_by_all_workers_alike(workers):
    for result in workers[0]:
        _assert_drift_is_corrected(result["training"]["drift"])


def test_workers_refuse_to_predict_a_part_of_the_rows_each(workers):
    for result in workers[0]:
        assert re.search(r"`predict`.*several workers.*Use `reconstruct`", result["predict"])


def test_what_one_worker_saves_alone_is_loaded_on_one_device(workers):
    model = keras.saving.load_model(workers[1])
    assert model.decoder_centering == "none" and np.isfinite(model.basis.numpy()).all()
