"""Requests over gRPC, by the stubs of tensorflow-serving-api."""

from collections.abc import Mapping

import numpy as np

from .retries import Deadline
from .signatures import Signature, TensorSpec
from .statuses import to_error

_METADATA = "signature_def"


class GrpcTransport:
    """Talks to a model over one channel, which all threads may use.

    Args:
        address: Str, `"host:port"`.
        model_name: Str.
        version: Int or None.
        label: Str or None.
        max_message_bytes: Int, the largest answer.

    Raises:
        ImportError: If tensorflow-serving-api is not installed.
    """

    def __init__(
        self,
        address: str,
        *,
        model_name: str,
        version: int | None,
        label: str | None,
        max_message_bytes: int,
    ):
        grpc, stubs = _import()
        self.server = f"grpc://{address}"
        self._model = {"name": model_name}
        if version is not None:
            self._model["version"] = {"value": version}
        elif label is not None:
            self._model["version_label"] = label
        self._channel = grpc.insecure_channel(
            address,
            options=[
                ("grpc.max_receive_message_length", max_message_bytes),
                ("grpc.max_send_message_length", -1),
                # Attempts are counted in retries.py, and only there. Between two of them the
                # channel must not wait for long before it connects anew: 1 to 120 s by default.
                ("grpc.enable_retries", 0),
                ("grpc.initial_reconnect_backoff_ms", 100),
                ("grpc.max_reconnect_backoff_ms", 1000),
            ],
        )
        self._stubs = stubs
        self._predictions = stubs["prediction_service"].PredictionServiceStub(self._channel)
        self._models = stubs["model_service"].ModelServiceStub(self._channel)

    def predict(
        self, name: str, signature: Signature, inputs: Mapping[str, np.ndarray], deadline: Deadline
    ) -> dict[str, np.ndarray]:
        """Calls a signature once; arrays by name, rows along the first axis."""
        import tensorflow as tf

        request = self._stubs["predict"].PredictRequest(
            model_spec={**self._model, "signature_name": name},
            inputs={key: tf.make_tensor_proto(array) for key, array in inputs.items()},
        )
        response = self._call(self._predictions.Predict, request, deadline)
        return {key: tf.make_ndarray(tensor) for key, tensor in response.outputs.items()}

    def signatures(self, deadline: Deadline) -> dict[str, Signature]:
        """What the model takes and gives, by the name of the signature."""
        module = self._stubs["get_model_metadata"]
        request = module.GetModelMetadataRequest(model_spec=self._model, metadata_field=[_METADATA])
        response = self._call(self._predictions.GetModelMetadata, request, deadline)
        definitions = module.SignatureDefMap()
        response.metadata[_METADATA].Unpack(definitions)
        return {
            name: Signature(_specs(definition.inputs), _specs(definition.outputs))
            for name, definition in definitions.signature_def.items()
        }

    def versions(self, deadline: Deadline) -> dict[int, str]:
        """The state of every version of the model."""
        module = self._stubs["get_model_status"]
        request = module.GetModelStatusRequest(model_spec={"name": self._model["name"]})
        response = self._call(self._models.GetModelStatus, request, deadline)
        state_name = module.ModelVersionStatus.State.Name
        return {
            status.version: state_name(status.state) for status in response.model_version_status
        }

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def _call(self, method, request, deadline: Deadline):
        import grpc

        try:
            return method(request, timeout=deadline.remaining())
        except grpc.RpcError as error:
            raise to_error(
                error.code().name, error.details() or "", server=self.server, deadline=deadline
            ) from error


def _import():
    try:
        import grpc
        from tensorflow_serving.apis import (
            get_model_metadata_pb2,
            get_model_status_pb2,
            model_service_pb2_grpc,
            predict_pb2,
            prediction_service_pb2_grpc,
        )
    except ImportError as error:
        raise ImportError(
            "gRPC needs the package tensorflow-serving-api, which is not installed. Install it by "
            '`pip install tensorflow-serving-api`, or talk REST: `server="http://HOST:8501"`.'
        ) from error
    return grpc, {
        "get_model_metadata": get_model_metadata_pb2,
        "get_model_status": get_model_status_pb2,
        "model_service": model_service_pb2_grpc,
        "predict": predict_pb2,
        "prediction_service": prediction_service_pb2_grpc,
    }


def _specs(infos: Mapping) -> dict[str, TensorSpec]:
    from tensorflow.core.framework import types_pb2

    return {
        name: TensorSpec(types_pb2.DataType.Name(info.dtype), _shape(info.tensor_shape))
        for name, info in infos.items()
    }


def _shape(message) -> tuple[int | None, ...] | None:
    if message.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else dim.size for dim in message.dim)
