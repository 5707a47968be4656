"""Requests over REST, by the standard library; arrays travel as JSON numbers, in columns."""

import base64
import http.client
import json
import socket
import urllib.parse
from collections.abc import Mapping

import numpy as np

from .errors import ServingError
from .retries import Deadline
from .signatures import Signature, TensorSpec
from .statuses import to_error, too_large_error

_CHUNK_BYTES = 2**20
_SHOWN = 300  # characters of an answer that is no JSON
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestTransport:
    """Talks to a model by a connection per request, so that all threads may use it.

    Args:
        address: Str, `"host:port"`.
        scheme: Str, `"http"` or `"https"`.
        model_name: Str.
        version: Int or None.
        label: Str or None.
        max_message_bytes: Int, the largest answer.

    Attributes:
        server: Str, `"http://host:port"` or `"https://host:port"`.
        predict_url: Str, what takes requests for predictions of the model.
    """

    def __init__(
        self,
        address: str,
        *,
        scheme: str,
        model_name: str,
        version: int | None,
        label: str | None,
        max_message_bytes: int,
    ):
        self.server = f"{scheme}://{address}"
        self._address = address
        self._connection_class = {
            "http": http.client.HTTPConnection,
            "https": http.client.HTTPSConnection,
        }[scheme]
        self._model_path = f"/v1/models/{urllib.parse.quote(model_name, safe='')}"
        self._version_path = self._model_path
        if version is not None:
            self._version_path += f"/versions/{version}"
        elif label is not None:
            self._version_path += f"/labels/{urllib.parse.quote(label, safe='')}"
        self._predict_path = f"{self._version_path}:predict"
        self.predict_url = f"{self.server}{self._predict_path}"
        self._max_message_bytes = max_message_bytes

    def predict(
        self, name: str, signature: Signature, inputs: Mapping[str, np.ndarray], deadline: Deadline
    ) -> dict[str, np.ndarray]:
        """Calls a signature once; arrays by name, rows along the first axis."""
        columns = {key: array.tolist() for key, array in inputs.items()}
        body = json.dumps({"signature_name": name, "inputs": columns}).encode()
        outputs = self._json("outputs", "POST", self._predict_path, deadline, body)
        if len(signature.outputs) == 1:
            outputs = dict.fromkeys(signature.outputs, outputs)
        return {
            key: _to_array(key, outputs.get(key), spec) for key, spec in signature.outputs.items()
        }

    def signatures(self, deadline: Deadline) -> dict[str, Signature]:
        """What the model takes and gives, by the name of the signature."""
        metadata = self._json("metadata", "GET", f"{self._version_path}/metadata", deadline)
        definitions = metadata["signature_def"]["signature_def"]
        return {
            name: Signature(_specs(definition["inputs"]), _specs(definition["outputs"]))
            for name, definition in definitions.items()
        }

    def versions(self, deadline: Deadline) -> dict[int, str]:
        """The state of every version of the model."""
        statuses = self._json("model_version_status", "GET", self._model_path, deadline)
        return {int(status["version"]): status["state"] for status in statuses}

    def close(self) -> None:
        """Does nothing: no connection is left open."""

    def _json(
        self, key: str, method: str, path: str, deadline: Deadline, body: bytes | None = None
    ):
        """What the object that the server answers with has under `key`."""
        status, data = self._exchange(method, path, deadline, body)
        try:
            answer = json.loads(data)
        except ValueError:
            answer = None
        if status != 200:
            text = answer.get("error") if isinstance(answer, dict) else None
            raise to_error(
                _CODES.get(status, "UNKNOWN"),
                str(text or f"HTTP status {status}, {_excerpt(data)}"),
                server=self.server,
                deadline=deadline,
            )
        if not isinstance(answer, dict) or key not in answer:
            raise ServingError(
                f"{self.server} answered with something else than TensorFlow Serving would: "
                f"{_excerpt(data)}. Check the address; the REST port is 8501 unless told otherwise."
            )
        return answer[key]

    def _exchange(
        self, method: str, path: str, deadline: Deadline, body: bytes | None
    ) -> tuple[int, bytes]:
        """Sends a request; returns the status and the bytes of the answer."""
        connection = self._connection_class(self._address, timeout=deadline.remaining())
        headers = {"Content-Type": "application/json", "Connection": "close"}
        try:
            connection.request(method, path, body, headers)
            connected = connection.sock
            connected.settimeout(deadline.remaining())
            response = connection.getresponse()
            return response.status, self._read(response, connected, deadline)
        except ConnectionRefusedError as error:
            raise self._error("UNAVAILABLE", error.strerror, deadline) from error
        except TimeoutError as error:
            raise self._error("DEADLINE_EXCEEDED", "", deadline) from error
        except socket.gaierror as error:
            # Of the same code, but not tried again: the name will not come to be known.
            raise ServingError(
                f"There is no host of the address {self.server}: {error.strerror}. Check it.",
                code="UNAVAILABLE",
            ) from error
        except (OSError, http.client.HTTPException) as error:
            raise ServingError(
                f"The connection to {self.server} broke off: {error or type(error).__name__}. "
                "Check that this is the REST port, 8501 unless told otherwise, and not that of "
                "gRPC.",
                code="ABORTED",
            ) from error
        finally:
            connection.close()

    def _read(self, response, connected: socket.socket, deadline: Deadline) -> bytes:
        """Reads the body; a timeout of a socket is for one read only, the deadline for all."""
        parts, size = [], 0
        while part := response.read1(_CHUNK_BYTES):
            parts.append(part)
            size += len(part)
            if size > self._max_message_bytes:
                raise too_large_error(
                    f"more than {self._max_message_bytes} bytes", server=self.server
                )
            if not response.isclosed():  # At the end of the body the socket may be closed with it.
                connected.settimeout(deadline.remaining())
        # `read1` takes the end of the connection for the end of the body.
        if response.length:
            raise http.client.IncompleteRead(b"", response.length)
        return b"".join(parts)

    def _error(self, code: str, details: str | None, deadline: Deadline) -> ServingError:
        return to_error(code, details or "", server=self.server, deadline=deadline)


def _specs(infos: Mapping) -> dict[str, TensorSpec]:
    return {
        name: TensorSpec(info["dtype"], _shape(info.get("tensor_shape", {})))
        for name, info in infos.items()
    }


def _shape(shape: Mapping) -> tuple[int | None, ...] | None:
    if shape.get("unknown_rank"):
        return None
    sizes = (int(dim["size"]) for dim in shape.get("dim", ()))
    return tuple(None if size < 0 else size for size in sizes)


def _to_array(name: str, values, spec: TensorSpec) -> np.ndarray:
    try:
        if spec.numpy_type.kind == "O":
            array = np.empty(len(values), object)
            array[:] = [base64.b64decode(value["b64"]) for value in values]
            return array
        return np.asarray(values, spec.numpy_type)
    except (KeyError, TypeError, ValueError) as error:
        raise ServingError(
            f"The output '{name}' of the server cannot be read: {error}.", code="INTERNAL"
        ) from error


def _excerpt(data: bytes) -> str:
    return repr(data[:_SHOWN].decode(errors="replace"))
