"""The statuses of a server, of gRPC and of HTTP alike, as exceptions that say the way out."""

from .errors import (
    DeadlineExceededError,
    InvalidRequestError,
    MessageTooLargeError,
    ModelNotFoundError,
    ServerUnavailableError,
    ServingError,
    SignatureNotFoundError,
    VersionNotFoundError,
)
from .retries import Deadline

# What TensorFlow Serving says; its codes alone do not tell these apart.
_NO_SIGNATURE = ("Serving signature key", "Serving signature name")
_NO_LABEL = "Unrecognized servable version label"
_TOO_LARGE = "larger than max"


def to_error(code: str, details: str, *, server: str, deadline: Deadline) -> ServingError:
    """The exception for a status.

    Args:
        code: Str, the gRPC status code, such as `"NOT_FOUND"`.
        details: Str, what the server, or gRPC on this side, says.
        server: Str, its address, such as `"grpc://localhost:8500"`.
        deadline: `Deadline` that the request had.
    """
    details = " ".join(details.split()).removesuffix(".")
    if code == "UNAVAILABLE":
        return ServerUnavailableError(
            f"TensorFlow Serving at {server} is not available: {details}. Check that it runs, and "
            "that address, port and protocol are right; its ports are 8500 for gRPC and 8501 for "
            "REST unless told otherwise."
        )
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceededError(
            f"{server} did not answer within {deadline.seconds:g} seconds. Raise `timeout`, or "
            "send fewer rows by a smaller `batch_size`."
        )
    if any(text in details for text in _NO_SIGNATURE):
        return SignatureNotFoundError(f"{details}, says {server}.")
    if _NO_LABEL in details:
        return VersionNotFoundError(
            f"{details}, says {server}. Its model has no such label, or the server is not started "
            "with the `models.config` that gives it.",
        )
    if code == "NOT_FOUND":
        return ModelNotFoundError(f"{server} does not know it: {details}.")
    if code == "RESOURCE_EXHAUSTED" and _TOO_LARGE in details:
        return too_large_error(details, server=server)
    if code == "INVALID_ARGUMENT":
        return InvalidRequestError(f"{server} refused the request: {details}.")
    return ServingError(f"{server} failed with {code}: {details}.", code=code)


def too_large_error(details: str, *, server: str) -> MessageTooLargeError:
    """The exception for a request or an answer of too many bytes."""
    return MessageTooLargeError(
        f"A message from or to {server} is too large: {details}. Send fewer rows at a time by a "
        "smaller `batch_size`, or raise `max_message_bytes`."
    )
