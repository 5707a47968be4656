"""What the client says of its arguments; no server is needed for that."""

import sys

import numpy as np
import pytest

from keras_rkm.serving import InvalidRequestError, ServingClient, TensorSpec
from keras_rkm.serving.arguments import (
    check_timeout,
    to_components,
    to_images,
    to_latents,
    to_seeds,
)
from keras_rkm.serving.signatures import Signature, check_inputs

_NOWHERE = {"server": "http://127.0.0.1:1", "model_name": "toy"}


@pytest.mark.parametrize(
    "server, protocol, expected",
    [
        ("localhost:8500", None, "grpc://localhost:8500"),
        ("localhost:8500", "grpc", "grpc://localhost:8500"),
        ("localhost:8501", "rest", "http://localhost:8501"),
        ("grpc://10.0.0.1:1", None, "grpc://10.0.0.1:1"),
        ("http://localhost:8501/", None, "http://localhost:8501"),
        ("https://example.org:443", "rest", "https://example.org:443"),
        ("[::1]:8500", None, "grpc://[::1]:8500"),
    ],
)
def test_server_and_protocol_choose_the_transport(server, protocol, expected):
    with ServingClient(server, model_name="toy", protocol=protocol) as client:
        assert client._transport.server == expected


@pytest.mark.parametrize(
    "arguments, text",
    [
        ({"server": "localhost"}, "`server` must be .*Received: server='localhost'"),
        ({"server": "localhost:port"}, "Received: server='localhost:port'"),
        ({"server": "localhost:99999"}, "Received: server='localhost:99999'"),
        ({"server": "ftp://localhost:1"}, "Received: server='ftp://localhost:1'"),
        ({"server": "http://localhost:1/v1/models"}, "`server` must be"),
        ({"server": ""}, "Received: server=''"),
        ({"protocol": "soap"}, "`protocol` must be 'grpc' or 'rest'. Received: protocol='soap'"),
        ({"protocol": "grpc"}, "`protocol` must fit .*Received: protocol='grpc', server='http"),
        ({"model_name": ""}, "`model_name` must be .*Received: model_name=''"),
        ({"version": 0}, "`version` must be a positive int. Received: version=0"),
        ({"version": True}, "Received: version=True"),
        ({"label": ""}, "`label` must be .*Received: label=''"),
        ({"version": 1, "label": "a"}, "exclude each other. Received: version=1, label='a'"),
        ({"timeout": 0}, "`timeout` must be .*Received: timeout=0"),
        ({"timeout": float("nan")}, "Received: timeout=nan"),
        ({"max_attempts": 0}, "`max_attempts` must be .*Received: max_attempts=0"),
        ({"batch_size": 2.5}, "`batch_size` must be .*Received: batch_size=2.5"),
        ({"max_message_bytes": -1}, "Received: max_message_bytes=-1"),
    ],
)
def test_wrong_argument_of_a_client_is_a_value_error(arguments, text):
    with pytest.raises(ValueError, match=text):
        ServingClient(**{**_NOWHERE, **arguments})


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis", None)
    with pytest.raises(ImportError, match="pip install tensorflow-serving-api.*http://"):
        ServingClient("grpc://localhost:8500", model_name="toy")
    ServingClient("http://localhost:8501", model_name="toy").close()


@pytest.mark.parametrize(
    "images, text",
    [
        (np.full((1, 2, 2, 1), 255.0), r"lie in \[0, 1\]. Received: values from 255 to 255"),
        (np.full((1, 2, 2, 1), -0.1), "values from -0.1"),
        (np.full((1, 2, 2, 1), np.nan), "values from nan"),
        (np.zeros((1, 2, 2, 1), "int64"), "floats in .* or uint8. Received: type int64"),
        (np.zeros((0, 2, 2, 1)), r"at least one row. Received: shape \(0, 2, 2, 1\)"),
        (0.5, r"at least one row. Received: shape \(\)"),
        ([[1], [1, 2]], "`images` must be an array"),
    ],
)
def test_wrong_images_are_refused(images, text):
    with pytest.raises(InvalidRequestError, match=text):
        to_images(images)


