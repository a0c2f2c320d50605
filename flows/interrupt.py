"""Ctrl-C that does not get lost.

    with heeding_interrupts():
        for step in steps:
            raise_if_interrupted()      # KeyboardInterrupt, if one was asked for and somebody swallowed it
            make(step)

Python raises KeyboardInterrupt wherever the main thread happens to be. In a callback, a finaliser or an event loop that
a library runs for a moment it goes no further, and the run would go on as if nothing had been pressed.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_asked = threading.Event()


@contextmanager
def heeding_interrupts() -> Iterator[None]:
    """Remember that Ctrl-C was pressed. Where it is ignored or somebody else's, or in another thread, all stays."""
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _asked.clear()
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def raise_if_interrupted() -> None:
    """Raise the KeyboardInterrupt that did not arrive."""
    if _asked.is_set():
        _asked.clear()
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    _asked.set()
    signal.default_int_handler(number, frame)
