"""Who may write to a run folder, and with which images and checkpoints a run goes on."""

import errno
import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from apps import folder_lock, train
from apps.errors import CommandError
from apps.run_folder import RunFolder
from keras_rkm.datasets import Dataset


@pytest.fixture
def started(finished, tmp_path):
    """The folder of a run of which there are the flags and the images only."""
    for name in ("flags.txt", "data.json"):
        shutil.copy(finished / name, tmp_path)
    return tmp_path


def test_second_training_in_one_folder_is_refused(started, train_run, run_command):
    with folder_lock.locked(started):
        result = run_command(train.main, f"--output_dir={started}", "--resume")
        assert result.status == 1
        assert f"another training, process {os.getpid()}, is writing to '{started}'" in result.error
        # Also where the first one has written nothing yet.
        (started / "flags.txt").unlink()
        (started / "data.json").unlink()
        assert "another training" in train_run(started).error
    assert os.listdir(started) == []


def test_folder_of_a_run_that_was_killed_at_its_start_is_no_dead_end(
    finished, train_run, tmp_path, monkeypatch
):
    def killed(*_, **__):
        raise SystemExit(137)

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", killed)  # what is left of the probe
        with pytest.raises(SystemExit):
            RunFolder(folder.parent).check_writable()
    RunFolder(folder.parent).check_new()
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_images", killed)
        assert train_run(folder, "--epochs=3").status == 137
    assert train_run(folder, "--resume").status == 0
    assert (folder / "data.json").read_text() == (finished / "data.json").read_text()


def test_history_is_cut_by_its_epochs(tmp_path):
    folder = RunFolder(tmp_path)
    # Of a run whose history was removed after its fifth epoch.
    folder.history_file.write_text("epoch,loss\n5,0.5\n6,0.4\n7,0.3\n")
    folder.truncate_history(7)
    assert folder.read_history() == {"loss": [0.5, 0.4]}
    folder.history_file.write_text("loss\n0.5\n")
    with pytest.raises(CommandError, match="is damaged: it has no column 'epoch'"):
        folder.truncate_history(7)


def test_lock_is_not_that_of_a_file_the_last_holder_has_removed(tmp_path, monkeypatch):
    flock, calls = folder_lock.fcntl.flock, []

    def flock_after_the_last_holder(file, how):
        if not calls:
            (tmp_path / ".lock").unlink()
        calls.append(file)
        flock(file, how)

    monkeypatch.setattr(folder_lock.fcntl, "flock", flock_after_the_last_holder)
    with folder_lock.locked(tmp_path):
        assert len(calls) == 2
        with pytest.raises(CommandError, match="another training"), folder_lock.locked(tmp_path):
            pass


def test_system_without_locks_is_told(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(folder_lock, "fcntl", None)
    with folder_lock.locked(tmp_path):
        assert "Note: this system has no locks for files." in capsys.readouterr().out


def test_folder_that_cannot_be_written_to_is_told(train_run, tmp_path, monkeypatch):
    original = os.open

    def read_only(path, flags, *arguments, **options):
        if flags & os.O_CREAT and str(path).startswith(str(tmp_path)):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return original(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", read_only)
    result = train_run(tmp_path / "run")
    assert result.status == 1
    assert f"cannot write to the folder '{tmp_path / 'run'}': Read-only file" in result.error


def test_resume_with_other_images_is_refused(tmp_path):
    images = np.zeros((4, 8, 8, 1), "uint8")
    held_out = Dataset("set", images[:2])
    folder = RunFolder(tmp_path)
    folder.check_images(Dataset("set", images), held_out)  # of a run that has none noted
    folder.write_images(Dataset("set", images), held_out)
    folder.check_images(Dataset("a copy elsewhere", images.copy()), held_out)
    changed = images.copy()
    changed[3, 7, 7] = 1
    with pytest.raises(CommandError, match=r"have changed. Received: 4 images of 8x8x1"):
        folder.check_images(Dataset("set", changed), held_out)
    with pytest.raises(CommandError, match="held out, where it was started with 2 images of 8x8x1"):
        folder.check_images(Dataset("set", images), Dataset("set", images[:1]))


def test_images_are_compared_before_anything_is_written(started, run_command):
    text = (started / "data.json").read_text()
    (started / "data.json").write_text(text.replace('"num_images": 10,', '"num_images": 11,'))
    result = run_command(train.main, f"--output_dir={started}", "--resume")
    assert result.status == 1
    assert "have changed. Received: 10 images of 16x16x1" in result.error
    assert sorted(os.listdir(started)) == ["data.json", "flags.txt"]


@pytest.mark.parametrize(
    "name, message",
    [
        ("step-00000006.keras", "step-00000006.keras' is a checkpoint of an older version"),
        ("step_00000006.keras", "No checkpoint is whole: .*step_00000006.keras' is damaged"),
    ],
)
def test_checkpoints_that_cannot_be_gone_on_from_are_told(started, name, message, run_command):
    (started / "checkpoints").mkdir()
    (started / "checkpoints" / name).write_bytes(b"PK not a zip, and longer than a checksum" * 2)
    result = run_command(train.main, f"--output_dir={started}", "--resume")
    assert result.status == 1
    assert re.search(message, result.error)


def test_what_killed_processes_left_goes_when_it_is_old(tmp_path):
    for name, age in ((".part-1-old.keras", 7200), (".part-2-new.keras", 0)):
        (tmp_path / name).touch()
        times = os.stat(tmp_path / name).st_mtime - age
        os.utime(tmp_path / name, (times, times))
    folder = RunFolder(tmp_path)
    folder.check_new()  # They do not make it a folder in use.
    folder.check_writable()
    assert os.listdir(tmp_path) == [".part-2-new.keras"]


_HEADER = b"epoch,loss,val_loss\r\n"


@pytest.mark.parametrize(
    "rest, what",
    [
        (b"0,1.5,much\r\n", "'much'"),
        (b"0,1.5,2.5,3.5\r\n", "a row has more values than there are columns"),
        (b"0,1.5,\xff\r\n", "decode byte 0xff"),
        (b'0,1.5,"2.5\r\n', "unexpected end of data"),
        (b"0,1.5,\x00\r\n", "damaged"),
        (b"0,1.5," + b"9" * 200_000 + b"\r\n", "field limit"),
    ],
)
def test_damaged_history_is_told_by_its_name(tmp_path, rest, what):
    folder = RunFolder(tmp_path)
    folder.history_file.write_bytes(_HEADER + rest)
    for use in (folder.read_history, lambda: folder.truncate_history(1)):
        with pytest.raises(CommandError) as caught:
            use()
        assert f"'{folder.history_file}' is damaged: " in str(caught.value)
        assert what in str(caught.value) and "remove it" in str(caught.value)
    assert folder.history_file.read_bytes() == _HEADER + rest  # for who can repair it


def test_row_that_was_not_finished_is_left_out_of_the_history(tmp_path):
    folder = RunFolder(tmp_path)
    for unfinished in (b"1,3.", b"1,3.5,4.5e-", b"1,3.5,4.5"):
        folder.history_file.write_bytes(_HEADER + b"0,1.5,2.5\r\n" + unfinished)
        assert folder.read_history() == {"loss": [1.5], "val_loss": [2.5]}
    folder.truncate_history(5)
    assert folder.history_file.read_bytes() == _HEADER + b"0,1.5,2.5\r\n"
