"""The session on the C API: its numbers, its strings, its errors, and that it keeps nothing."""

import collections
import concurrent.futures
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from . import c_api, c_library
from .c_api import Session
from .c_library import StatusError

_ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def session(exported):
    with Session(exported / "2") as session:
        yield session


def test_signatures_have_names_types_and_shapes(session):
    traverse = session.signatures["traverse"]
    assert {name: (info.dtype, info.shape) for name, info in traverse.inputs.items()} == {
        "latents": (1, (-1, 3)),
        "component": (9, (-1,)),
    }
    assert traverse.outputs["images"].shape == (-1, 5, 8, 8, 1)


def test_numbers_are_those_of_the_model(session, toys, images, latents):
    toy = toys[2]
    np.testing.assert_allclose(
        session.run("encode", {"images": images})["latents"], toy.encode(images), atol=1e-5
    )
    outputs = session.run("reconstruct", {"images": images})
    reconstructed, energy = toy.reconstruct(images)
    np.testing.assert_allclose(outputs["images"], reconstructed, atol=1e-5)
    np.testing.assert_allclose(outputs["energy"], energy, rtol=1e-5)
    components = np.array([0, 1, 2, 0, 1])
    np.testing.assert_allclose(
        session.run("traverse", {"latents": latents, "component": components})["images"],
        toy.traverse(latents, components),
        atol=1e-5,
    )


def test_array_that_is_not_contiguous_is_read_in_its_order(session, toys):
    latents = np.arange(12, dtype="float32").reshape(3, 4)[:, ::-1].T
    assert not latents.flags.c_contiguous
    decoded = session.run("decode", {"latents": latents})["images"]
    np.testing.assert_allclose(decoded, toys[2].decode(latents), atol=1e-5)


def test_strings_come_back_as_they_were(session):
    # Short ones lie within the TF_TString, long ones elsewhere.
    texts = [b"", b"short", b"x" * 22, b"y" * 23, b"z" * 10_000, b"nul\0inside", "é".encode()]
    # An output that is an input shares its memory.
    outputs = session.run("echo", {"text": texts})
    assert outputs["text"].tolist() == outputs["text_bytes"].tolist() == texts


def test_output_without_axes_is_a_number(session, latents):
    total = session.run("total", {"latents": latents})["total"]
    assert total.shape == ()
    np.testing.assert_allclose(total, latents.sum(), rtol=1e-4)


def test_empty_batch_is_passed_on(session):
    assert session.run("decode", {"latents": np.empty((0, 3), "float32")})["images"].shape == (
        0,
        8,
        8,
        1,
    )


def test_only_the_outputs_that_are_asked_for_come(session):
    assert set(session.run("generate", {"seed": [1]}, outputs=["latents"])) == {"latents"}


@pytest.mark.parametrize(
    "name, inputs, code, text",
    [
        ("nope", {}, "NOT_FOUND", "no signature 'nope'.*decode.*traverse"),
        ("decode", {}, "INVALID_ARGUMENT", r"\['latents'\]. Received: \[\]"),
        ("decode", {"latents": np.zeros((1, 3))}, "INVALID_ARGUMENT", "float.*double"),
        ("encode", {"images": np.zeros((1, 9), "f4")}, "INVALID_ARGUMENT", "reshape"),
        ("decode", {"latents": np.zeros((1, 3), "c8")}, "UNIMPLEMENTED", "complex64"),
    ],
)
def test_error_has_the_code_and_the_message_of_tensorflow(session, name, inputs, code, text):
    with pytest.raises(StatusError, match=f"(?s){text}") as raised:
        session.run(name, inputs)
    assert raised.value.code == code


def test_folder_without_a_saved_model_is_an_error(tmp_path):
    with pytest.raises(StatusError, match="Could not find SavedModel") as raised:
        Session(tmp_path)
    assert raised.value.code == "NOT_FOUND"


def test_tags_that_are_not_there_are_an_error(exported):
    with pytest.raises(StatusError, match="tags"):
        Session(exported / "1", tags=["serve", "gpu"])


