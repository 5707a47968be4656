"""Signals become exceptions, at once or when the training is ready for them."""

import signal

import pytest

from apps import errors
from apps.stop_signals import StopSignals


@pytest.mark.parametrize(
    "number, error, status",
    [(signal.SIGTERM, errors.Terminated, 143), (signal.SIGINT, KeyboardInterrupt, 130)],
)
def test_signal_is_raised_at_once_where_nobody_is_asked(number, error, status):
    before = signal.getsignal(number)
    with StopSignals().caught(), pytest.raises(error) as raised:
        signal.raise_signal(number)
    assert errors.describe(raised.value)[1] == status
    assert signal.getsignal(number) is before


def test_signal_is_postponed_and_only_a_second_interrupt_is_not():
    asked = []
    signals = StopSignals()
    with signals.caught():
        with signals.postponed(asked.append):
            signal.raise_signal(signal.SIGTERM)
            signal.raise_signal(signal.SIGTERM)
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)
        assert [type(error) for error in asked] == [errors.Terminated] * 2
        with signals.postponed(asked.append):
            signal.raise_signal(signal.SIGINT)
        assert type(asked[-1]) is KeyboardInterrupt
        with pytest.raises(errors.Terminated):
            signal.raise_signal(signal.SIGTERM)
