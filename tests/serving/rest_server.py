"""The REST API of the emulator: paths, methods and status codes of TensorFlow Serving."""

import http.server
import json
import re
import urllib.parse

from .c_library import StatusError
from .grpc_services import metadata_response, status_response
from .model_store import ModelStore
from .rest_json import format_outputs, parse_body, parse_inputs

_MODEL = r"/v1/models/(?P<name>[^/:]+)(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
_PREDICT = re.compile(_MODEL + ":predict", re.IGNORECASE)
_GET = re.compile(_MODEL + "(?P<metadata>/metadata)?", re.IGNORECASE)
_DEFAULT_SIGNATURE = "serving_default"

_HTTP_STATUS = {
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}


def answer_predict(store: ModelStore, path: str, body: bytes) -> str:
    """The JSON that answers a POST.

    Args:
        store: `ModelStore`.
        path: Str, such as `"/v1/models/rkm:predict"`.
        body: Bytes.

    Raises:
        StatusError: As TensorFlow Serving, with the code of gRPC.
    """
    servable = store.servable(**_choice(_PREDICT, "POST", path))
    request = parse_body(body)
    name = request.get("signature_name") or _DEFAULT_SIGNATURE
    signature = servable.session.signatures.get(name)
    if signature is None:
        raise StatusError(
            "INVALID_ARGUMENT", f'Serving signature name: "{name}" not found in signature def'
        )
    inputs, in_rows = parse_inputs(request, signature.inputs)
    return format_outputs(servable.session.run(name, inputs), in_rows=in_rows)


def answer_get(store: ModelStore, path: str) -> str:
    """The JSON that answers a GET: the status of a model, or its metadata.

    Raises:
        StatusError: As TensorFlow Serving, with the code of gRPC.
    """
    choice = _choice(_GET, "GET", path)
    if not choice.pop("metadata"):
        return _to_json(status_response(store.states(choice.pop("name"), **choice)))
    response = metadata_response(store.servable(**choice))
    return json.dumps(
        {
            "model_spec": json.loads(_to_json(response.model_spec)),
            "metadata": {"signature_def": _unpacked(response.metadata["signature_def"])},
        }
    )


class RestServer(http.server.ThreadingHTTPServer):
    """Serves a `ModelStore` on a port of the loopback interface; 0 chooses one.

    With `enable_cors` pages of any origin may read the answers.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, store: ModelStore, port: int, *, enable_cors: bool = False):
        self.store = store
        self.enable_cors = enable_cors
        super().__init__(("127.0.0.1", port), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self._answer(lambda: answer_get(self.server.store, self.path))

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(lambda: answer_predict(self.server.store, self.path, body))

    def log_message(self, *arguments):
        pass

    def _answer(self, compute) -> None:
        try:
            status, text = 200, compute()
        except StatusError as error:
            status = _HTTP_STATUS.get(error.code, 500)
            text = json.dumps({"error": error.message})
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if self.server.enable_cors:
            self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(data)


def _choice(pattern: re.Pattern, method: str, path: str) -> dict:
    match = pattern.fullmatch(urllib.parse.urlsplit(path).path)
    if match is None:
        raise StatusError("INVALID_ARGUMENT", f"Malformed request: {method} {path}")
    choice = match.groupdict()
    for part in ("name", "label"):
        choice[part] = choice[part] and urllib.parse.unquote(choice[part])
    choice["version"] = choice["version"] and int(choice["version"])
    return choice


def _unpacked(message) -> dict:
    from tensorflow_serving.apis import get_model_metadata_pb2

    signatures = get_model_metadata_pb2.SignatureDefMap()
    message.Unpack(signatures)
    return json.loads(_to_json(signatures))


def _to_json(message) -> str:
    from google.protobuf import json_format

    return json_format.MessageToJson(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
