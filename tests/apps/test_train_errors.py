"""What a person can get wrong, and what can break: one line, a status, and nothing lost."""

import contextlib
import os
import re
import resource
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from apps import train
from apps.run_folder import RunFolder
from keras_rkm.datasets import Dataset
from keras_rkm.models import StiefelRKM


def test_resume_refuses_other_flags_and_names_them(finished, run_command):
    result = run_command(
        train.main, f"--output_dir={finished}", "--resume", "--latent_dim=4", "--epochs=3"
    )
    assert result.status == 2
    assert "--latent_dim=4 (was --latent_dim=3)" in result.error
    assert "epochs" not in result.error


def test_resume_refuses_a_folder_that_is_no_run(train_run, tmp_path):
    result = train_run(tmp_path, "--resume")
    assert result.status == 1
    assert f"'{tmp_path}' is no run" in result.error


def test_resume_refuses_a_damaged_flags_file(run_command, tmp_path):
    (tmp_path / "flags.txt").write_text("--latent_dim=three\n")
    result = run_command(train.main, f"--output_dir={tmp_path}", "--resume")
    assert result.status == 1
    assert "flags.txt' is damaged" in result.error


def test_folder_that_is_not_empty_is_refused(finished, train_run, tmp_path):
    (tmp_path / "thesis.txt").touch()
    result = train_run(tmp_path)
    assert result.status == 1
    assert f"'{tmp_path}' is not empty. Choose another --output_dir." in result.error
    assert "go on with this run by --resume" in train_run(finished).error
    assert os.listdir(tmp_path) == ["thesis.txt"]


@pytest.mark.parametrize(
    "flag, what",
    [
        ("--latent_dim=9", "latent_dim must not exceed feature_dim"),
        ("--latent_dim=0", "flag --latent_dim=0"),
        ("--capacity=two", "flag --capacity=two"),
        ("--image_size=30", "divisible by 4"),
        ("--learning_rate=-1", "--learning_rate=-1.0: it must be a positive number"),
        ("--basis_learning_rate=nan", "it must be a positive number"),
        ("--reconstruction_weight=nan", "it must be zero or a positive number"),
        ("--reconstruction_mode=best", "deterministic|noisy|split"),
        ("--seed=-1", "flag --seed=-1"),
        ("--batch_size=1", "flag --batch_size=1"),
        ("--factor_classes=shape=x", "name=first:end. Received: shape=x"),
        ("--steps=5", "--epochs and --steps exclude each other"),
        ("--profile_steps=5", "it takes two steps, the first from 1 on"),
        ("--profile_steps=9,3", "it takes two steps, the first from 1 on"),
        ("--summary_share=2", "flag --summary_share=2"),
        ("--features=classifier.keras", "--features needs --evaluate_every"),
        ("--latent_dmi=3", "Unknown command line flag 'latent_dmi'. Did you mean: latent_dim"),
        ("--flagfile=missing.flags", "missing.flags"),
        ("dsprites_like", "a flag looks like --name=value. Received: dsprites_like"),
    ],
)
def test_bad_flag_ends_with_one_line_before_any_work(flag, what, train_run, tmp_path):
    result = train_run(tmp_path / "run", "--epochs=1", flag)
    assert result.status == 2
    assert what in result.error
    assert not (tmp_path / "run").exists()


def test_missing_output_dir_is_a_usage_error(run_command, small_flags):
    result = run_command(train.main, *small_flags)
    assert result.status == 2
    assert "--output_dir" in result.error


@pytest.mark.parametrize(
    "arguments, what",
    [
        (["--dataset=./missing.npz"], "missing.npz"),
        (["--dataset=corrupt.npz"], "corrupt.npz"),
        (["--dataset=dsprites_lik"], "dsprites_lik"),
        (["--dataset=odd.npz", "--num_images=30"], "divisible by 4"),
        (["--dataset=odd.npz", "--num_images=99"], "Received: num_images=99"),
        (["--dataset=odd.npz", "--num_images=2"], "At least three images"),
        (["--factor_classes=colour=1"], "no factor colour. Its factors: shape, scale"),
        (["--factor_classes=shape=7"], "leaves no image"),
        (["--num_images=10"], "--batch_size=16 exceeds the 10 images"),
        (["--image_size=20"], "Received: image_size=20"),
    ],
)
def test_bad_data_ends_with_one_line_and_leaves_the_folder_free(
    arguments, what, run_command, small_flags, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "corrupt.npz").write_bytes(b"PK\x03\x04 and no more")
    np.savez(tmp_path / "odd.npz", images=np.zeros((40, 9, 9), "uint8"))
    small = [flag for flag in small_flags if "odd" not in arguments[0] or "image_size" not in flag]
    result = run_command(train.main, *small, *arguments, "--output_dir=run")
    assert result.status == 1
    assert what in result.error
    assert not os.listdir("run")


