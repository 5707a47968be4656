"""What is done beside a training stays below its share, by a clock that the test turns."""

import pytest

from keras_rkm.callbacks.time_share import TimeShare


class _Clock:
    def __init__(self):
        self.now = 50.0  # that of a process does not start at zero

    def __call__(self):
        return self.now


def _run(share, cost, epochs, epoch_seconds=10.0, **options):
    """In which epochs there was time, and the share of the time that it took at the most."""
    clock = _Clock()
    time_share = TimeShare(share, clock=clock, **options)
    time_share.start()
    done, spent, largest = [], 0.0, 0.0
    for epoch in range(epochs):
        clock.now += epoch_seconds
        if time_share.affords():
            with time_share:
                clock.now += cost(epoch)
            done.append(epoch)
            spent += cost(epoch)
            largest = max(largest, spent / (clock.now - 50))
    return done, largest


def test_without_a_limit_there_is_always_time():
    assert _run(None, lambda epoch: 100.0, 4)[0] == [0, 1, 2, 3]


def test_cost_stays_below_the_share_from_the_second_time_on():
    done, largest = _run(0.1, lambda epoch: 2.0, 40, first_seconds=2.0)
    assert done[:3] == [1, 3, 5]
    assert len(done) >= 20  # and uses it
    assert largest <= 0.1


def test_first_time_waits_for_what_it_is_taken_to_cost():
    assert _run(0.1, lambda epoch: 0.1, 6, first_seconds=3.0)[0][0] == 2
    assert _run(0.1, lambda epoch: 0.1, 6)[0][0] == 0


def test_what_is_done_in_any_case_at_the_end_is_paid_for_first():
    # 2 s and 2 s at the end are 40 s of training at a tenth; then 6 s are 60 s.
    done, _ = _run(0.1, lambda epoch: 2.0, 9, first_seconds=2.0, num_reserved=1)
    assert done[:2] == [3, 5]


def test_dear_first_time_is_paid_for_before_the_next():
    # 5 s, and 5 s more are expected: 100 s at a tenth.
    done, _ = _run(0.1, lambda epoch: 5.0 if epoch == 0 else 0.5, 12)
    assert done[:2] == [0, 9]


def test_start_forgets_what_was_spent():
    clock = _Clock()
    time_share = TimeShare(0.1, clock=clock)
    time_share.start()
    with time_share:
        clock.now += 10
    clock.now += 20
    assert not time_share.affords()
    time_share.start()
    clock.now += 110
    assert time_share.affords()


@pytest.mark.parametrize("share", [0, -0.1, 1.5, float("nan")])
def test_share_must_be_one(share):
    with pytest.raises(ValueError, match=f"max_share={share}"):
        TimeShare(share)
