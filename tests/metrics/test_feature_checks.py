"""Bad input gets a clear error, from every function that takes features."""

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm import metrics

_GOOD = np.random.default_rng(0).normal(size=(20, 3))
_FUNCTIONS = {
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": lambda a, b: metrics.kernel_distance(a, b, subset_size=10),
    "sliced_wasserstein_distance": metrics.sliced_wasserstein_distance,
    "precision_recall": metrics.precision_recall,
    "density_coverage": metrics.density_coverage,
}


def _with(value):
    features = _GOOD.copy()
    features[4, 2] = value
    return features


_BAD = {
    "NaN": (_with(np.nan), r"finite. Received: 1 values that are not, the first nan at \(4, 2\)"),
    "infinite": (_with(np.inf), r"finite. Received: 1 values that are not, the first inf"),
    "flat": (_GOOD[:, 0], r"\(num_samples, num_features\). Received: shape=\(20,\)"),
    "images": (_GOOD.reshape(5, 2, 2, 3), r"shape=\(5, 2, 2, 3\).*extract_features"),
    "no columns": (_GOOD[:, :0], r"shape=\(20, 0\)"),
    "no rows": (_GOOD[:0], r"at least [12] rows. Received: shape=\(0, 3\)"),
    "ragged": ([[1.0, 2.0], [3.0]], r"\(num_samples, num_features\)"),
    "strings": (_GOOD.astype(str), r"real numbers. Received: dtype=<U"),
    "complex": (_GOOD + 1j, r"real numbers. Received: dtype=complex128"),
}


@pytest.fixture(params=_FUNCTIONS)
def function(request):
    return _FUNCTIONS[request.param]


@pytest.mark.parametrize("bad", _BAD)
@pytest.mark.parametrize("first", [True, False])
def test_bad_features_are_named(function, bad, first):
    features, message = _BAD[bad]
    name = r"`(features_a|real_features)`" if first else r"`(features_b|generated_features)`"
    pair = (features, _GOOD) if first else (_GOOD, features)
    with pytest.raises(ValueError, match=f"^{name} must .*{message}"):
        function(*pair)


def test_widths_must_agree(function):
    with pytest.raises(ValueError, match="same number of features. Received: 3 and 2"):
        function(_GOOD, _GOOD[:, :2])


def test_one_row_has_no_covariance():
    with pytest.raises(ValueError, match=r"`features_b` must have at least 2 rows.*\(1, 3\)"):
        metrics.frechet_distance(_GOOD, _GOOD[:1])


def test_tensors_and_other_numbers_are_taken(function):
    integers = (10 * _GOOD).astype(np.int16)
    expected = function(integers.astype(float), _GOOD)
    found = function(tf.constant(integers), tf.constant(_GOOD))
    assert found == expected


def test_input_is_left_as_it_was(function):
    a, b = _GOOD.copy(), _GOOD[::-1].copy()
    function(a, b)
    np.testing.assert_array_equal(a, _GOOD)
    np.testing.assert_array_equal(b, _GOOD[::-1])
