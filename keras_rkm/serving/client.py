"""`ServingClient`: the signatures of an exported model as methods, NumPy in and NumPy out."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from . import arguments
from .connection import check_positive, open_transport
from .requests import Requests
from .signatures import Signature


class Generated(NamedTuple):
    """Latents `(batch, latent_dim)` and their images `(batch, height, width, channels)`."""

    latents: np.ndarray
    images: np.ndarray


class Reconstructed(NamedTuple):
    """Images `(batch, height, width, channels)` and the energy `(batch,)` of the originals.

    The energy is None of a model without one, that is of any but a StiefelRKM.
    """

    images: np.ndarray
    energy: np.ndarray | None


class ServingClient:
    """Calls a model that TensorFlow Serving serves, exported by `keras_rkm.export`.

    What a call sends is checked first against the signatures that the server tells of. Calls of
    more than `batch_size` rows become several requests; while a server changes to a new version
    these may meet either, unless `version` says which. All threads may use one client.

    Args:
        server: Str, `"grpc://host:port"`, `"http://host:port"` or `"https://host:port"`; or
            `"host:port"` with a `protocol`. gRPC is the faster one by far; there it has no TLS.
        model_name: Str, the name under which the server knows the model.
        protocol: `"grpc"` or `"rest"`, for a `server` without a scheme. Defaults to None, gRPC.
        version: Int, the version to call. Defaults to None, the newest that is loaded.
        label: Str, the label of a version, in place of `version`. Defaults to None.
        timeout: Number of seconds that a request may take, new attempts included; a call of
            several requests may take it for each. Defaults to 10.
        max_attempts: Int, how often a request is sent at most. It is sent again only when no server
            is there, or the server says so: gRPC status UNAVAILABLE, HTTP status 503, connection
            refused. Defaults to 5.
        batch_size: Int, the rows of a request at most. Defaults to 64.
        max_message_bytes: Int, the size of an answer at most. Defaults to 256 MiB.

    Raises:
        ImportError: If gRPC is asked for and tensorflow-serving-api is not installed.
        ValueError: If an argument is wrong.
        ServingError: By all methods: `ServerUnavailableError`, `DeadlineExceededError`,
            `ModelNotFoundError`, `VersionNotFoundError`, `SignatureNotFoundError`,
            `InvalidRequestError` (which is a `ValueError` too) or `MessageTooLargeError`.

    Example:

    >>> from keras_rkm.serving import ServingClient
    >>> with ServingClient("http://localhost:1", model_name="rkm", max_attempts=1) as client:
    ...     client.generate(64, seed=0)
    Traceback (most recent call last):
    keras_rkm.serving.errors.ServerUnavailableError: TensorFlow Serving at http://localhost:1 ...
    """

    def __init__(
        self,
        server: str,
        *,
        model_name: str,
        protocol: str | None = None,
        version: int | None = None,
        label: str | None = None,
        timeout: float = 10.0,
        max_attempts: int = 5,
        batch_size: int = 64,
        max_message_bytes: int = 2**28,
    ):
        check_positive("max_attempts", max_attempts)
        check_positive("batch_size", batch_size)
        self._timeout = arguments.check_timeout(timeout)
        self._transport = open_transport(
            server,
            protocol=protocol,
            model_name=model_name,
            version=version,
            label=label,
            max_message_bytes=max_message_bytes,
        )
        self._requests = Requests(
            self._transport,
            model_name=model_name,
            wanted=f"label '{label}'" if version is None else f"version {version}",
            max_attempts=max_attempts,
            batch_size=batch_size,
        )

    def generate(
        self, num_samples: int | None = None, *, seed=None, seeds=None, timeout=None
    ) -> Generated:
        """Draws latents and decodes them.

        Args:
            num_samples: Positive int, the number of rows.
            seed: Int in [0, 2**63), gives the rows that
                `model.generate(num_samples, sampler, seed)` gives; None for fresh entropy.
            seeds: Ints `(batch,)` in place of `num_samples` and `seed`, one for every row, whatever
                else is in the batch; a negative one is fresh entropy.
            timeout: Seconds, in place of the client's.
        """
        inputs = {"seed": arguments.to_seeds(num_samples, seed, seeds)}
        outputs = self._predict("generate", inputs, timeout)
        return Generated(outputs["latents"], outputs["images"])

    def generate_png(
        self, num_samples: int | None = None, *, seed=None, seeds=None, timeout=None
    ) -> list[bytes]:
        """As `generate`, but returns a PNG file per row: a small answer, also over REST."""
        inputs = {"seed": arguments.to_seeds(num_samples, seed, seeds)}
        return list(self._predict("generate_png", inputs, timeout)["image_bytes"])

    def encode(self, images, *, timeout=None) -> np.ndarray:
        """Latents `(batch, latent_dim)` of images, which are floats in [0, 1] or uint8."""
        return self._predict("encode", {"images": arguments.to_images(images)}, timeout)["latents"]

    def decode(self, latents, *, timeout=None) -> np.ndarray:
        """Images `(batch, height, width, channels)` of latents `(batch, latent_dim)`."""
        inputs = {"latents": arguments.to_latents(latents)}
        return self._predict("decode", inputs, timeout)["images"]

    def reconstruct(self, images, *, timeout=None) -> Reconstructed:
        """Images from the latents of images, and the energy of each original."""
        outputs = self._predict("reconstruct", {"images": arguments.to_images(images)}, timeout)
        return Reconstructed(outputs["images"], outputs.get("energy"))

    def traverse(self, latents, component, *, timeout=None) -> np.ndarray:
        """Goes along one axis from each row of latents.

        Args:
            latents: Numbers `(batch, latent_dim)`.
            component: Int, the axis, counted from 0; or ints `(batch,)`, one per row.
            timeout: Seconds, in place of the client's.

        Returns:
            Images `(batch, num_steps, height, width, channels)`.
        """
        latents = arguments.to_latents(latents)
        inputs = {"latents": latents, "component": arguments.to_components(component, latents)}
        return self._predict("traverse", inputs, timeout)["images"]

    def log_prob(self, latents, *, timeout=None) -> np.ndarray:
        """The log density `(batch,)` of latents under the sampler of the model."""
        inputs = {"latents": arguments.to_latents(latents)}
        return self._predict("log_prob", inputs, timeout)["log_prob"]

    def signatures(self, *, timeout=None) -> dict[str, Signature]:
        """What the model takes and gives, as the server tells it now."""
        return self._requests.signatures(self._seconds(timeout))

    def versions(self, *, timeout=None) -> dict[int, str]:
        """The state of every version that the server knows, such as `{2: "AVAILABLE"}`."""
        return self._requests.versions(self._seconds(timeout))

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def __enter__(self) -> "ServingClient":
        return self

    def __exit__(self, *error) -> None:
        self.close()

    def _predict(
        self, name: str, inputs: Mapping[str, np.ndarray], timeout: float | None
    ) -> dict[str, np.ndarray]:
        return self._requests.predict(name, inputs, self._seconds(timeout))

    def _seconds(self, timeout: float | None) -> float:
        return self._timeout if timeout is None else arguments.check_timeout(timeout)
