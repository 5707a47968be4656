"""Axes keep their numbers and signs however the basis between them turns."""

import numpy as np
import pytest

from keras_rkm.callbacks import AxisTracker, match_axes


def _orthonormal(seed, dim=7, num_axes=4):
    matrix = np.random.default_rng(seed).normal(size=(dim, num_axes))
    return np.linalg.qr(matrix)[0]


@pytest.mark.parametrize("seed", range(5))
def test_order_and_signs_of_turned_columns_are_found(seed):
    generator = np.random.default_rng(100 + seed)
    previous = _orthonormal(seed)
    order, signs = generator.permutation(4), generator.choice([-1.0, 1.0], 4)
    # Column j of `shuffled` is column order[j] of `previous`, with another sign and length.
    shuffled = previous[:, order] * signs * generator.uniform(0.5, 2, 4)
    shuffled += 0.05 * generator.normal(size=shuffled.shape)
    match = match_axes(previous, shuffled)
    np.testing.assert_array_equal(order[match.order], np.arange(4))
    np.testing.assert_array_equal(match.signs, signs[match.order])
    matched = shuffled[:, match.order] * match.signs
    assert (np.sum(previous * matched, axis=0) > 0.4).all()
    expected = np.abs(np.sum(previous * matched, axis=0)) / np.linalg.norm(matched, axis=0)
    np.testing.assert_allclose(match.cosines, expected, rtol=1e-12)


def test_sum_of_cosines_is_the_largest_not_the_first_that_fits():
    # The first axis is nearest to e1 (.8), but then the second would be left with 0.
    previous = np.eye(2)
    axes = np.array([[0.8, 1.0], [0.6, 0.0]])
    np.testing.assert_array_equal(match_axes(previous, axes).order, [1, 0])


def test_equal_axes_stay():
    axes = _orthonormal(3)
    match = match_axes(axes, axes)
    np.testing.assert_array_equal(match.order, np.arange(4))
    np.testing.assert_array_equal(match.signs, np.ones(4))


def test_single_axis_has_its_sign():
    match = match_axes(np.ones((3, 1)), -np.ones((3, 1)))
    assert (match.order.tolist(), match.signs.tolist()) == ([0], [-1.0])


@pytest.mark.parametrize(
    ("previous", "axes", "message"),
    [
        (np.eye(3), np.eye(4), r"\(3, 3\) and \(4, 4\)"),
        (np.ones(3), np.ones(3), r"\(3,\) and \(3,\)"),
        (np.eye(2), np.array([[1.0, 0.0], [0.0, 0.0]]), "none of them zero.*0"),
        (np.eye(2), np.full((2, 2), np.nan), "finite columns.*nan"),
    ],
)
def test_axes_that_cannot_be_matched_are_told(previous, axes, message):
    with pytest.raises(ValueError, match=message):
        match_axes(previous, axes)


class _Linear:
    """A model whose features are its images, and whose basis can be set."""

    def __init__(self, basis):
        self.basis, self.feature_mean = basis, np.zeros(len(basis))

    def encoder(self, images, training):
        return images.reshape(len(images), -1)


# With several rotations, since by chance an eigenvector has the sign of before.
@pytest.mark.parametrize("seed", range(2, 8))
def test_tracked_axes_do_not_depend_on_how_the_basis_spans_its_space(seed):
    images = np.random.default_rng(0).normal(size=(50, 7)) * [5, 4, 3, 2, 1, 1, 1]
    basis = _orthonormal(1)
    rotation = np.linalg.qr(np.random.default_rng(seed).normal(size=(4, 4)))[0]
    tracker = AxisTracker()
    first = tracker.update(_Linear(basis), images)
    second = tracker.update(_Linear(basis @ rotation), images)
    assert (np.diff(first.variances) < 0).all()
    np.testing.assert_allclose(
        basis @ rotation @ second.directions, basis @ first.directions, atol=1e-9
    )
    np.testing.assert_allclose(second.scores, first.scores, atol=1e-8)


def test_tracked_axes_keep_their_numbers_when_their_variances_change_places():
    images = np.random.default_rng(0).normal(size=(200, 7)) * [5, 4, 3, 2, 1, 1, 1]
    model, tracker = _Linear(np.eye(7)[:, :4]), AxisTracker()
    first = tracker.update(model, images)
    second = tracker.update(model, images * [1, 1, 3, 1, 1, 1, 1])  # the third is the largest now
    assert np.argmax(first.variances) == 0
    assert np.argmax(second.variances) == 2
    features = images * [1, 1, 3, 1, 1, 1, 1]
    np.testing.assert_allclose(second.variances, second.scores.var(axis=0), rtol=1e-9)
    np.testing.assert_allclose(second.shares, second.variances / features.var(axis=0).sum())
