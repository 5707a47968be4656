"""The requests of `assets.extra/tf_serving_warmup_requests`, run once before a version is served.

The file is a TFRecord of `PredictionLog`s; TensorFlow Serving refuses a version whose warm-up
requests fail, or that has more than a thousand of them.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

from .c_api import Session
from .c_library import StatusError
from .tensor_protos import to_array

_FILE = Path("assets.extra", "tf_serving_warmup_requests")
_MAX_REQUESTS = 1000
_DEFAULT_SIGNATURE = "serving_default"


def replay_warm_up_requests(export_dir: Path, session: Session) -> int:
    """Runs the warm-up requests of a version.

    Args:
        export_dir: Path, the folder of the version.
        session: `Session` on it.

    Returns:
        How many there were.

    Raises:
        StatusError: If there are too many, one is no request to predict, or one fails.
    """
    from tensorflow_serving.apis import prediction_log_pb2

    path = export_dir / _FILE
    if not path.is_file():
        return 0
    count = 0
    for record in _records(path.read_bytes()):
        count += 1
        if count > _MAX_REQUESTS:
            raise StatusError(
                "INVALID_ARGUMENT",
                f"Number of warmup records exceeds the maximum ({_MAX_REQUESTS})",
            )
        log = prediction_log_pb2.PredictionLog.FromString(record)
        if log.WhichOneof("log_type") != "predict_log":
            raise StatusError("UNIMPLEMENTED", f"Unsupported log_type for warmup: {log}")
        request = log.predict_log.request
        session.run(
            request.model_spec.signature_name or _DEFAULT_SIGNATURE,
            {name: to_array(tensor) for name, tensor in request.inputs.items()},
        )
    return count


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a TFRecord: length, checksum of it, bytes, checksum of them."""
    position = 0
    while position < len(data):
        (length,) = struct.unpack_from("<Q", data, position)
        record = data[position + 12 : position + 12 + length]
        if len(record) < length:
            raise StatusError("DATA_LOSS", "truncated record of warm-up requests")
        yield record
        position += 12 + length + 4
