"""Calls of a signature: checked before they are sent, cut into requests, sent again if need be."""

from collections.abc import Callable, Mapping
from typing import TypeVar

import numpy as np

from .errors import ModelNotFoundError, ServingError, VersionNotFoundError
from .grpc_transport import GrpcTransport
from .rest_transport import RestTransport
from .retries import Deadline, call_with_retries
from .signatures import Signature, check_inputs

_AVAILABLE = "AVAILABLE"

Answer = TypeVar("Answer")


class Requests:
    """Sends requests about one model over a transport.

    Args:
        transport: `GrpcTransport` or `RestTransport`.
        model_name: Str, for what is said of errors.
        wanted: Str, such as `"version 3"`, for the same.
        max_attempts: Positive int.
        batch_size: Positive int, rows of a request at most.
    """

    def __init__(
        self,
        transport: GrpcTransport | RestTransport,
        *,
        model_name: str,
        wanted: str,
        max_attempts: int,
        batch_size: int,
    ):
        self._transport = transport
        self._model_name = model_name
        self._wanted = wanted
        self._max_attempts = max_attempts
        self._batch_size = batch_size
        self._signatures: dict[str, Signature] | None = None

    def predict(
        self, name: str, inputs: Mapping[str, np.ndarray], timeout: float
    ) -> dict[str, np.ndarray]:
        """Sends the rows in requests of `batch_size`, and puts the answers together.

        Args:
            name: Str, the signature.
            inputs: Arrays by name, the rows along the first axis.
            timeout: Seconds for each of the requests; the first one includes the question for the
                signatures, where these are not known yet.
        """
        deadline = Deadline(timeout)
        signature = self._checked_signature(name, inputs, deadline)
        inputs = {
            key: array.astype(signature.inputs[key].numpy_type) for key, array in inputs.items()
        }
        num_rows = len(next(iter(inputs.values())))
        answers = []
        for start in range(0, num_rows, self._batch_size):
            rows = {key: array[start : start + self._batch_size] for key, array in inputs.items()}
            answers.append(self._predict_once(name, signature, rows, deadline))
            deadline = Deadline(timeout)
        return {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}

    def signatures(self, timeout: float) -> dict[str, Signature]:
        """What the model takes and gives, asked for anew."""
        self._signatures = self._send(self._transport.signatures, Deadline(timeout))
        return dict(self._signatures)

    def versions(self, timeout: float) -> dict[int, str]:
        """The state of every version."""
        return self._send(self._transport.versions, Deadline(timeout))

    def _checked_signature(
        self, name: str, inputs: Mapping[str, np.ndarray], deadline: Deadline
    ) -> Signature:
        """The signature, if the inputs fit it; what the server told long ago is asked for again."""
        if self._signatures is not None:
            try:
                return check_inputs(self._signatures, name, inputs)
            except ServingError:  # A new version may have come in the meantime.
                pass
        self._signatures = self._send(self._transport.signatures, deadline)
        return check_inputs(self._signatures, name, inputs)

    def _predict_once(
        self, name: str, signature: Signature, rows: Mapping[str, np.ndarray], deadline: Deadline
    ) -> dict[str, np.ndarray]:
        outputs = self._send(
            lambda deadline: self._transport.predict(name, signature, rows, deadline), deadline
        )
        num_rows = len(next(iter(rows.values())))
        shapes = {key: np.shape(outputs.get(key)) for key in signature.outputs}
        if any(shape[:1] != (num_rows,) for shape in shapes.values()):
            raise ServingError(
                f"The server answered {num_rows} rows of '{name}' with outputs of other shapes: "
                f"{shapes}. Was the model exported by keras_rkm?",
                code="INTERNAL",
            )
        return outputs

    def _send(self, call: Callable[[Deadline], Answer], deadline: Deadline) -> Answer:
        try:
            return call_with_retries(
                lambda: call(deadline), deadline=deadline, max_attempts=self._max_attempts
            )
        except ModelNotFoundError as error:
            raise self._not_found(error, deadline) from error

    def _not_found(self, error: ModelNotFoundError, deadline: Deadline) -> ServingError:
        """Tells a model that is not there from a version of it that is not."""
        name, server = self._model_name, self._transport.server
        try:
            versions = self._transport.versions(deadline)
        except ModelNotFoundError:
            return ModelNotFoundError(
                f"There is no model '{name}' on {server}. Check `model_name` against the "
                f"`--model_name` or the `models.config` of the server. {error}"
            )
        except ServingError:
            return error
        loaded = [str(version) for version, state in versions.items() if state == _AVAILABLE]
        if loaded:
            return VersionNotFoundError(
                f"The model '{name}' on {server} has no {self._wanted}. Versions that are loaded: "
                f"{', '.join(loaded)}."
            )
        states = ", ".join(f"{version} {state}" for version, state in versions.items())
        return VersionNotFoundError(
            f"No version of the model '{name}' on {server} is loaded: {states}. Wait for it, or "
            "see in the log of the server why."
        )
