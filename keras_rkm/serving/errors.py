"""What can go wrong between a client and a server: one family of exceptions."""


class ServingError(RuntimeError):
    """A request to TensorFlow Serving failed.

    Args:
        message: Str, what failed, why, and the way out.
        code: Str, the gRPC status code; that of the class if None.

    Attributes:
        code: Str, such as `"UNAVAILABLE"`, also where the request went over REST.
    """

    code = "UNKNOWN"

    def __init__(self, message: str, *, code: str | None = None):
        super().__init__(message)
        if code is not None:
            self.code = code


class ServerUnavailableError(ServingError):
    """No server answered, or it answered that it cannot now, and trying again did not help."""

    code = "UNAVAILABLE"


class DeadlineExceededError(ServingError):
    """There was no answer within the time that the caller gave."""

    code = "DEADLINE_EXCEEDED"


class ModelNotFoundError(ServingError):
    """The server has no model of this name."""

    code = "NOT_FOUND"


class VersionNotFoundError(ServingError):
    """The server has the model, but not this version or label of it, or none that is loaded."""

    code = "NOT_FOUND"


class SignatureNotFoundError(ServingError):
    """The model has no such signature: it was exported by something else, or without a sampler."""

    code = "NOT_FOUND"


class InvalidRequestError(ServingError, ValueError):
    """The arguments do not fit the model; also a `ValueError`."""

    code = "INVALID_ARGUMENT"


class MessageTooLargeError(ServingError):
    """A request or its answer has more bytes than the client or the server takes."""

    code = "RESOURCE_EXHAUSTED"
