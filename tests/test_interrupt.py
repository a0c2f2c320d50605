"""Ctrl-C counts even where a library swallowed it."""

import signal
from contextlib import suppress

import pytest

from flows.interrupt import heeding_interrupts, raise_if_interrupted


def test_a_swallowed_interrupt_is_raised_again_once_and_the_handler_is_put_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with heeding_interrupts():
        raise_if_interrupted()
        with suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            raise_if_interrupted()
        raise_if_interrupted()
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interrupt_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with heeding_interrupts():
            signal.raise_signal(signal.SIGINT)
            raise_if_interrupted()
    finally:
        signal.signal(signal.SIGINT, before)