def test_closed_session_does_not_run(exported):
    session = Session(exported / "1")
    session.close()
    session.close()
    with pytest.raises(StatusError, match="closed"):
        session.run("generate", {"seed": [1]})


def test_number_of_threads_is_accepted(exported):
    with Session(exported / "1", intra_op_threads=1, inter_op_threads=2) as session:
        assert session.run("generate", {"seed": [1]})["images"].shape == (1, 8, 8, 1)


def test_threads_get_their_own_answers(session):
    seeds = range(40)
    alone = [session.run("generate", {"seed": [seed] * 3})["latents"] for seed in seeds]
    with concurrent.futures.ThreadPoolExecutor(8) as executor:
        together = executor.map(lambda seed: session.run("generate", {"seed": [seed] * 3}), seeds)
        for expected, outputs in zip(alone, together, strict=True):
            np.testing.assert_array_equal(outputs["latents"], expected)


def test_session_closed_while_it_runs_ends_its_runs_first(exported):
    session = Session(exported / "1")
    started, runs, errors = threading.Event(), [], []

    def run():
        while True:
            try:
                session.run("generate", {"seed": [1] * 64})
            except StatusError as error:
                errors.append(error.message)
                return
            runs.append(1)
            started.set()

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    started.wait(10)
    session.close()
    for thread in threads:
        thread.join(10)
    assert errors == ["the session is closed"] * 4


class _CountingLibrary:
    """Counts the calls of every function of the C API."""

    def __init__(self, library):
        self._library = library
        self.calls = collections.Counter()

    def __getattr__(self, name):
        function = getattr(self._library, name)

        def counted(*arguments):
            self.calls[name] += 1
            return function(*arguments)

        return counted


def test_everything_that_is_made_is_deleted(exported, monkeypatch):
    counting = _CountingLibrary(c_library.library())
    for module in (c_library, c_api):
        monkeypatch.setattr(module, "library", lambda: counting)
    with Session(exported / "1") as session:
        for _ in range(3):
            session.run("echo", {"text": [b"a" * 100, b"b"]})
            session.run("generate", {"seed": [1, 2]})
            for inputs in ({"latents": np.zeros((1, 3))}, {"latents": np.zeros((1, 3), "c8")}):
                with pytest.raises(StatusError):
                    session.run("decode", inputs)
    with pytest.raises(StatusError):
        Session(exported / "nope")
    calls = counting.calls
    for name in ("Status", "Buffer", "Graph", "SessionOptions"):
        assert calls[f"TF_New{name}"] == calls[f"TF_Delete{name}"] > 0, name
    assert calls["TF_StringInit"] == calls["TF_StringDealloc"] == 6
    # Inputs that were allocated, and outputs: two of each good run.
    assert calls["TF_DeleteTensor"] == calls["TF_AllocateTensor"] + 2 * 6
    assert calls["TF_CloseSession"] == calls["TF_DeleteSession"] == 1


def test_memory_does_not_grow_with_the_number_of_runs(exported):
    images = np.zeros((512, 8, 8, 1), "float32")
    texts = np.array([b"x" * 100_000] * 2, object)

    def run_often(session):
        for _ in range(200):
            session.run("reconstruct", {"images": images})
            session.run("echo", {"text": texts})
        return _resident_mebibytes()

    with Session(exported / "1") as session:
        before = run_often(session)
        # A leak of any one of these tensors would be 25 MiB.
        assert run_often(session) - before < 12


def _resident_mebibytes():
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("no VmRSS")


def test_session_needs_no_tensorflow_in_python(exported):
    code = f"""
import sys
from tests.serving.c_api import Session
with Session({str(exported / "1")!r}) as session:
    images = session.run("generate", {{"seed": [1, 2]}})["images"]
    try:
        session.run("decode", {{"latents": [[1.0]]}})
    except Exception as error:
        print(error.code)
print(images.shape, sorted({{"tensorflow", "keras", "keras_rkm", "google"}} & set(sys.modules)))
"""
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=_ROOT, capture_output=True, text=True, timeout=60
    )
    assert result.stdout.splitlines() == ["INVALID_ARGUMENT", "(2, 8, 8, 1) []"], result.stderr
