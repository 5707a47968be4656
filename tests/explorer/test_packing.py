"""Weights in few bytes: how near they stay, and that they are found again."""

import gzip

import numpy as np
import pytest

from keras_rkm.explorer.decoder_steps import Step
from keras_rkm.explorer.packing import factorized, is_large, pack, rounded


@pytest.fixture
def inputs():
    """Inputs of a layer behind a narrow code, (2000, 64)."""
    generator = np.random.default_rng(0)
    hidden = generator.normal(size=(2_000, 4)) @ generator.normal(size=(4, 64)) + 0.3
    return np.maximum(hidden, 0.2 * hidden)


@pytest.fixture
def kernel():
    return np.random.default_rng(1).normal(size=(64, 1_100)).astype("float32")


def _unpacked(packed):
    """The arrays, read without the code that wrote them."""
    data, arrays = gzip.decompress(packed.data), []
    for spec in packed.arrays:
        block = data[spec["offset"] : spec["offset"] + spec["length"]]
        if spec["kind"] == "zigzag16":
            low, high = np.frombuffer(block, "u1").astype(int).reshape(2, -1)
            codes = low + 256 * high
            values = np.where(codes % 2, -(codes + 1) // 2, codes // 2)
        else:
            values = np.frombuffer(block, {"float16": "<f2", "float32": "<f4"}[spec["kind"]])
        arrays.append(values.reshape(spec["shape"]))
    return arrays


@pytest.mark.parametrize("error", [0.1, 0.01, 0.001])
def test_error_of_a_factorized_kernel_is_what_was_asked_for(inputs, kernel, error):
    vectors, scale, levels = factorized(kernel, inputs, error)
    expected = inputs @ kernel
    found = inputs @ ((vectors.astype("float64") * scale) @ levels) - expected
    relative = np.sqrt(np.mean(found**2) / np.mean(expected**2))
    # Below what was asked for where rows of zeros have no error as large as a step would give.
    assert 0.2 * error < relative < 1.1 * error


def test_factorized_kernel_takes_few_bytes(inputs, kernel):
    vectors, _, levels = factorized(kernel, inputs, 0.005)
    packed = pack([Step("dense", {}, {"kernel": vectors}), Step("dense", {}, {"kernel": levels})])
    # Less than a byte for each weight, which would make a larger error.
    assert len(packed.data) < kernel.size


def test_levels_stay_within_16_bits(inputs, kernel):
    *_, levels = factorized(kernel, inputs, 1e-9)
    assert levels.dtype == np.int16
    assert np.abs(levels.astype(int)).max() == 2**15 - 1


def test_packed_arrays_are_found_again():
    generator = np.random.default_rng(2)
    integers = np.array([[0, -1, 1, -2], [255, -256, 2**15 - 1, -(2**15)]], "int16")
    table = generator.normal(size=(3, 5)).astype("float32")
    image_kernel = generator.normal(size=(4, 4, 32, 8)).astype("float32")
    steps = [
        Step("dense", {}, {"kernel": integers}),
        Step("leaky_relu", {"negative_slope": 0.2}, {}),
        Step("conv2d", {"padding": "same"}, {"kernel": image_kernel, "bias": table[0]}),
        Step("dense", {}, {"kernel": table}),
    ]
    packed = pack(steps)
    assert [step["op"] for step in packed.steps] == [step.op for step in steps]
    assert packed.steps[1]["negative_slope"] == 0.2
    arrays = _unpacked(packed)
    for step, told in zip(steps, packed.steps, strict=True):
        for name, array in step.arrays.items():
            np.testing.assert_array_equal(arrays[told[name]], rounded(array))
    assert 0 < np.abs(rounded(image_kernel) - image_kernel).max() < 2e-3
    np.testing.assert_array_equal(rounded(table), table)
    assert all(spec["offset"] % 4 == 0 for spec in packed.arrays)
    exact = _unpacked(pack(steps, dtype="float32"))
    np.testing.assert_array_equal(exact[packed.steps[2]["kernel"]], image_kernel)


def test_same_steps_give_the_same_bytes(kernel):
    steps = [Step("dense", {}, {"kernel": kernel})]
    assert pack(steps).data == pack(steps).data


def test_only_dense_layers_with_many_weights_are_large(kernel):
    assert is_large(Step("dense", {}, {"kernel": kernel}))
    assert not is_large(Step("dense", {}, {"kernel": kernel[:, :1_000]}))
    assert not is_large(Step("conv2d", {}, {"kernel": kernel.reshape(1, 1, 64, 1_100)}))
