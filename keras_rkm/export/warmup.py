"""Requests that TensorFlow Serving replays before it lets a version answer."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import tensorflow as tf

from .signatures import Endpoint

_FILE = "assets.extra/tf_serving_warmup_requests"  # where the server looks for it


def write_warmup_requests(
    folder: Path, endpoints: Mapping[str, Endpoint], *, model_name: str
) -> None:
    """Writes one request of one row, all zeros, for every endpoint.

    The first call of a signature builds and optimises its graph, which takes many times as long as
    the next ones.

    Args:
        folder: The folder of the version.
        endpoints: Endpoints by the names of their signatures.
        model_name: Str, the name of the model in the server.
    """
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    path = folder / _FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for name, endpoint in endpoints.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = model_name
            request.model_spec.signature_name = name
            for spec in endpoint.inputs:
                zeros = np.zeros([1, *spec.shape[1:]], spec.dtype.as_numpy_dtype)
                request.inputs[spec.name].CopyFrom(tf.make_tensor_proto(zeros))
            log = prediction_log_pb2.PredictionLog(
                predict_log=prediction_log_pb2.PredictLog(request=request)
            )
            writer.write(log.SerializeToString())
