"""Copies are told from samples of the same distribution."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from keras_rkm import metrics


@pytest.mark.parametrize("num_neighbours", [1, 3])
def test_neighbours_are_those_of_scikit_learn_over_several_blocks(num_neighbours):
    generator = np.random.default_rng(0)
    references, queries = generator.normal(size=(2_500, 5)), generator.normal(size=(40, 5))
    distances, rows = metrics.nearest_rows(queries, references, num_neighbours)
    exact = NearestNeighbors(n_neighbors=num_neighbours, algorithm="brute").fit(references)
    expected, expected_rows = exact.kneighbors(queries)
    np.testing.assert_allclose(distances, expected, rtol=1e-9)
    np.testing.assert_array_equal(rows, expected_rows)


def test_copy_is_at_distance_zero_and_8_bit_images_count_in_unit_range():
    images = np.random.default_rng(0).integers(0, 256, (30, 4, 4, 1), np.uint8)
    distances, rows = metrics.nearest_rows(images[20:], images)
    np.testing.assert_array_equal(rows[:, 0], np.arange(20, 30))
    np.testing.assert_array_equal(distances, 0)
    black, white = np.zeros((1, 4, 4, 1), np.uint8), np.full((1, 4, 4, 1), 255, np.uint8)
    assert metrics.nearest_rows(black, white)[0] == 4


def test_share_is_the_probability_over_all_pairs():
    generator = np.random.default_rng(0)
    ours, theirs = generator.integers(0, 6, 50), generator.integers(1, 8, 70)
    pairs = np.subtract.outer(ours, theirs)
    expected = np.mean(pairs < 0) + np.mean(pairs == 0) / 2
    assert metrics.closer_share(ours, theirs) == pytest.approx(expected)


def test_copies_are_found_and_fresh_samples_are_not():
    generator = np.random.default_rng(0)
    train, held_out, fresh = generator.normal(size=(3, 400, 2))
    copied = metrics.data_copying(
        train[:200] + 1e-3 * generator.normal(size=(200, 2)), train, held_out
    )
    assert copied.closer_than_held_out > 0.95
    assert metrics.data_copying(fresh, train, held_out).closer_than_held_out == pytest.approx(
        0.5, abs=0.05
    )
    assert metrics.data_copying(fresh + 9, train, held_out).closer_than_held_out < 0.01
    assert (copied.num_generated, copied.num_train, copied.num_held_out) == (200, 400, 400)
    near = metrics.nearest_rows(held_out, train)[0]
    assert copied.held_out_median_distance == np.median(near)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(5, 4\)"):
        metrics.nearest_rows(np.zeros((3, 2)), np.zeros((5, 4)))
    with pytest.raises(ValueError, match="num_neighbours=6"):
        metrics.nearest_rows(np.zeros((3, 2)), np.zeros((5, 2)), 6)
    with pytest.raises(ValueError, match="`held_out` must hold at least one"):
        metrics.data_copying(np.zeros((3, 2)), np.zeros((5, 2)), np.zeros((0, 2)))
