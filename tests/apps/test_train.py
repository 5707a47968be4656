"""`keras-rkm train`: real runs, small ones, in temporary folders."""

import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

from apps import fitting, train
from apps.run_folder import RunFolder
from keras_rkm import datasets, samplers
from keras_rkm.datasets import shard_stream
from keras_rkm.models import StiefelRKM

_ROOT = Path(__file__).resolve().parents[2]


def _weights(folder):
    model = RunFolder(folder).load_checkpoint().model
    return [np.asarray(v) for v in [*model.variables, *model.optimizer.variables]]


def _assert_same_run(folder, other):
    for a, b in zip(_weights(folder), _weights(other), strict=True):
        np.testing.assert_array_equal(a, b)
    assert _history(folder) == _history(other)
    ours, theirs = _metrics(folder), _metrics(other)
    for metrics in (ours, theirs):
        del metrics["training_seconds"]
    assert ours == theirs


def _history(folder):
    with (folder / "history.csv").open() as file:
        return list(csv.DictReader(file))


def _metrics(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_run_folder_holds_all_that_is_promised(finished):
    files = {str(path.relative_to(finished)) for path in finished.rglob("*") if path.is_file()}
    events = {name for name in files if name.startswith("tensorboard")}
    assert {name.split("/")[1] for name in events} == {
        *("basis", "final", "latents", "pictures", "projector", "scatter", "train", "validation"),
    }
    assert files - events == {
        "checkpoints/step_00000006.keras",
        "checkpoints/step_00000012.keras",
        "checkpoints/step_00000018.keras",
        "data.json",
        "flags.txt",
        "history.csv",
        "latents.png",
        "metrics.json",
        "model.keras",
        "reconstructions.png",
        "sampler.keras",
        "samples.png",
        "spectrum.png",
        "training_curves.png",
        "traversal.png",
    }


def test_history_has_a_row_an_epoch_with_all_logs(finished):
    rows = _history(finished)
    assert [row["epoch"] for row in rows] == ["0", "1", "2"]
    names = {"loss", "reconstruction_loss", "pca_loss", "orthonormality_error"}
    assert set(rows[0]) == {"epoch"} | names | {f"val_{name}" for name in names}
    assert float(rows[2]["loss"]) < float(rows[0]["loss"])


def test_model_of_the_run_has_its_axes_in_order_and_its_metrics(finished):
    model = keras.saving.load_model(finished / "model.keras")
    metrics = _metrics(finished)
    assert isinstance(model, StiefelRKM)
    variance = np.asarray(model.explained_variance)
    np.testing.assert_allclose(variance, metrics["explained_variance"], rtol=1e-6)
    assert (np.diff(variance) < 0).all()
    assert metrics["orthonormality_error"] < 1e-5
    assert len(metrics["principal_angles"]) == 3
    assert metrics["steps"] == 18
    assert metrics["versions"]["keras"] == keras.__version__
    _, held_out = train.load_train_and_held_out("dsprites_like", num_images=100, image_size=16)
    losses = model.evaluate(held_out.batches(16, shuffle=False), verbose=0, return_dict=True)
    assert losses["loss"] == pytest.approx(metrics["loss"], rel=1e-5)


@pytest.mark.slow
def test_axes_are_those_of_the_flag(finished, train_run, tmp_path):
    assert _metrics(finished)["axes"] == "ica"
    assert "--axes=ica" in (finished / "flags.txt").read_text()
    bases = [keras.saving.load_model(finished / "model.keras").basis.numpy()]
    for method in ("rotate", "joint_diagonalization", "recompute"):
        folder = tmp_path / method
        result = train_run(folder, "--epochs=3", f"--axes={method}")
        assert result.status == 0, result.err
        assert f"Axes ({method}): 3 of them explain" in result.out
        assert _metrics(folder)["axes"] == method
        assert _history(folder) == _history(finished)
        bases.append(keras.saving.load_model(folder / "model.keras").basis.numpy())
        if method != "recompute":  # the span is the same
            np.testing.assert_allclose(
                bases[-1] @ bases[-1].T, bases[0] @ bases[0].T, atol=1e-5, err_msg=method
            )
    for index, basis in enumerate(bases):
        assert all(np.abs(basis - other).max() > 1e-3 for other in bases[:index])


def test_sampler_of_the_run_fits_its_latents(finished):
    model = keras.saving.load_model(finished / "model.keras")
    sampler = samplers.load_sampler(finished / "sampler.keras")
    images, _ = train.load_train_and_held_out("dsprites_like", num_images=100, image_size=16)
    latents = np.asarray(model.encode(images.images.astype("float32") / 255))
    covariance = np.asarray(sampler.scale_tril) @ np.asarray(sampler.scale_tril).T
    np.testing.assert_allclose(covariance, np.cov(latents.T, bias=True), atol=1e-4 * latents.var())


def test_traversal_has_a_row_an_axis(finished):
    with Image.open(finished / "traversal.png") as picture:
        width, height = picture.size
    assert height > 3 * 64
    assert width > 13 * 64


def test_flags_file_repeats_the_run(finished, run_command, tmp_path):
    result = run_command(
        train.main, f"--flagfile={finished / 'flags.txt'}", f"--output_dir={tmp_path / 'again'}"
    )
    assert result.status == 0, result.err
    _assert_same_run(tmp_path / "again", finished)
    text = (finished / "flags.txt").read_text()
    assert (tmp_path / "again" / "flags.txt").read_text() == text
    assert "output_dir" not in text


def test_another_seed_gives_another_run(finished, train_run, tmp_path):
    assert train_run(tmp_path / "run", "--epochs=1", "--seed=1").status == 0
    assert _history(tmp_path / "run")[0] != _history(finished)[0]


def test_run_that_was_killed_goes_on_as_if_it_had_not_been(
    finished, train_run, small_flags, tmp_path
):
    folder = tmp_path / "run"
    _run_and_kill(folder, *small_flags, "--epochs=3", "--checkpoint_steps=4")
    assert (folder / ".lock").exists()
    # The row of an epoch whose checkpoint was never written is there, and half a one.
    with (folder / "history.csv").open("a") as file:
        file.write("1,4.5,6.7\n2,8")
    result = train_run(folder, "--resume")
    assert result.status == 0, result.err
    assert "from step 8 on" in result.out
    _assert_same_run(folder, finished)


@pytest.mark.slow
def test_run_that_was_killed_in_its_last_epoch_which_is_none_goes_on_to_its_last_step(
    train_run, small_flags, tmp_path
):
    steps = ("--steps=10", "--checkpoint_steps=1")
    assert train_run(tmp_path / "whole", *steps).status == 0
    _run_and_kill(tmp_path / "run", *small_flags, *steps)
    result = train_run(tmp_path / "run", "--resume")
    assert result.status == 0, result.err
    assert "from step 8 on" in result.out
    _assert_same_run(tmp_path / "run", tmp_path / "whole")


def _run_and_kill(folder, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", _KILL_IN_EPOCH_2, *arguments, f"--output_dir={folder}"],
        cwd=_ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert process.wait(120) == -signal.SIGKILL


# A process that kills itself in the middle of the second epoch, after its ninth step.
_KILL_IN_EPOCH_2 = """
import os, signal, sys
from apps import errors, fitting, train

def on_train_batch_end(self, batch, logs=None, original=fitting._LastStep.on_train_batch_end):
    original(self, batch, logs)
    if self._step == 9:
        os.kill(os.getpid(), signal.SIGKILL)

fitting._LastStep.on_train_batch_end = on_train_batch_end
errors.run(train.main, ["keras-rkm train", *sys.argv[1:]])
"""


@pytest.mark.slow
def test_run_on_a_stream_that_broke_off_goes_on_as_if_it_had_not(
    run_command, small_flags, tmp_path, monkeypatch
):
    monkeypatch.setattr(shard_stream, "WINDOW_BYTES", 30 * 16 * 16)  # not a multiple of a batch
    images = datasets.load("dsprites_like", num_images=100, image_size=16)
    datasets.write_tfrecords(images, tmp_path / "shards", images_per_shard=9)
    flags = [flag for flag in small_flags if not flag.startswith(("--image_size", "--num_images"))]
    flags += [f"--dataset={tmp_path / 'shards'}", "--epochs=2", "--checkpoint_steps=3"]
    flags.append("--summary_share=0")
    monkeypatch.setattr(train, "_finish", lambda *arguments: None)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert run_command(train.main, *flags, f"--output_dir={whole}").status == 0

    def break_off(self, batch, logs=None, original=fitting._LastStep.on_train_batch_end):
        original(self, batch, logs)
        if self._step == 7:  # one step after a checkpoint, in the second epoch
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(fitting._LastStep, "on_train_batch_end", break_off)
        assert run_command(train.main, *flags, f"--output_dir={broken}").status == 130
    result = run_command(train.main, f"--output_dir={broken}", "--resume")
    assert result.status == 0, result.err
    assert "5 in an epoch, from step 6 on" in result.out
    for ours, theirs in zip(_weights(broken), _weights(whole), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert _history(broken) == _history(whole)


def test_resume_takes_the_flags_of_the_run(finished, run_command, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "flags.txt").write_text((finished / "flags.txt").read_text())
    # As after a crash in the first epoch, when there is nothing but the flags.
    result = run_command(train.main, f"--output_dir={folder}", "--resume")
    assert result.status == 0, result.err
    _assert_same_run(folder, finished)


def test_resume_of_a_finished_run_only_writes_its_results_again(finished, run_command):
    before = (finished / "metrics.json").read_text()
    (finished / "metrics.json").unlink()
    result = run_command(train.main, f"--output_dir={finished}", "--resume")
    assert "all 18 steps are done already" in result.out, result.err
    ours, theirs = _metrics(finished), json.loads(before)
    assert ours["loss"] == theirs["loss"]
    assert len(_history(finished)) == 3


def test_steps_end_the_run_in_mid_epoch_and_checkpoints_are_as_far_apart_as_asked_for(
    train_run, tmp_path
):
    result = train_run(tmp_path / "run", "--steps=20", "--checkpoint_every=2")
    assert result.status == 0, result.err
    folder = RunFolder(tmp_path / "run")
    assert folder.store.steps() == [12, 20]
    found = folder.load_checkpoint()
    assert (int(found.model.optimizer.iterations), found.position.step) == (20, 20)
    assert len(_history(tmp_path / "run")) == 4


@pytest.mark.slow
def test_evaluations_while_training_are_those_asked_for(train_run, tmp_path):
    classifier = tmp_path / "classifier.keras"
    keras.Sequential(
        [keras.Input((16, 16, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    ).save(classifier)
    result = train_run(
        tmp_path / "run",
        *("--epochs=4", "--evaluate_every=2", "--num_images=400", f"--features={classifier}"),
    )
    assert result.status == 0, result.err
    accumulator = EventAccumulator(str(tmp_path / "run" / "tensorboard" / "evaluation"))
    accumulator.Reload()
    for tag in (
        "reconstruction/reconstruction_error/squared_error",
        "disentanglement/dci_lasso/disentanglement",
        "disentanglement/importances",
        "generation/frechet_distance/value",
    ):
        assert [event.step for event in accumulator.Tensors(tag)] == [1, 3], tag
    assert "--evaluate_every=2" in (tmp_path / "run" / "flags.txt").read_text()


def test_training_is_not_evaluated_by_default(finished):
    assert not (finished / "tensorboard" / "evaluation").exists()


def _tags(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator, set(accumulator.Tags()["tensors"])


def test_finished_run_is_a_trial_with_its_flags_scores_and_pictures(finished):
    accumulator, tags = _tags(finished / "tensorboard" / "final")
    metadata = accumulator.SummaryMetadata("_hparams_/session_start_info")
    data = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
    values = data.session_start_info.hparams
    assert values["latent_dim"].number_value == 3
    assert values["dataset"].string_value == "dsprites_like"
    pictures = {"samples", "latents", "traversal", "reconstructions", "spectrum", "training_curves"}
    assert pictures < tags
    (event,) = accumulator.Tensors("loss")
    assert event.step == 18
    assert float(tf.make_ndarray(event.tensor_proto)) == pytest.approx(_metrics(finished)["loss"])
    (event,) = accumulator.Tensors("samples")
    drawn = tf.io.decode_png(event.tensor_proto.string_val[2]).numpy()
    with Image.open(finished / "samples.png") as picture:
        np.testing.assert_array_equal(drawn, np.asarray(picture))


@pytest.mark.slow
def test_pictures_for_tensorboard_change_nothing_of_the_run(finished, train_run, tmp_path):
    # A run of seconds has no time for them by default.
    assert "samples" not in _tags(finished / "tensorboard" / "pictures")[1]
    folder = tmp_path / "run"
    result = train_run(folder, "--epochs=3", "--summary_share=1", "--profile_steps=2,3")
    assert result.status == 0, result.err
    _assert_same_run(folder, finished)
    log_dir = folder / "tensorboard"
    strips = {f"traversal/axis_{number}" for number in (1, 2, 3)}
    accumulator, tags = _tags(log_dir / "pictures")
    assert tags == {"reconstructions", "samples", *strips}
    assert [event.step for event in accumulator.Tensors("samples")] == [0, 1, 2]
    assert _tags(log_dir / "scatter")[1] == {"latents"}
    assert "epoch_steps_per_second" in _tags(log_dir / "train")[1]
    # Of the ten images that are held out.
    assert len((log_dir / "projector" / "latents.tsv").read_text().splitlines()) == 10
    head = (log_dir / "projector" / "metadata.tsv").read_text().splitlines()[0].split("\t")
    assert head == ["index", "shape", "scale", "orientation", "x_position", "y_position"]
    assert list((log_dir / "train" / "plugins" / "profile").rglob("*.xplane.pb"))
    assert "profile_steps" not in (folder / "flags.txt").read_text()


def test_summaries_can_be_left_out(train_run, tmp_path):
    assert train_run(tmp_path / "run", "--steps=2", "--summary_share=0").status == 0
    runs = {path.name for path in (tmp_path / "run" / "tensorboard").iterdir()}
    assert runs == {"basis", "final", "train", "validation"}
