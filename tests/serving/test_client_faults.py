"""The client where something is wrong: what is sent again, how often, until when, what is said.

The emulator runs in this process here, so that it can be made to fail.
"""

import socket
import socketserver
import threading
import time

import numpy as np
import pytest

from keras_rkm.serving import (
    DeadlineExceededError,
    InvalidRequestError,
    MessageTooLargeError,
    ServerUnavailableError,
    ServingClient,
    ServingError,
    SignatureNotFoundError,
    VersionNotFoundError,
    retries,
)

from .c_library import StatusError
from .emulator import Emulator
from .model_store import ModelConfig
from .server_process import free_port

_LATENTS = np.zeros((1, 3), "float32")


@pytest.fixture
def failures(emulator, monkeypatch):
    """Statuses that the emulator answers with before it works; counts the requests in `calls`."""
    servable = emulator.store.servable

    class Failures(list):
        calls = 0

    planned = Failures()

    def failing(*arguments, **choice):
        planned.calls += 1
        if planned:
            failure = planned.pop(0)
            if callable(failure):
                failure()
            else:
                raise failure
        return servable(*arguments, **choice)

    monkeypatch.setattr(emulator.store, "servable", failing)
    return planned


@pytest.fixture
def no_pauses(monkeypatch):
    """Notes the pauses between attempts in place of making them."""
    pauses = []
    monkeypatch.setattr(retries.time, "sleep", pauses.append)
    return pauses


def _address(protocol, port):
    return f"{'grpc' if protocol == 'grpc' else 'http'}://127.0.0.1:{port}"


def test_unavailable_is_tried_again_until_it_works(connect, failures, no_pauses):
    client = connect(max_attempts=5)
    client.decode(_LATENTS)
    failures.calls = 0
    failures += [StatusError("UNAVAILABLE", "overloaded")] * 4
    assert client.decode(_LATENTS).shape == (1, 8, 8, 1)
    assert failures.calls == 5
    assert len(no_pauses) == 4


def test_unavailable_is_tried_no_more_often_than_said(connect, failures, no_pauses):
    client = connect(max_attempts=3)
    failures += [StatusError("UNAVAILABLE", "overloaded")] * 10
    with pytest.raises(ServerUnavailableError, match="overloaded.*Gave up after 3 attempts"):
        client.decode(_LATENTS)
    assert failures.calls == 3


@pytest.mark.parametrize(
    "code, expected",
    [
        ("INVALID_ARGUMENT", InvalidRequestError),
        ("FAILED_PRECONDITION", ServingError),
        ("RESOURCE_EXHAUSTED", ServingError),
        ("INTERNAL", ServingError),
        ("UNIMPLEMENTED", ServingError),
        ("DEADLINE_EXCEEDED", DeadlineExceededError),
        ("ABORTED", ServingError),
    ],
)
def test_nothing_else_is_tried_again(code, expected, connect, failures):
    client = connect()
    client.decode(_LATENTS)
    failures.calls = 0
    failures += [StatusError(code, "some reason")] * 3
    with pytest.raises(expected) as raised:
        client.decode(_LATENTS)
    assert failures.calls == 1
    assert not isinstance(raised.value, ServerUnavailableError | MessageTooLargeError)
    if code != "DEADLINE_EXCEEDED":
        assert "some reason" in str(raised.value)


def test_code_of_grpc_is_kept_where_http_has_one(connect, failures):
    client = connect()
    failures += [StatusError("RESOURCE_EXHAUSTED", "out of memory")]
    with pytest.raises(ServingError, match="out of memory") as raised:
        client.decode(_LATENTS)
    assert raised.value.code == "RESOURCE_EXHAUSTED"


def test_slow_answer_ends_at_the_deadline(connect, failures):
    client = connect(timeout=0.3)
    client.decode(_LATENTS)
    failures.append(lambda: time.sleep(1))
    start = time.monotonic()
    with pytest.raises(DeadlineExceededError, match=r"did not answer within 0.3 seconds"):
        client.decode(_LATENTS)
    assert 0.25 < time.monotonic() - start < 0.8
    assert client.decode(_LATENTS, timeout=5).shape == (1, 8, 8, 1)


def test_attempts_end_at_the_deadline(connect, failures):
    client = connect(timeout=0.5, max_attempts=100)
    failures += [StatusError("UNAVAILABLE", "overloaded")] * 100
    start = time.monotonic()
    with pytest.raises(ServerUnavailableError, match="Gave up after [2-9] attempts"):
        client.decode(_LATENTS)
    assert time.monotonic() - start < 0.6


def test_server_that_is_down_is_told_with_its_address(protocol):
    port = free_port()
    with (
        ServingClient(_address(protocol, port), model_name="toy", max_attempts=2) as client,
        pytest.raises(ServerUnavailableError, match=f"127.0.0.1:{port} is not available.*8500"),
    ):
        client.generate(1)


def test_server_that_comes_up_late_is_waited_for(protocol, exported):
    port = free_port()
    ports = {"port": port} if protocol == "grpc" else {"rest_port": port}
    started = []

    def start_late():
        time.sleep(0.7)
        started.append(Emulator([ModelConfig("toy", exported)], **ports).start())

    thread = threading.Thread(target=start_late)
    thread.start()
    try:
        with ServingClient(
            _address(protocol, port), model_name="toy", max_attempts=20, timeout=20
        ) as client:
            assert client.generate(1).images.shape == (1, 8, 8, 1)
    finally:
        thread.join()
        started[0].stop()


