"""Files that are whole or not there, whatever happens while they are written."""

import os

import pytest

from keras_rkm import _files


def _fail(path):
    path.write_text("half")
    raise OSError(28, "No space left on device")


def test_failed_write_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="No space left"):
        _files.write_atomically(path, _fail)
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_file_is_on_the_disk_before_its_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace

    def spy_on_fsync(descriptor):
        calls.append(os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    def spy_on_replace(source, target):
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", spy_on_fsync)
    monkeypatch.setattr(os, "replace", spy_on_replace)
    _files.write_atomically(tmp_path / "notes.txt", lambda path: path.write_text("new"))
    assert calls == [f".part-{os.getpid()}-notes.txt", "replace", tmp_path.name]
