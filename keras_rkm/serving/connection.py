"""Which model on which server, and the transport that goes there."""

import urllib.parse

import numpy as np

from .grpc_transport import GrpcTransport
from .rest_transport import RestTransport

_SCHEME_OF_PROTOCOL = {"grpc": "grpc", "rest": "http"}
_SCHEMES = ("grpc", "http", "https")


def open_transport(
    server: str,
    *,
    protocol: str | None,
    model_name: str,
    version: int | None,
    label: str | None,
    max_message_bytes: int,
) -> GrpcTransport | RestTransport:
    """The transport to a model; nothing is sent yet.

    Args:
        server: Str, `"scheme://host:port"` or `"host:port"`.
        protocol: `"grpc"`, `"rest"`, or None for that of the scheme, or gRPC.
        model_name: Str.
        version: Positive int, or None.
        label: Str, or None.
        max_message_bytes: Positive int, the largest answer.

    Raises:
        ImportError: If gRPC is asked for and tensorflow-serving-api is not installed.
        ValueError: If an argument is wrong.
    """
    scheme, address = _parse_server(server, protocol)
    _check_model(model_name, version, label)
    check_positive("max_message_bytes", max_message_bytes)
    model = {"model_name": model_name, "version": version, "label": label}
    if scheme == "grpc":
        return GrpcTransport(address, **model, max_message_bytes=max_message_bytes)
    return RestTransport(address, scheme=scheme, **model, max_message_bytes=max_message_bytes)


def check_positive(name: str, value) -> None:
    """Raises a `ValueError` unless `value` is an int above 0."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"`{name}` must be a positive int. Received: {name}={value!r}.")


def _parse_server(server: str, protocol: str | None) -> tuple[str, str]:
    """Scheme and address of a server."""
    if protocol is not None and protocol not in _SCHEME_OF_PROTOCOL:
        raise ValueError(f"`protocol` must be 'grpc' or 'rest'. Received: protocol={protocol!r}.")
    scheme, separator, address = server.rpartition("://")
    scheme = scheme if separator else _SCHEME_OF_PROTOCOL[protocol or "grpc"]
    parsed = urllib.parse.urlsplit(f"//{address.removesuffix('/')}")
    try:
        is_address = bool(parsed.hostname and parsed.port) and parsed.netloc == parsed.geturl()[2:]
    except ValueError:  # of a port that is no number
        is_address = False
    if scheme not in _SCHEMES or not is_address:
        raise ValueError(
            "`server` must be 'grpc://host:port', 'http://host:port', 'https://host:port', or "
            f"'host:port'. Received: server={server!r}."
        )
    if protocol is not None and (scheme == "grpc") != (protocol == "grpc"):
        raise ValueError(
            f"`protocol` must fit the scheme of `server`. Received: protocol={protocol!r}, "
            f"server={server!r}. Leave one of them out."
        )
    return scheme, parsed.netloc


def _check_model(model_name: str, version: int | None, label: str | None) -> None:
    if not isinstance(model_name, str) or not model_name:
        raise ValueError(
            f"`model_name` must be a str that is not empty. Received: model_name={model_name!r}."
        )
    if version is not None and label is not None:
        raise ValueError(
            "`version` and `label` exclude each other. Received: "
            f"version={version!r}, label={label!r}."
        )
    if version is not None:
        check_positive("version", version)
    if label is not None and (not isinstance(label, str) or not label):
        raise ValueError(f"`label` must be a str that is not empty. Received: label={label!r}.")