def test_server_that_comes_back_is_found_again(protocol, exported):
    port = free_port()
    ports = {"port": port} if protocol == "grpc" else {"rest_port": port}
    with ServingClient(_address(protocol, port), model_name="toy", max_attempts=20) as client:
        for _ in range(2):
            with Emulator([ModelConfig("toy", exported)], **ports):
                assert client.generate(1).images.shape == (1, 8, 8, 1)


def test_signatures_are_asked_for_once_and_again_when_they_do_not_fit(connect, failures):
    client = connect()
    for _ in range(3):
        client.decode(_LATENTS)
    assert failures.calls == 1 + 3
    with pytest.raises(InvalidRequestError):
        client.decode(np.zeros((1, 4)))
    assert failures.calls == 1 + 3 + 1


def test_model_without_a_loaded_version_is_told_apart(protocol, tmp_path):
    (tmp_path / "toy" / "3").mkdir(parents=True)
    with Emulator([ModelConfig("toy", tmp_path / "toy")]) as emulator:
        port = emulator.port if protocol == "grpc" else emulator.rest_port
        with (
            ServingClient(_address(protocol, port), model_name="toy") as client,
            pytest.raises(VersionNotFoundError, match="No version of the model 'toy'.*3 END"),
        ):
            client.generate(1)


def test_signature_that_a_new_version_lacks_is_told(connect, failures):
    client = connect()
    client.decode(_LATENTS)
    failures.append(StatusError("FAILED_PRECONDITION", 'Serving signature key "decode" not found.'))
    with pytest.raises(SignatureNotFoundError, match='"decode" not found, says'):
        client.decode(_LATENTS)


class _RawServer:
    """A server of TCP that answers every connection by a function of it."""

    def __init__(self, answer):
        class Handler(socketserver.BaseRequestHandler):
            def handle(self):
                answer(self.request)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()


def _answering(data):
    def answer(connection):
        connection.recv(65536)
        connection.sendall(data)

    return answer


_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"


@pytest.mark.parametrize(
    "answer, expected",
    [
        (_answering(b""), "broke off.*REST port, 8501"),
        (_answering(b"SSH-2.0-OpenSSH_9\r\n"), "broke off.*SSH"),
        (_answering(_OK + b"half"), "broke off.*IncompleteRead.*996"),
        (_answering(b"HTTP/1.1 200 OK\r\n\r\n<html>"), "something else.*<html>"),
        (_answering(b'HTTP/1.1 200 OK\r\n\r\n{"a": 1}'), "something else.*'{\"a\": 1}'"),
        (_answering(b"HTTP/1.1 200 OK\r\n\r\n[]"), "something else"),
        (_answering(b"HTTP/1.1 404 Nope\r\n\r\n<html>"), "HTTP status 404, '<html>'"),
        (_answering(b"HTTP/1.1 418 Teapot\r\n\r\n"), "failed with UNKNOWN: HTTP status 418"),
    ],
)
def test_other_server_on_the_rest_port_is_told(answer, expected):
    with (
        _RawServer(answer) as server,
        ServingClient(_address("rest", server.port), model_name="toy") as client,
        pytest.raises(ServingError, match=expected),
    ):
        client.generate(1)


def test_answer_that_closes_the_connection_is_read():
    status = b'{"model_version_status": [{"version": "3", "state": "AVAILABLE"}]}'
    head = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(status)
    with (
        _RawServer(_answering(head + status)) as server,
        ServingClient(_address("rest", server.port), model_name="toy") as client,
    ):
        assert client.versions() == {3: "AVAILABLE"}


def test_answer_in_chunks_is_read():
    status = b'{"model_version_status": []}'
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in status) + b"0\r\n\r\n"
    with (
        _RawServer(
            _answering(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
        ) as server,
        ServingClient(_address("rest", server.port), model_name="toy") as client,
    ):
        assert client.versions() == {}


def test_answer_in_drops_ends_at_the_deadline():
    with (
        _RawServer(_dripping) as server,
        ServingClient(_address("rest", server.port), model_name="toy", timeout=0.4) as client,
    ):
        start = time.monotonic()
        with pytest.raises(DeadlineExceededError):
            client.generate(1)
        assert time.monotonic() - start < 0.8


def _dripping(connection):
    connection.recv(65536)
    connection.sendall(_OK)
    for _ in range(100):
        try:
            connection.sendall(b"1")
        except OSError:
            return
        time.sleep(0.05)


def test_grpc_to_another_server_is_told():
    with (
        _RawServer(_answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as server,
        ServingClient(_address("grpc", server.port), model_name="toy", max_attempts=2) as client,
        pytest.raises(ServingError, match="address, port and protocol are right"),
    ):
        client.generate(1)


def test_host_that_does_not_exist_is_told(protocol):
    with (
        ServingClient(
            "nowhere.invalid:8500", protocol=protocol, model_name="toy", max_attempts=1
        ) as client,
        pytest.raises(ServingError, match="nowhere.invalid:8500") as raised,
    ):
        client.generate(1, timeout=5)
    assert raised.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")


def test_port_without_an_answer_ends_at_the_deadline(protocol):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        with (
            ServingClient(_address(protocol, port), model_name="toy", timeout=0.3) as client,
            pytest.raises(DeadlineExceededError),
        ):
            client.generate(1)
