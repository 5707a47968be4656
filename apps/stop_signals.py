"""SIGTERM and Ctrl-C: between two steps of a training, or at once where there are none."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

from .errors import Terminated


class StopSignals:
    """Turns the signals into exceptions, `Terminated` and `KeyboardInterrupt`.

    They are raised at once, or, inside `postponed`, when the one who is asked is ready for it. A
    second Ctrl-C does not wait.
    """

    def __init__(self):
        self._ask = None
        self._is_asked = False

    @contextlib.contextmanager
    def caught(self) -> Iterator[None]:
        """Catches the signals; leaves them to others outside the main thread, which alone can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self._catch) for number in (signal.SIGTERM, signal.SIGINT)
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextlib.contextmanager
    def postponed(self, ask: Callable[[BaseException], None]) -> Iterator[None]:
        """Has a signal call `ask` with the exception that is to be raised soon."""
        self._ask, self._is_asked = ask, False
        try:
            yield
        finally:
            self._ask = None

    def _catch(self, number, frame):
        error = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        is_impatient = self._is_asked and number == signal.SIGINT
        if self._ask is None or is_impatient:
            raise error
        self._is_asked = True
        self._ask(error)
