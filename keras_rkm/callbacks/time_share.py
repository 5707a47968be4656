"""Keeps what is done beside a training below a share of its time."""

import time
from collections.abc import Callable


class TimeShare:
    """Says whether a thing can be done once more without taking more than a share of the time.

    It is taken to cost what it cost the last time.

    Args:
        share: Float in (0, 1], the largest share of the time since `start`; None for any.
        first_seconds: Float, what it is taken to cost the first time. Defaults to 0.
        num_reserved: Int, how many more of them have to be affordable: those that are done in any
            case, such as at the end. Defaults to 0.
        clock: Callable that returns seconds. Defaults to that of the wall.

    Raises:
        ValueError: If the share is none.

    Example:

    >>> import itertools
    >>> share = TimeShare(0.5, clock=itertools.count(0, 10).__next__)  # each look is 10 s later
    >>> share.start()
    >>> with share:  # takes 10 s
    ...     pass
    >>> share.affords(), share.affords()  # 20 of 30 s, then of 40
    (False, True)
    """

    def __init__(
        self,
        share: float | None,
        *,
        first_seconds: float = 0.0,
        num_reserved: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ):
        if share is not None and not 0 < share <= 1:
            raise ValueError(
                "`max_share` must be above 0 and at most 1, or None for no limit. Received: "
                f"max_share={share}."
            )
        self._share, self._clock, self._num_reserved = share, clock, num_reserved
        self._next_seconds = first_seconds
        self._spent = self._begin = self._start = 0.0

    def start(self) -> None:
        """Counts the time from now on."""
        self._start, self._spent = self._clock(), 0.0

    def affords(self) -> bool:
        """Whether there is time for another one."""
        if self._share is None:
            return True
        elapsed = self._clock() - self._start
        expected = self._spent + (1 + self._num_reserved) * self._next_seconds
        return expected <= self._share * elapsed

    def __enter__(self):
        self._begin = self._clock()

    def __exit__(self, *_):
        self._next_seconds = self._clock() - self._begin
        self._spent += self._next_seconds
