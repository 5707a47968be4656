"""The input pipeline: coverage, order, and batches as a pure function of (seed, step)."""

import numpy as np
import pytest
import tensorflow as tf

from keras_rkm.datasets import from_arrays
from keras_rkm.datasets.pipeline import num_steps_per_epoch

_NUM_IMAGES = 50


@pytest.fixture(scope="module")
def numbered():
    """Image number i is filled with i and has the label 1000 + i."""
    images = np.broadcast_to(np.arange(_NUM_IMAGES, dtype=np.uint8)[:, None, None], (50, 3, 5))
    return from_arrays(images, labels=np.arange(_NUM_IMAGES) + 1000)


def _numbers(batches) -> list[list[int]]:
    return [np.rint(batch.numpy()[:, 0, 0, 0] * 255).astype(int).tolist() for batch in batches]


def test_every_epoch_has_each_image_exactly_once(numbered):
    numbers = sum(_numbers(numbered.batches(8, num_epochs=3)), [])
    epochs = np.reshape(numbers, (3, _NUM_IMAGES))
    np.testing.assert_array_equal(np.sort(epochs, axis=1), [range(_NUM_IMAGES)] * 3)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_shuffled_order_is_not_close_to_the_stored_one(numbered):
    numbers = np.concatenate(_numbers(numbered.batches(8)))
    assert abs(np.corrcoef(numbers, np.arange(_NUM_IMAGES))[0, 1]) < 0.5


@pytest.mark.parametrize("other", [1, 256, 2**16, 2**32, 2**63 - 1])
def test_seeds_give_different_orders_and_the_same_seed_the_same(numbered, other):
    one = _numbers(numbered.batches(8, seed=0))
    assert one == _numbers(numbered.batches(8, seed=0))
    assert one != _numbers(numbered.batches(8, seed=other))


def test_orders_of_many_epochs_are_distinct_and_uniform(numbered):
    num_epochs = 2000
    epochs = np.array(_numbers(numbered.batches(_NUM_IMAGES, seed=1, num_epochs=num_epochs)))
    # 2000 draws from 2**24 orders: the same twice with a chance of 0.1.
    assert len({tuple(epoch) for epoch in epochs}) > num_epochs - 3
    # tf.random.experimental.index_shuffle with the key (seed, epoch) gets above 50 in both, and 4
    # rounds instead of 16 get 9 in the second.
    places = np.stack([np.bincount(place, minlength=_NUM_IMAGES) for place in epochs.T])
    assert abs(_deviate(places, (_NUM_IMAGES - 1) ** 2)) < 5
    steps = np.diff(epochs, axis=1) % _NUM_IMAGES
    assert abs(_deviate(np.bincount(steps.ravel())[1:], _NUM_IMAGES - 2)) < 5


def _deviate(counts: np.ndarray, degrees: int) -> float:
    """Pearson's statistic for equal frequencies, as a standard normal deviate."""
    statistic = ((counts - counts.mean()) ** 2).sum() / counts.mean()
    return (statistic - degrees) / np.sqrt(2 * degrees)


def test_without_shuffling_the_order_is_that_of_the_arrays(numbered):
    numbers = _numbers(numbered.batches(20, shuffle=False, num_epochs=2))
    epoch = [list(range(20)), list(range(20, 40)), list(range(40, 50))]
    assert numbers == epoch * 2


@pytest.mark.parametrize("drop_remainder", [False, True])
def test_start_step_goes_on_exactly_where_a_run_stopped(numbered, drop_remainder):
    options = {"seed": 3, "num_epochs": 3, "drop_remainder": drop_remainder, "with_labels": True}
    whole = list(numbered.batches(8, **options))
    assert len(whole) == (18 if drop_remainder else 21)
    # 0: the start; 6, 7: on and around an epoch's border; len: nothing is left.
    for start in (0, 1, 5, 6, 7, 8, 13, len(whole)):
        rest = list(numbered.batches(8, start_step=start, **options))
        assert len(rest) == len(whole) - start
        for expected, received in zip(whole[start:], rest, strict=True):
            for one, other in zip(expected, received, strict=True):
                assert one.numpy().tobytes() == other.numpy().tobytes()


