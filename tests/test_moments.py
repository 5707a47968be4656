"""One-pass moments against NumPy on the whole."""

import numpy as np
import pytest

from keras_rkm._moments import moments


def _batches(rows, size):
    return [rows[start : start + size] for start in range(0, len(rows), size)]


@pytest.mark.parametrize("size", [1, 7, 64, 1000])
@pytest.mark.parametrize("mean", [0.0, 1e6])
def test_streamed_moments_equal_those_of_the_whole(size, mean):
    rows = np.random.default_rng(0).normal(size=(100, 3)) * [1.0, 10.0, 0.1] + mean
    fitted = moments(_batches(rows, size))
    assert fitted.num_samples == 100
    np.testing.assert_allclose(fitted.mean, rows.mean(axis=0), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(fitted.covariance, np.cov(rows.T, bias=True), rtol=1e-7, atol=1e-8)


def test_a_drifting_stream_costs_no_digits():
    rows = np.random.default_rng(0).normal(size=(400, 2)) + np.arange(400)[:, None] * 1e4
    np.testing.assert_allclose(
        moments(_batches(rows, 50)).covariance, np.cov(rows.T, bias=True), rtol=1e-12
    )


@pytest.mark.parametrize("batches", [[], [np.zeros((1, 3))]])
def test_fewer_than_two_samples_are_refused(batches):
    with pytest.raises(ValueError, match=rf"At least two.*num_samples={len(batches)}"):
        moments(batches)