def test_images_become_float32():
    assert to_images(np.array([[0, 255]], np.uint8)).tolist() == [[0, 1]]
    for dtype in ("float16", "float64"):
        assert to_images(np.ones((1, 2), dtype)).dtype == np.float32


def test_images_of_a_tensor_are_taken():
    import tensorflow as tf

    assert to_images(tf.ones((1, 2), tf.bfloat16)).dtype == np.float32


@pytest.mark.parametrize(
    "latents, text",
    [
        ([[np.inf]], "must be finite"),
        ([["a"]], "must be numbers. Received: type <U1"),
        ([], "at least one row"),
    ],
)
def test_wrong_latents_are_refused(latents, text):
    with pytest.raises(InvalidRequestError, match=text):
        to_latents(latents)


@pytest.mark.parametrize("component", [-1, 3, [0, 3], 1.0, [[0]], "0", None])
def test_wrong_component_is_refused(component):
    with pytest.raises(InvalidRequestError, match="`component` must be .*Received: component="):
        to_components(component, np.zeros((2, 3)))


@pytest.mark.parametrize(
    "num_samples, seed, seeds, text",
    [
        (None, None, None, "either `num_samples`.*or `seeds`"),
        (2, None, [1], "either"),
        (None, 1, [1], "either"),
        (0, None, None, "num_samples=0"),
        (2.0, None, None, "num_samples=2.0"),
        (2, -1, None, "seed=-1"),
        (None, None, [0.5], "type float64"),
        (None, None, [[1]], r"shape \(1, 1\)"),
        (None, None, np.array([2**63], "uint64"), "below 2"),
        (None, None, [2**70], "type object"),
        (None, None, [], "at least one row"),
    ],
)
def test_wrong_seeds_are_refused(num_samples, seed, seeds, text):
    with pytest.raises(InvalidRequestError, match=text):
        to_seeds(num_samples, seed, seeds)


def test_seeds_are_int64():
    assert to_seeds(3, None, None).tolist() == [-1, -1, -1]
    first = to_seeds(3, 5, None)
    assert first.dtype == np.int64
    assert first.min() >= 0
    np.testing.assert_array_equal(to_seeds(10, 5, None)[:3], first)
    assert to_seeds(None, None, (7, -2)).tolist() == [7, -2]


@pytest.mark.parametrize("timeout", [0, -1, float("inf"), "5", None, True])
def test_wrong_timeout_is_refused(timeout):
    with pytest.raises(InvalidRequestError, match="positive number of seconds"):
        check_timeout(timeout)


@pytest.mark.parametrize(
    "shape, text, accepted, refused",
    [
        ((None, 28, 28, 1), "(batch, 28, 28, 1)", (3, 28, 28, 1), (3, 28, 28, 3)),
        ((None,), "(batch,)", (9,), (9, 1)),
        ((None, None, 3), "(batch, any, 3)", (1, 5, 3), (1, 5)),
        ((), "()", (), (1,)),
    ],
)
def test_shapes_are_compared_where_they_are_fixed(shape, text, accepted, refused):
    spec = TensorSpec("DT_FLOAT", shape)
    assert spec.describe() == text
    assert spec.accepts(accepted)
    assert not spec.accepts(refused)


def test_any_shape_is_accepted_where_none_is_told():
    spec = TensorSpec("DT_FLOAT", None)
    assert spec.accepts((1, 2))
    assert spec.describe() == "any"


def test_inputs_are_compared_with_the_signature():
    row = TensorSpec("DT_FLOAT", (None,))
    signatures = {"f": Signature({"a": row, "b": row}, {}), "__init": Signature({}, {})}
    with pytest.raises(InvalidRequestError, match="takes a, b, but this client sends a"):
        check_inputs(signatures, "f", {"a": np.zeros(1)})
    with pytest.raises(InvalidRequestError, match="equally many rows. Received: 1 a, 2 b"):
        check_inputs(signatures, "f", {"a": np.zeros(1), "b": np.zeros(2)})
    assert check_inputs(signatures, "f", {"a": np.zeros(1), "b": np.zeros(1)}) is signatures["f"]


def test_type_that_the_package_does_not_write_is_told():
    with pytest.raises(RuntimeError, match="uses the type DT_HALF"):
        _ = TensorSpec("DT_HALF", ()).numpy_type