def test_endless_run_begins_like_a_finite_one(numbered):
    endless = numbered.batches(8, num_epochs=None, start_step=2)
    assert endless.cardinality() == tf.data.INFINITE_CARDINALITY
    assert _numbers(endless.take(19)) == _numbers(numbered.batches(8, num_epochs=3))[2:]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 7),
        ({"drop_remainder": True}, 6),
        ({"num_epochs": 3}, 21),
        ({"num_epochs": 3, "start_step": 4}, 17),
    ],
)
def test_cardinality_is_known_and_true(numbered, options, expected):
    batches = numbered.batches(8, **options)
    assert batches.cardinality() == expected == len(list(batches))


def test_pixels_are_the_nearest_floats_to_their_255th():
    ramp = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    (batch,) = from_arrays(ramp).batches(1)
    assert batch.dtype == tf.float32
    np.testing.assert_array_equal(batch, (ramp / np.float64(255)).astype(np.float32))


def test_labels_stay_with_their_images(numbered):
    for images, labels in numbered.batches(8, with_labels=True):
        np.testing.assert_array_equal(np.rint(images[:, 0, 0, 0] * 255) + 1000, labels)


def test_batch_size_is_static_exactly_if_every_batch_is_full(numbered):
    assert numbered.batches(8).element_spec.shape.as_list() == [None, 3, 5, 1]
    assert numbered.batches(8, drop_remainder=True).element_spec.shape.as_list() == [8, 3, 5, 1]
    assert numbered.batches(10).element_spec.shape.as_list() == [10, 3, 5, 1]


def test_a_step_function_is_traced_once_over_ragged_epochs(numbered):
    traces = []

    @tf.function
    def step(iterator):
        traces.append(1)
        return tf.reduce_sum(next(iterator))

    iterator = iter(numbered.batches(8, num_epochs=3))
    for _ in range(21):
        step(iterator)
    assert len(traces) == 1


def test_images_are_neither_in_the_graph_nor_copied_per_call():
    dataset = from_arrays(np.zeros((2000, 32, 32), np.uint8) + 7)  # 2 MB
    graph = dataset.batches(8)._input_dataset._map_func.function.graph.as_graph_def()
    assert graph.ByteSize() < 20_000
    assert dataset._tensors is dataset._tensors


def test_one_image_is_a_data_set_too():
    (batch,) = from_arrays(np.full((1, 2, 2), 255, np.uint8)).batches(8)
    np.testing.assert_array_equal(batch, np.ones((1, 2, 2, 1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "`batch_size`.*at least 1.*batch_size=0"),
        ({"batch_size": 2.5}, "`batch_size`.*batch_size=2.5"),
        ({"batch_size": True}, "`batch_size`.*batch_size=True"),
        ({"batch_size": 51, "drop_remainder": True}, "batch_size=51, num_images=50"),
        ({"seed": -1}, r"`seed`.*\[0, 9223372036854775808\).*seed=-1"),
        ({"seed": 2**63}, "`seed`.*seed=9223372036854775808"),
        ({"num_epochs": 0}, "`num_epochs`.*num_epochs=0"),
        ({"start_step": -1}, "`start_step`.*start_step=-1"),
        ({"start_step": 15, "num_epochs": 2}, "`start_step`.*14 steps.*start_step=15"),
    ],
)
def test_arguments_out_of_range_are_refused(numbered, options, message):
    with pytest.raises(ValueError, match=message):
        numbered.batches(**{"batch_size": 8, **options})


def test_number_of_steps_rounds_up_unless_the_remainder_is_dropped():
    assert num_steps_per_epoch(9, 3) == num_steps_per_epoch(9, 3, drop_remainder=True) == 3
    assert num_steps_per_epoch(10, 3) == 4
    assert num_steps_per_epoch(10, 3, drop_remainder=True) == 3
