"""The gRPC services of the emulator, on the real stubs of tensorflow-serving-api."""

import contextlib
from collections.abc import Iterator, Mapping

import grpc
import numpy as np

from .c_library import CODE_NAMES, StatusError
from .model_store import ModelStore, Servable
from .signature_defs import SignatureDef, TensorInfo
from .tensor_protos import to_array, to_proto

_DEFAULT_SIGNATURE = "serving_default"
_SIGNATURES = "signature_def"  # the only metadata that there is
_UNLIMITED = [
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.so_reuseport", 0),
]


def make_grpc_server(store: ModelStore, executor) -> grpc.Server:
    """A server, yet without a port, of PredictionService and ModelService.

    Args:
        store: `ModelStore`.
        executor: Of the threads that handle requests.
    """
    from tensorflow_serving.apis import model_service_pb2_grpc, prediction_service_pb2_grpc

    server = grpc.server(executor, options=_UNLIMITED)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        PredictionService(store), server
    )
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(ModelService(store), server)
    return server


class PredictionService:
    """`Predict` and `GetModelMetadata`; anything else is answered with UNIMPLEMENTED."""

    def __init__(self, store: ModelStore):
        self._store = store

    def Predict(self, request, context):
        from tensorflow_serving.apis import predict_pb2

        with _statuses(context):
            servable = find_servable(self._store, request.model_spec)
            name = request.model_spec.signature_name or _DEFAULT_SIGNATURE
            signature = servable.session.signatures.get(name)
            if signature is None:
                raise StatusError(
                    "FAILED_PRECONDITION", f'Serving signature key "{name}" not found.'
                )
            inputs = {name: to_array(tensor) for name, tensor in request.inputs.items()}
            check_names(inputs, signature.inputs)
            outputs = servable.session.run(
                name, inputs, outputs=_filtered(request.output_filter, signature)
            )
            response = predict_pb2.PredictResponse()
            _fill_spec(response.model_spec, servable, name)
            for output, array in outputs.items():
                response.outputs[output].CopyFrom(to_proto(array))
            return response

    def GetModelMetadata(self, request, context):
        with _statuses(context):
            wrong = [field for field in request.metadata_field if field != _SIGNATURES]
            if wrong or not request.metadata_field:
                raise StatusError(
                    "INVALID_ARGUMENT", f"Metadata field {', '.join(wrong)} is not supported"
                )
            return metadata_response(find_servable(self._store, request.model_spec))

    def _unimplemented(self, request, context):
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "not emulated")

    Classify = Regress = MultiInference = _unimplemented


class ModelService:
    """`GetModelStatus`."""

    def __init__(self, store: ModelStore):
        self._store = store

    def GetModelStatus(self, request, context):
        with _statuses(context):
            _check_named(request.model_spec)
            return status_response(
                self._store.states(request.model_spec.name, **_version_choice(request.model_spec))
            )

    def HandleReloadConfigRequest(self, request, context):
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "not emulated")


def find_servable(store: ModelStore, model_spec) -> Servable:
    """The version that a `ModelSpec` asks for.

    Raises:
        StatusError: If there is none.
    """
    _check_named(model_spec)
    return store.servable(model_spec.name, **_version_choice(model_spec))


def check_names(inputs: Mapping[str, np.ndarray], expected: Mapping[str, TensorInfo]) -> None:
    """Checks that a request has the inputs of its signature, no fewer and no more.

    Raises:
        StatusError: If not.
    """
    if set(inputs) != set(expected):
        extra, missing = set(inputs) - set(expected), set(expected) - set(inputs)
        raise StatusError(
            "INVALID_ARGUMENT",
            f"input size does not match signature: {len(inputs)}!={len(expected)} "
            f"Sent extra: {{{','.join(sorted(extra))}}}. "
            f"Missing but required: {{{','.join(sorted(missing))}}}.",
        )


def metadata_response(servable: Servable):
    """The signatures of a version as a `GetModelMetadataResponse`."""
    from tensorflow_serving.apis import get_model_metadata_pb2

    signatures = get_model_metadata_pb2.SignatureDefMap()
    for name, signature in servable.session.signatures.items():
        message = signatures.signature_def[name]
        message.method_name = signature.method_name
        for infos, target in (
            (signature.inputs, message.inputs),
            (signature.outputs, message.outputs),
        ):
            for tensor, info in infos.items():
                _fill_tensor_info(target[tensor], info)
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    _fill_spec(response.model_spec, servable, "")
    response.metadata[_SIGNATURES].Pack(signatures)
    return response


def status_response(states: Mapping[int, tuple[str, StatusError | None]]):
    """The states of versions as a `GetModelStatusResponse`."""
    from tensorflow_serving.apis import get_model_status_pb2

    response = get_model_status_pb2.GetModelStatusResponse()
    for version, (state, error) in states.items():
        message = response.model_version_status.add(version=version)
        message.state = get_model_status_pb2.ModelVersionStatus.State.Value(state)
        message.status.SetInParent()  # also where all is well, as in TensorFlow Serving
        if error is not None:
            message.status.error_code = CODE_NAMES.index(error.code)
            message.status.error_message = error.message
    return response


@contextlib.contextmanager
def _statuses(context) -> Iterator[None]:
    """Ends the call with the status of a `StatusError`."""
    try:
        yield
    except StatusError as error:
        context.abort(grpc.StatusCode[error.code], error.message)


def _check_named(model_spec) -> None:
    if not model_spec.name:
        raise StatusError("INVALID_ARGUMENT", "ModelSpec has no name specified.")


def _version_choice(model_spec) -> dict:
    choice = model_spec.WhichOneof("version_choice")
    if choice == "version":
        return {"version": model_spec.version.value}
    return {"label": model_spec.version_label} if choice else {}


def _filtered(output_filter, signature: SignatureDef) -> list[str] | None:
    unknown = [name for name in output_filter if name not in signature.outputs]
    if unknown:
        raise StatusError(
            "INVALID_ARGUMENT", f"output tensor alias not found in signature: {unknown[0]}"
        )
    return list(output_filter) or None


def _fill_spec(message, servable: Servable, signature_name: str) -> None:
    message.name = servable.name
    message.version.value = servable.version
    message.signature_name = signature_name


def _fill_tensor_info(message, info: TensorInfo) -> None:
    message.name = info.tensor
    message.dtype = info.dtype
    message.tensor_shape.SetInParent()  # also that of a number, which has no axes
    if info.shape is None:
        message.tensor_shape.unknown_rank = True
    else:
        for size in info.shape:
            message.tensor_shape.dim.add(size=size)
