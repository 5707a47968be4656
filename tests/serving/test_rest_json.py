"""The JSON of the REST API, where the requests of ../shared/data do not reach."""

import json

import numpy as np
import pytest

from .c_library import StatusError
from .rest_json import format_outputs, parse_body, parse_inputs
from .signature_defs import TensorInfo

_FLOAT, _DOUBLE, _INT32, _STRING, _INT64, _BOOL = 1, 2, 3, 7, 9, 10


def _infos(**types):
    return {name: TensorInfo(f"{name}:0", dtype, None) for name, dtype in types.items()}


def _parse(text, **types):
    return parse_inputs(parse_body(text.encode()), _infos(**types))


@pytest.mark.parametrize(
    "text, type_, expected",
    [
        ('{"instances": [1, 2.5]}', _FLOAT, np.array([1, 2.5], "float32")),
        ('{"instances": [[1], [-2]]}', _INT64, np.array([[1], [-2]])),
        ('{"inputs": [[1, 2], [3, 4]]}', _INT32, np.array([[1, 2], [3, 4]], "int32")),
        ('{"inputs": 7}', _INT64, np.array(7)),
        ('{"inputs": []}', _FLOAT, np.empty(0, "float32")),
        ('{"inputs": [true, false]}', _BOOL, np.array([True, False])),
        ('{"inputs": ["a", {"b64": "AP8="}]}', _STRING, np.array([b"a", b"\0\xff"], object)),
        ('{"instances": [{"b64": "AA=="}]}', _STRING, np.array([b"\0"], object)),
        ('{"inputs": [NaN, -Infinity]}', _DOUBLE, np.array([np.nan, -np.inf])),
    ],
)
def test_values_become_arrays_of_the_type_of_the_signature(text, type_, expected):
    inputs, in_rows = _parse(text, x=type_)
    assert in_rows == ("instances" in text)
    assert inputs["x"].dtype == expected.dtype
    np.testing.assert_array_equal(inputs["x"], expected)


def test_named_rows_are_stacked_by_name():
    text = '{"instances": [{"a": [1, 2], "b": 3}, {"a": [4, 5], "b": 6}]}'
    inputs, _ = _parse(text, a=_FLOAT, b=_INT64)
    assert inputs["a"].tolist() == [[1, 2], [4, 5]]
    assert inputs["b"].tolist() == [3, 6]


@pytest.mark.parametrize(
    "text, phrase",
    [
        ("nonsense", "JSON Parse error"),
        ("[1]", "Is not object"),
        ('{"signature_name": 3, "instances": [1]}', "must be a string"),
        ('{"instances": [1], "inputs": [1]}', "only one of"),
        ('{"instances": 1}', "to be an list/array"),
        ('{"instances": [1, {"x": 2}]}', "Expecting value/list"),
        ('{"instances": [{"x": 2}, 1]}', "Expecting object"),
        ('{"instances": [{"y": 2}]}', "keys must be equal to: x"),
        ('{"instances": [[1], [1, 2]]}', r"element: 1 .*shape \[1\] but got: \[2\]"),
        ('{"instances": [[[1], 2]]}', "incorrect level"),
        ('{"instances": [[1, [2]]]}', "unexpected level"),
        ('{"inputs": {"y": [1]}}', "Missing named input: x"),
        ('{"inputs": [[1, 2], [3]]}', "unexpected size: 1 at level: 1"),
        ('{"inputs": ["1"]}', 'JSON Value: "1" Type: String is not of expected type: float'),
        ('{"inputs": [true]}', "Type: True"),
        ('{"inputs": [{"b64": "AA=="}]}', "Type: Object is not"),
        ('{"inputs": [16777216]}', "without loss of precision"),
        ('{"inputs": [1e39]}', "without loss of precision"),
    ],
)
def test_request_that_does_not_fit_is_refused(text, phrase):
    with pytest.raises(StatusError, match=phrase) as raised:
        _parse(text, x=_FLOAT)
    assert raised.value.code == "INVALID_ARGUMENT"


@pytest.mark.parametrize("text", ['{"instances": [1]}', '{"inputs": [1]}'])
def test_several_inputs_need_names(text):
    with pytest.raises(StatusError, match="expecting (list of objects|an object)"):
        _parse(text, a=_FLOAT, b=_FLOAT)


@pytest.mark.parametrize("value, type_", [(2**31, _INT32), (2**63, _INT64), (1.0, _INT64)])
def test_whole_numbers_have_to_fit(value, type_):
    with pytest.raises(StatusError, match="is not of expected type: int"):
        _parse(json.dumps({"inputs": [value]}), x=type_)


def test_float32_is_written_with_the_digits_that_it_has():
    text = format_outputs({"x": np.array([0.1, 1 / 3, 2], "float32")}, in_rows=True)
    assert text == '{"predictions": [0.1, 0.333333343, 2.0]}'


def test_output_named_bytes_is_written_in_base_64():
    outputs = {"image_bytes": np.array([b"\0\xff"], object), "text": np.array([b"a"], object)}
    assert json.loads(format_outputs(outputs, in_rows=True)) == {
        "predictions": [{"image_bytes": {"b64": "AP8="}, "text": "a"}]
    }
    assert json.loads(format_outputs(outputs, in_rows=False)) == {
        "outputs": {"image_bytes": [{"b64": "AP8="}], "text": ["a"]}
    }


@pytest.mark.parametrize("sizes", [(1, 2), ((), ())])
def test_rows_need_equally_many_of_each_output(sizes):
    outputs = {str(index): np.zeros(size) for index, size in enumerate(sizes)}
    with pytest.raises(StatusError, match="inconsistent batch size"):
        format_outputs(outputs, in_rows=True)
    assert set(json.loads(format_outputs(outputs, in_rows=False))["outputs"]) == {"0", "1"}


def test_not_a_number_is_written_as_tensorflow_serving_does():
    text = format_outputs({"x": np.array([np.nan, np.inf], "float32")}, in_rows=False)
    assert text == '{"outputs": [NaN, Infinity]}'
