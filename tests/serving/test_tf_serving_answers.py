"""The emulator against answers that TensorFlow Serving's own code gave to REST requests.

What is compared: which requests are refused, the status class (the code of gRPC, of which HTTP 400
follows), what tells an error from another; the structure of an answer: rows or columns, names,
nesting, a single output without its name; the numbers, to 1e-5.

What is not: white space and the order of names in an object, which is that of a hash table there;
the digits of a number that is equal; the wording of errors in full. An error stands in the recorded
file as `{"error": CODE: text}`, which is no JSON and not what goes over HTTP, where TensorFlow
Serving sends the text as a JSON string. Where two operations of a graph fail, it depends on the
moment which one is reported.
"""

import json
import re
import urllib.error
import urllib.request

import numpy as np
import pytest

from .emulator import Emulator
from .model_store import ModelConfig

_NUM_REQUESTS = 16
_ERROR = re.compile(r'\{"error": (?P<code>[A-Z_]+): (?P<text>.*)\}', re.DOTALL)

# What a refusal must say, by its place in the file.
_PHRASES = {
    4: "Failed to process element: 0 of 'instances' list. Error: INVALID_ARGUMENT: JSON Value: 7.5 "
    "Type: Number is not of expected type: int64",
    # Of one of two operations within this sampler.
    7: "{{function_node __inference_generate_n_6042}}{{node MixtureSameFamily/sample/Categorical/",
    9: "Matrix size-incompatible: In[0]: [1,3], In[1]: [12,16]",
    11: "keys must be equal to: component,h,high,low",
    12: 'Serving signature name: "nope" not found in signature def',
    13: "Missing 'inputs' or 'instances' key",
    14: "No values in 'instances' array",
}


@pytest.fixture(scope="module")
def recorded(shared_data):
    folder = shared_data / "tf-serving-requests"
    if not folder.is_dir():
        pytest.skip("needs the real data sets in ../shared/data, see BUILD.md")
    requests = (folder / "requests.jsonl").read_text().splitlines()
    answers = (folder / "responses.txt").read_text().split("----\n")
    answers = [answer.strip() for answer in answers if answer.strip()]
    assert len(requests) == len(answers) == _NUM_REQUESTS
    return list(zip(requests, answers, strict=True))


@pytest.fixture(scope="module")
def url(shared_data, recorded):
    base_path = shared_data / "tf-serving-requests" / "savedmodel"
    with Emulator([ModelConfig("toy", base_path)]) as emulator:
        yield f"http://127.0.0.1:{emulator.rest_port}/v1/models/toy"


@pytest.mark.parametrize("index", range(_NUM_REQUESTS))
def test_answer_is_that_of_tensorflow_serving(index, recorded, url):
    request, expected = recorded[index]
    status, answer = _post(f"{url}:predict", request)
    refusal = _ERROR.fullmatch(expected)
    assert bool(refusal) == (index in _PHRASES)
    if refusal is None:
        assert status == 200
        _assert_alike(answer, json.loads(expected))
        return
    assert refusal["code"] == "INVALID_ARGUMENT"
    assert status == 400
    assert set(answer) == {"error"}
    for text in (answer["error"], refusal["text"]):
        assert _PHRASES[index] in text


def test_warm_up_requests_were_replayed(shared_data, recorded):
    base_path = shared_data / "tf-serving-requests" / "savedmodel"
    with Emulator([ModelConfig("toy", base_path)]) as emulator:
        assert emulator.store.servable("toy").num_warm_up_requests == 2


def _post(url, body):
    try:
        with urllib.request.urlopen(url, body.encode()) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def _assert_alike(received, expected):
    """Equal names, nesting and types; numbers to 1e-5."""
    assert type(received) is type(expected)
    if isinstance(expected, dict):
        assert set(received) == set(expected)
        for key, value in expected.items():
            _assert_alike(received[key], value)
    elif isinstance(expected, list):
        assert len(received) == len(expected)
        for one, other in zip(received, expected, strict=True):
            _assert_alike(one, other)
    else:
        np.testing.assert_allclose(received, expected, rtol=1e-5, atol=1e-5)
