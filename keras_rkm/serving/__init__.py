"""A client of TensorFlow Serving for the models that `keras_rkm.export` writes.

gRPC and the stubs of TensorFlow Serving are imported when a client of theirs is made.

>>> from keras_rkm.serving import ServingClient, ServingError
>>> client = ServingClient("http://localhost:1", model_name="rkm", max_attempts=1)
>>> try:
...     images = client.generate(64, seed=0).images
... except ServingError as error:
...     error.code
'UNAVAILABLE'
"""

from .client import Generated, Reconstructed, ServingClient
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
from .signatures import Signature, TensorSpec

__all__ = [
    "DeadlineExceededError",
    "Generated",
    "InvalidRequestError",
    "MessageTooLargeError",
    "ModelNotFoundError",
    "Reconstructed",
    "ServerUnavailableError",
    "ServingClient",
    "ServingError",
    "Signature",
    "SignatureNotFoundError",
    "TensorSpec",
    "VersionNotFoundError",
]
