"""benchmarks/fuzz_readers.py: a few hundred inputs for every reader, and that it finds mistakes."""

import importlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def fuzzing(monkeypatch):
    monkeypatch.syspath_prepend(_ROOT / "benchmarks")
    return importlib.import_module("fuzz_readers")


@pytest.mark.slow
def test_every_reader_bears_mutated_files():
    result = subprocess.run(
        [sys.executable, str(_ROOT / "benchmarks" / "fuzz_readers.py"), "--inputs=300"],
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    rows = [
        line.strip("| ").split(" | ") for line in result.stdout.splitlines() if "| 300 |" in line
    ]
    assert [row[0] for row in rows] == [
        *("idx", "idx.gz", "npz", "manifest", "flagfile", "image folder")
    ]
    for name, _, read, refused, failures, *_ in rows:
        assert int(read) and int(refused), name  # some mutations do no harm
        assert int(read) + int(refused) == 300 and failures == "0"


def _fuzz(fuzzing, folder, read, *, inputs=20, seed=0, **options):
    reader = fuzzing.Reader((b"0123456789" * 10,), "a", read, (ValueError,))
    return fuzzing.fuzz("toy", reader, inputs, folder, seed=seed, **options)


def test_inputs_are_a_function_of_the_seed(fuzzing, tmp_path):
    seen = [[], [], []]
    for inputs, seed in zip(seen, (1, 1, 2), strict=True):
        _fuzz(fuzzing, tmp_path, lambda _, path: inputs.append(path.read_bytes()), seed=seed)  # noqa: B023
    assert seen[0] == seen[1] != seen[2]
    assert len(set(seen[0])) > 15


def test_mistakes_of_a_reader_are_found(fuzzing, tmp_path):
    def raise_other(_, path):
        raise KeyError(str(path))

    def raise_unnamed(_, path):
        raise ValueError("something is wrong")

    def raise_named(_, path):
        raise ValueError(f"'{path}' is damaged")

    def hang(_, path):
        while True:
            time.sleep(0.01)

    assert not _fuzz(fuzzing, tmp_path, raise_named).failures
    assert "KeyError" in _fuzz(fuzzing, tmp_path, raise_other).failures[0]
    assert "does not name the file" in _fuzz(fuzzing, tmp_path, raise_unnamed).failures[0]
    outcome = _fuzz(fuzzing, tmp_path, hang, inputs=1, seconds=0.1)
    assert "took more than 0.1 s" in outcome.failures[0]