def test_folder_that_cannot_be_made_is_refused(train_run, tmp_path):
    (tmp_path / "file").touch()
    result = train_run(tmp_path / "file" / "run")
    assert result.status == 1
    assert "cannot make the folder" in result.error


def test_full_disk_is_noticed_before_the_training(train_run, tmp_path, small_files):
    with small_files(2**19):
        result = train_run(tmp_path / "run")
    assert result.status == 1
    assert "cannot write to the folder" in result.error
    assert not os.listdir(tmp_path / "run")


@pytest.fixture
def small_files():
    """A context in which no file can grow beyond a size, as on a full disk."""

    @contextlib.contextmanager
    def limit(size):
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return limit


def _in_epoch(monkeypatch, epoch, action, step=2):
    """Has `action(model)` happen after a step of an epoch, both counted from 1."""
    original = StiefelRKM.fit

    def fit(self, *args, callbacks, **kwargs):
        class Action(keras.callbacks.Callback):
            epoch = 0

            def on_epoch_begin(self, epoch, logs=None):
                self.epoch = epoch

            def on_train_batch_end(self, batch, logs=None):
                if (self.epoch + 1, batch + 1) == at:
                    action(self.model)

        at = (epoch, step)
        return original(self, *args, callbacks=[Action(), *callbacks], **kwargs)

    monkeypatch.setattr(StiefelRKM, "fit", fit)


def _assert_stopped_after_first_epoch(result, folder, status=1):
    assert result.status == status
    assert "The last good checkpoint, after 6 steps" in result.error
    assert RunFolder(folder).load_checkpoint().position.step == 6


def test_full_disk_keeps_the_last_good_checkpoint(train_run, tmp_path, small_files, monkeypatch):
    folder = tmp_path / "run"
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = lambda _: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))  # noqa: E731
    _in_epoch(monkeypatch, 2, full)
    with small_files(-1):
        result = train_run(folder, "--epochs=3")
    _assert_stopped_after_first_epoch(result, folder)
    assert "File too large. The last" in result.error


def test_divergence_is_named_and_keeps_the_last_good_checkpoint(train_run, tmp_path, monkeypatch):
    _in_epoch(
        monkeypatch, 2, lambda model: model.encoder.layers[-1].bias.assign(np.full(8, np.inf))
    )
    result = train_run(tmp_path / "run", "--epochs=3")
    _assert_stopped_after_first_epoch(result, tmp_path / "run")
    assert "at epoch 2, step 3" in result.error


def test_weights_broken_by_the_last_step_of_an_epoch_are_not_saved(
    train_run, tmp_path, monkeypatch
):
    def break_decoder(model):
        model.decoder.layers[-1].bias.assign([np.nan])

    _in_epoch(monkeypatch, 2, break_decoder, step=6)
    result = train_run(tmp_path / "run", "--epochs=3")
    _assert_stopped_after_first_epoch(result, tmp_path / "run")
    assert "at the end of epoch 2" in result.error


def test_basis_that_has_left_the_manifold_is_put_back_before_it_is_saved_and_told(
    train_run, tmp_path, monkeypatch
):
    _in_epoch(monkeypatch, 2, lambda model: model.basis.assign(1.2 * model.basis), step=6)
    result = train_run(tmp_path / "run", "--epochs=2")
    assert result.status == 0 and result.err == ""
    [told] = [line for line in result.out.splitlines() if "manifold" in line]
    pattern = r"Training: projection/basis had left .* epoch 2: .* was 0\.7\d, .* to .*e-0[678]"
    assert re.match(pattern, told)
    basis = RunFolder(tmp_path / "run").load_checkpoint().model.basis.numpy()
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-5)


def test_nan_in_the_data_is_named_and_keeps_the_last_good_checkpoint(
    train_run, tmp_path, monkeypatch
):
    original = Dataset.batches

    def batches(self, batch_size, **options):
        images = original(self, batch_size, **options)
        if options.get("num_epochs", 1) is not None:
            return images
        return images.enumerate().map(lambda step, x: x / float("nan") if step == 8 else x)

    monkeypatch.setattr(Dataset, "batches", batches)
    result = train_run(tmp_path / "run", "--epochs=3")
    _assert_stopped_after_first_epoch(result, tmp_path / "run")
    assert "NaN or Inf, in a batch after training step 8" in result.error


