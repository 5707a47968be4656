"""The folders of versions: whole or not there, whatever happens."""

import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from keras_rkm.export import versions

_FILES = ("saved_model.pb", "variables/data", "assets.extra/manifest.json")


def _fill(folder, content=b"x" * 1000):
    for name in _FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def _is_whole(folder, size=1000):
    return all((folder / name).stat().st_size == size for name in _FILES)


def test_versions_count_on_from_the_highest(tmp_path):
    assert versions.list_versions(tmp_path / "none") == []
    model_dir = tmp_path / "base" / "model"
    assert [versions.add_version(model_dir, None, _fill).name for _ in "12"] == ["1", "2"]
    assert versions.add_version(model_dir, 10, _fill) == model_dir / "10"
    assert versions.add_version(model_dir, 3, _fill) == model_dir / "3"
    (model_dir / "notes").mkdir()
    assert versions.add_version(model_dir, None, _fill).name == "11"
    assert versions.list_versions(model_dir) == [1, 2, 3, 10, 11]
    assert all(_is_whole(model_dir / str(number)) for number in (1, 2, 3, 10, 11))


@pytest.mark.parametrize("version", [0, -1, 1.0, "2", True])
def test_a_version_is_a_positive_int(tmp_path, version):
    with pytest.raises(ValueError, match=f"Received: version={version!r}"):
        versions.add_version(tmp_path, version, _fill)
    assert list(tmp_path.iterdir()) == []


def test_a_version_is_never_overwritten(tmp_path):
    versions.add_version(tmp_path, 4, _fill)
    with pytest.raises(ValueError, match=r"Received: version=4, where .* has \[4\]"):
        versions.add_version(tmp_path, 4, lambda folder: pytest.fail("has begun to write"))
    # Also if it appears while the other one is written.
    with pytest.raises(ValueError, match="Received: version=5"):
        versions.add_version(
            tmp_path, 5, lambda folder: _fill_and_be_overtaken(folder, tmp_path, 5)
        )
    assert (
        versions.add_version(
            tmp_path, None, lambda folder: _fill_and_be_overtaken(folder, tmp_path, None)
        )
        == tmp_path / "7"
    )
    assert versions.list_versions(tmp_path) == [4, 5, 6, 7]


def _fill_and_be_overtaken(folder, model_dir, version):
    _fill(folder)
    versions.add_version(model_dir, version, _fill)


def test_a_failure_leaves_nothing(tmp_path):
    def fail(folder):
        _fill(folder)
        raise OSError("no space left on device")

    with pytest.raises(OSError, match="no space left"):
        versions.add_version(tmp_path, None, fail)
    assert list(tmp_path.iterdir()) == []


def test_an_observer_never_sees_a_part(tmp_path):
    stop, seen = threading.Event(), set()

    def watch():
        while not stop.is_set():
            for number in versions.list_versions(tmp_path):
                seen.add(_is_whole(tmp_path / str(number)))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(50):
            versions.add_version(tmp_path, None, _fill)
    finally:
        stop.set()
        watcher.join()
    assert seen == {True}


# A package without the imports of keras_rkm/__init__.py, which begin with TensorFlow.
_EXPORT_FOR_EVER = """
import importlib, sys, types
from pathlib import Path
root = Path(sys.argv[1]).parents[1]
for name, folder in (("keras_rkm", root), ("keras_rkm.export", root / "export")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(folder)]
versions = importlib.import_module("keras_rkm.export.versions")

def fill(folder):
    for name in sys.argv[3:]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(bytes(1000))

print("ready", flush=True)
while True:
    path = versions.add_version(Path(sys.argv[2]), None, fill)
    versions.prune_versions(path.parent, 3)
"""


def test_a_kill_leaves_whole_versions_only(tmp_path):
    # Without TensorFlow it is a matter of milliseconds; `python -m tests.export.kill_export` kills
    # exports of a model.
    wait = random.Random(0)
    for _ in range(20):
        process = subprocess.Popen(
            [sys.executable, "-c", _EXPORT_FOR_EVER, versions.__file__, tmp_path, *_FILES],
            stdout=subprocess.PIPE,
        )
        process.stdout.readline()
        time.sleep(wait.uniform(0, 0.05))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for number in versions.list_versions(tmp_path):
            assert _is_whole(tmp_path / str(number))
    assert versions.list_versions(tmp_path)


def test_what_a_kill_left_is_removed_a_day_later(tmp_path):
    for name, age in ((".exporting-1", 0), (".exporting-2", 25), (".removing-3", 25)):
        folder = tmp_path / name
        folder.mkdir()
        os.utime(folder, times=(time.time() - age * 3600,) * 2)
    (tmp_path / "old").mkdir()
    os.utime(tmp_path / "old", times=(0, 0))
    versions.add_version(tmp_path, None, _fill)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".exporting-1", "1", "old"]


def test_pruning_keeps_the_highest_and_the_protected(tmp_path):
    for number in (1, 2, 3, 10, 11):
        versions.add_version(tmp_path, number, _fill)
    assert versions.prune_versions(tmp_path, 2, protected={2, 11}) == [1, 3]
    assert versions.list_versions(tmp_path) == [2, 10, 11]
    assert versions.prune_versions(tmp_path, 5) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["10", "11", "2"]
