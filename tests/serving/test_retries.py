"""When a call is made again, and how long the pauses are."""

import time

import numpy as np
import pytest

from keras_rkm.serving import DeadlineExceededError, ServerUnavailableError, retries
from keras_rkm.serving.retries import Deadline, backoff, call_with_retries


@pytest.fixture
def clock(monkeypatch):
    """A clock that only pauses move on; notes the pauses."""

    class Clock:
        now = 0.0
        pauses = []

        def sleep(self, seconds):
            self.pauses.append(seconds)
            self.now += seconds

    clock = Clock()
    clock.pauses = []
    monkeypatch.setattr(retries.time, "monotonic", lambda: clock.now)
    monkeypatch.setattr(retries.time, "sleep", clock.sleep)
    return clock


def _failing(num_failures, error=None):
    calls = []

    def call():
        calls.append(1)
        if len(calls) <= num_failures:
            raise error or ServerUnavailableError("down.")
        return len(calls)

    return call, calls


def test_call_is_made_until_it_works(clock):
    call, _ = _failing(3)
    assert call_with_retries(call, deadline=Deadline(60), max_attempts=4) == 4


def test_call_that_works_is_made_once(clock):
    call, calls = _failing(0)
    assert call_with_retries(call, deadline=Deadline(60), max_attempts=4) == 1
    assert len(calls) == 1
    assert clock.pauses == []


@pytest.mark.parametrize("max_attempts, text", [(1, "1 attempt[.]"), (4, "4 attempts")])
def test_number_of_attempts_is_bounded(max_attempts, text, clock):
    call, calls = _failing(99)
    with pytest.raises(ServerUnavailableError, match=f"down. Gave up after {text}"):
        call_with_retries(call, deadline=Deadline(60), max_attempts=max_attempts)
    assert len(calls) == max_attempts
    assert len(clock.pauses) == max_attempts - 1


def test_no_pause_goes_beyond_the_deadline(clock):
    call, calls = _failing(99)
    with pytest.raises(ServerUnavailableError):
        call_with_retries(call, deadline=Deadline(1.0), max_attempts=99)
    assert clock.now < 1
    assert len(calls) > 2


def test_other_errors_are_raised_at_once(clock):
    call, calls = _failing(1, DeadlineExceededError("late"))
    with pytest.raises(DeadlineExceededError):
        call_with_retries(call, deadline=Deadline(60), max_attempts=4)
    assert len(calls) == 1


def test_pauses_double_up_to_two_seconds_and_are_drawn_at_random():
    drawn = np.array([[backoff(attempt) for attempt in range(1, 9)] for _ in range(200)])
    longest = np.array([0.1, 0.2, 0.4, 0.8, 1.6, 2, 2, 2])
    assert (drawn <= longest).all()
    assert (drawn >= longest / 2).all()
    # Not all at the same moment.
    assert (drawn.std(axis=0) > longest / 10).all()


def test_pauses_do_not_follow_the_seed_of_the_process():
    import keras

    keras.utils.set_random_seed(0)
    first = backoff(5)
    keras.utils.set_random_seed(0)
    assert backoff(5) != first


def test_deadline_counts_down():
    deadline = Deadline(0.05)
    assert 0 < deadline.remaining() <= 0.05
    time.sleep(0.06)
    with pytest.raises(DeadlineExceededError, match="within 0.05 seconds"):
        deadline.remaining()
