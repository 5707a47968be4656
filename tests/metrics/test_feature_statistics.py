"""Streamed and merged statistics are those of the whole."""

import re
import tracemalloc

import numpy as np
import pytest

from keras_rkm.metrics import FeatureStatistics


def _features(num_samples=100, mean=1e4):
    generator = np.random.default_rng(0)
    return generator.normal(size=(num_samples, 4)) @ generator.normal(size=(4, 4)) + mean


def _assert_whole(statistics, features):
    assert statistics.num_samples == len(features)
    assert statistics.num_features == features.shape[1]
    np.testing.assert_allclose(statistics.mean, features.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(statistics.covariance, np.cov(features.T), rtol=1e-9)


@pytest.mark.parametrize("size", [1, 7, 100])
def test_streamed_statistics_are_those_of_the_whole(size):
    features = _features()
    batches = (features[start : start + size] for start in range(0, 100, size))
    _assert_whole(FeatureStatistics.from_batches(batches), features)


@pytest.mark.parametrize("at", [2, 50, 97])
def test_merged_statistics_are_those_of_the_whole(at):
    features = _features()
    features[:at] -= 50.0  # parts of different means
    parts = [FeatureStatistics.from_batches([part]) for part in (features[:at], features[at:])]
    _assert_whole(parts[0].merge(parts[1]), features)
    _assert_whole(parts[1].merge(parts[0]), features)


def test_float32_features_are_summed_in_float64():
    features = _features(5_000, mean=1e3).astype(np.float32)
    batches = [features[start : start + 64] for start in range(0, 5_000, 64)]
    statistics = FeatureStatistics.from_batches(batches)
    assert statistics.covariance.dtype == np.float64
    _assert_whole(statistics, features.astype(np.float64))


def test_protocols_are_kept_and_not_mixed():
    one, same, other, unknown = (
        FeatureStatistics.from_batches([_features()], protocol=protocol)
        for protocol in ("nearest", "nearest", "bilinear", None)
    )
    assert one.merge(same).protocol == one.merge(unknown).protocol == "nearest"
    with pytest.raises(ValueError, match="protocol='bilinear' and protocol='nearest'"):
        one.merge(other)


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "num_samples=0"),
        ([np.zeros((1, 3))], "num_samples=1"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], "Received: 3 and 4"),
        ([np.zeros((2, 3)), np.full((1, 3), np.nan)], "3 values that are not, the first nan"),
        ([np.zeros(3)], "shape=(3,)"),
    ],
)
def test_bad_batches_are_refused(batches, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        FeatureStatistics.from_batches(batches)


def test_different_widths_are_not_merged():
    narrow, wide = (FeatureStatistics.from_batches([np.eye(5)[:, :n]]) for n in (2, 3))
    with pytest.raises(ValueError, match="Received: 2 and 3"):
        narrow.merge(wide)


def test_impossible_statistics_are_refused():
    with pytest.raises(ValueError, match="`num_samples`.*num_samples=1"):
        FeatureStatistics(1, np.zeros(2), np.eye(2))
    with pytest.raises(ValueError, match=re.escape("Received: (2,) and (2, 3)")):
        FeatureStatistics(5, np.zeros(2), np.ones((2, 3)))


def test_memory_is_that_of_the_covariance():
    def batches():
        generator = np.random.default_rng(0)
        for _ in range(200):
            yield generator.normal(size=(200, 128))  # 41 MB in all

    covariance_bytes, batch_bytes = 128 * 128 * 8, 200 * 128 * 8
    tracemalloc.start()
    try:
        FeatureStatistics.from_batches(batches())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 8 * (covariance_bytes + batch_bytes)
