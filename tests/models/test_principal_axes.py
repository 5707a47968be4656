"""The sample of rows that are seen one batch at a time."""

import numpy as np
import pytest

from keras_rkm.models.principal_axes import RowSample


def _sample(rows, batch_sizes, num_rows, seed=0):
    sample = RowSample(num_rows, seed)
    for part in np.split(rows, np.cumsum(batch_sizes)[:-1]):
        sample.add(part)
    return sample.rows


@pytest.mark.parametrize("batch_sizes", [[20], [7, 13], [1] * 20, [10, 10]])
def test_sample_is_the_same_however_the_rows_are_batched(batch_sizes):
    rows = np.arange(40.0).reshape(20, 2)
    np.testing.assert_array_equal(
        _sample(rows, batch_sizes, 10), _sample(rows, [3, 17], 10), strict=True
    )


def test_all_rows_are_kept_if_there_are_no_more():
    rows = np.arange(12.0).reshape(6, 2)
    np.testing.assert_array_equal(_sample(rows, [4, 2], 10), rows)
    np.testing.assert_array_equal(_sample(rows, [4, 2], 6), rows)


def test_every_row_is_as_likely_as_any_other_and_none_comes_twice():
    rows = np.arange(12)[:, np.newaxis]
    counts = np.zeros(12)
    for seed in range(3000):
        found = _sample(rows, [5, 5, 2], 4, seed=seed)[:, 0]
        assert len(set(found)) == 4
        counts[found] += 1
    # Binomial, 3000 draws with a probability of 1/3: a standard deviation of 26.
    np.testing.assert_allclose(counts, 1000, atol=5 * 26)
