"""Trying again, within a time and a number: when a server is not there, and only then."""

import random
import time
from collections.abc import Callable
from typing import TypeVar

from .errors import DeadlineExceededError, ServerUnavailableError

_FIRST_PAUSE = 0.1  # seconds
_LONGEST_PAUSE = 2.0
# Not the generator of the process: clients that were seeded alike, as trainings are, would come
# back all at the same moment, which is what the jitter is there to prevent.
_JITTER = random.SystemRandom()

Answer = TypeVar("Answer")


class Deadline:
    """A moment by which something has to be done.

    Args:
        seconds: Positive number, from now.
    """

    def __init__(self, seconds: float):
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """The seconds that are left.

        Raises:
            DeadlineExceededError: If there are none.
        """
        remaining = self._end - time.monotonic()
        if remaining <= 0:
            raise DeadlineExceededError(
                f"There was no answer within {self.seconds:g} seconds. Raise `timeout`, or send "
                "fewer rows by a smaller `batch_size`."
            )
        return remaining


def call_with_retries(
    call: Callable[[], Answer], *, deadline: Deadline, max_attempts: int
) -> Answer:
    """Calls until the server is there; the pauses double, and are drawn at random around that.

    Args:
        call: Function that raises `ServerUnavailableError` where it may be called again.
        deadline: `Deadline`; no pause goes beyond it.
        max_attempts: Positive int.

    Returns:
        What `call` returns.

    Raises:
        ServerUnavailableError: If the last attempt failed, or there is no time for another.
        Exception: Any other that `call` raises, at once.
    """
    for attempt in range(1, max_attempts + 1):
        try:
            return call()
        except ServerUnavailableError as error:
            pause = backoff(attempt)
            if attempt == max_attempts or pause >= deadline.remaining():
                tried = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                raise ServerUnavailableError(f"{error} Gave up after {tried}.") from error
        time.sleep(pause)
    raise ValueError(f"`max_attempts` must be positive. Received: max_attempts={max_attempts}.")


def backoff(attempt: int) -> float:
    """Seconds to wait after an attempt, counted from 1: half to all of 0.1, 0.2, 0.4, ..., 2."""
    return min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE) * _JITTER.uniform(0.5, 1)
