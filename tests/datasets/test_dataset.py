"""`Dataset` and `Factor`: the parts fit together, and stay together."""

import dataclasses

import numpy as np
import pytest

from keras_rkm.datasets import Dataset, Factor

_IMAGES = np.arange(6 * 4, dtype=np.uint8).reshape(6, 2, 2, 1)


@pytest.fixture
def dataset():
    classes = np.array([[i % 2, i % 3] for i in range(6)])
    info = (Factor("parity", 2, "categorical"), Factor("rest", 3, "circular"))
    return Dataset("six", _IMAGES, np.arange(6) * 10, classes / 2, classes, info)


def test_sizes_are_those_of_the_images(dataset):
    assert dataset.num_images == 6
    assert dataset.image_shape == (2, 2, 1)
    assert "six" in repr(dataset) and "parity:2" in repr(dataset) and "[[" not in repr(dataset)


def test_subset_takes_the_rows_of_every_part_in_the_order_asked_for(dataset):
    subset = dataset.subset([4, 1])
    np.testing.assert_array_equal(subset.images, _IMAGES[[4, 1]])
    np.testing.assert_array_equal(subset.labels, [40, 10])
    np.testing.assert_array_equal(subset.factor_classes, [[0, 1], [1, 1]])
    np.testing.assert_array_equal(subset.factors, [[0, 0.5], [0.5, 0.5]])
    assert subset.factor_info == dataset.factor_info


def test_subset_after_batches_serves_its_own_images(dataset):
    list(dataset.batches(2))
    (batch,) = dataset.subset([5]).batches(1)
    np.testing.assert_allclose(batch[0, :, :, 0] * 255, [[20, 21], [22, 23]])


def test_parts_cannot_be_replaced(dataset):
    with pytest.raises(dataclasses.FrozenInstanceError):
        dataset.images = _IMAGES


def test_labels_are_only_served_if_there_are_some():
    with pytest.raises(ValueError, match="needs labels, and 'bare' has none"):
        Dataset("bare", _IMAGES).batches(2, with_labels=True)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"images": _IMAGES.astype(np.float32)}, "uint8.*Received: dtype=float32"),
        ({"images": _IMAGES[0]}, r"Received: dtype=uint8, shape=\(2, 2, 1\)"),
        ({"images": _IMAGES[:0]}, r"non-empty.*shape=\(0, 2, 2, 1\)"),
        ({"labels": np.arange(5)}, r"labels.shape=\(5,\), expected \(6,\)"),
        ({"factors": np.zeros((6, 2))}, r"factors.shape=\(6, 2\), expected \(6, 0\)"),
        (
            {"factor_classes": np.zeros((5, 1), int), "factor_info": (Factor("a", 1),)},
            r"factor_classes.shape=\(5, 1\), expected \(6, 1\)",
        ),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, message):
    with pytest.raises(ValueError, match=message):
        Dataset("bad", **{"images": _IMAGES, **parts})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("a", 3, "ordinal"), "kind='ordinal'"), (("a", 0), "size=0")],
)
def test_factor_refuses_an_unknown_kind_and_no_values(arguments, message):
    with pytest.raises(ValueError, match=message):
        Factor(*arguments)


def test_every_pass_over_batches_is_the_same_and_every_epoch_is_not(dataset):
    batches = dataset.batches(6, seed=2)
    one, other = (next(iter(batches)).numpy() for _ in range(2))
    np.testing.assert_array_equal(one, other)
    first, second = dataset.batches(6, seed=2, num_epochs=None).take(2)
    np.testing.assert_array_equal(first, one)
    assert (first.numpy() != second.numpy()).any()


def test_factor_arguments_give_the_period_of_a_circle_even_if_part_of_it_occurs():
    classes = np.array([[0, 1, 2], [1, 2, 0], [0, 3, 1]])
    factors = np.array([[0.5, 0.1, 1.5], [0.7, 0.2, 1.3], [0.5, 0.3, 1.4]])
    info = (
        Factor("size", 2),
        Factor("angle", 40, "circular"),
        Factor("shape", 3, "categorical"),
    )
    dataset = Dataset(
        "example",
        np.zeros((3, 2, 2, 1), np.uint8),
        factors=factors,
        factor_classes=classes,
        factor_info=info,
    )
    arguments = dataset.factor_arguments()
    assert arguments["factor_kinds"] == ["continuous", ("circular", 40.0), "categorical"]
    assert arguments["factor_names"] == ["size", "angle", "shape"]
    expected = [[0.5, 1, 2], [0.7, 2, 0], [0.5, 3, 1]]
    np.testing.assert_array_equal(arguments["factors"], expected)
    np.testing.assert_array_equal(dataset.factors, factors)


def test_factor_arguments_without_classes_are_the_values():
    dataset = Dataset(
        "example",
        np.zeros((2, 2, 2, 1), np.uint8),
        factors=np.array([[0.5], [90.0]]),
        factor_info=(Factor("angle", 2, "circular"),),
    )
    arguments = dataset.factor_arguments()
    assert arguments["factor_kinds"] == ["circular"]
    np.testing.assert_array_equal(arguments["factors"], [[0.5], [90.0]])


def test_no_factors_give_no_arguments():
    assert Dataset("example", np.zeros((2, 2, 2, 1), np.uint8)).factor_arguments() == {}