def test_interrupt_says_how_to_go_on(train_run, tmp_path, monkeypatch):
    def interrupt(model):
        raise KeyboardInterrupt

    _in_epoch(monkeypatch, 2, interrupt)
    folder = tmp_path / "run"
    result = train_run(folder, "--epochs=3")
    _assert_stopped_after_first_epoch(result, folder, status=130)
    assert f"keras-rkm train --output_dir={folder} --resume" in result.error


def test_terminated_run_saves_its_step_and_goes_on_even_if_that_is_damaged(
    finished, train_run, run_command, tmp_path, monkeypatch
):
    folder = tmp_path / "run"
    with monkeypatch.context() as context:
        _in_epoch(context, 2, lambda _: signal.raise_signal(signal.SIGTERM))
        result = train_run(folder, "--epochs=3")
    assert result.status == 143
    last = folder / "checkpoints" / "step_00000008.keras"
    assert f"terminated. The last good checkpoint, after 8 steps, is '{last}'" in result.error
    assert f"keras-rkm train --output_dir={folder} --resume" in result.error
    data = bytearray(last.read_bytes())
    data[len(data) // 2] ^= 1
    last.write_bytes(data)
    result = run_command(train.main, f"--output_dir={folder}", "--resume")
    assert result.status == 0, result.err
    assert f"Checkpoint: '{last}' is damaged: its checksum is another." in result.out
    assert "from step 6 on" in result.out
    for name in ("history.csv", "data.json"):
        assert (folder / name).read_text() == (finished / name).read_text()
    assert RunFolder(folder).store.steps() == [6, 12, 18]


def test_termination_while_the_results_are_written_is_no_loss(
    finished, run_command, tmp_path, monkeypatch
):
    shutil.copytree(finished, tmp_path / "run")
    (tmp_path / "run" / "model.keras").unlink()
    monkeypatch.setattr(
        "apps.pictures.draw_all", lambda *_, **__: signal.raise_signal(signal.SIGTERM)
    )
    result = run_command(train.main, f"--output_dir={tmp_path / 'run'}", "--resume")
    assert result.status == 143
    assert "terminated. The last good checkpoint, after 18 steps" in result.error
    ours, theirs = (
        keras.saving.load_model(path / "model.keras") for path in (tmp_path / "run", finished)
    )
    for a, b in zip(ours.variables, theirs.variables, strict=True):
        np.testing.assert_array_equal(a, b)


def test_data_file_that_vanishes_is_named_and_keeps_the_last_good_checkpoint(
    train_run, tmp_path, monkeypatch
):
    path, gone = str(tmp_path / "images.bin"), str(tmp_path / "gone.bin")
    (tmp_path / "images.bin").touch()
    original = Dataset.batches

    def read(step, images):
        data = tf.io.read_file(tf.where(step < 8, path, gone))
        return images + tf.cast(tf.strings.length(data), images.dtype)

    def batches(self, batch_size, **options):
        images = original(self, batch_size, **options)
        return images.enumerate().map(read) if options.get("num_epochs", 1) is None else images

    monkeypatch.setattr(Dataset, "batches", batches)
    result = train_run(tmp_path / "run", "--epochs=3")
    _assert_stopped_after_first_epoch(result, tmp_path / "run")
    assert f"error: a batch of images failed: {gone}; No such file or directory." in result.error


def test_process_ends_with_its_status_and_no_traceback(run_process, tmp_path):
    result = run_process("--dataset=./missing.npz", f"--output_dir={tmp_path}")
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("keras-rkm train: error: ")
    assert "missing.npz" in last


@pytest.mark.parametrize(
    "text",
    [
        b"--flagfile=/etc/passwd\n",
        b"--seed=1\n--undefok=seed\n",
        b"seed=1\n",
        b"--seed\n",
        b"--seed=\xff\n",
        b"--dataset=a\0b\n",
        b"--seed=1\n" * 2**18,
    ],
    ids=["flagfile", "undefok", "no dashes", "no value", "no utf-8", "nul", "too large"],
)
def test_resume_refuses_a_hostile_flags_file(run_command, tmp_path, text):
    (tmp_path / "flags.txt").write_bytes(text)
    result = run_command(train.main, f"--output_dir={tmp_path}", "--resume")
    assert result.status == 1
    assert "flags.txt' is damaged" in result.error
