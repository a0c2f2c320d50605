"""Lock files: held by a process, let go of by the system when it dies, and safe to remove by who holds them.

    lock = hold(folder / ".lock")                 # waits; None only with wait=False
    lock = hold(path, shared=True)                # as many as like, and nobody alone meanwhile
    ...
    lock.close()                                  # another may hold it from here on

`flock` locks the file behind a name, so a lock taken on a file that was removed meanwhile would keep nobody out: the
name is looked at again once the lock is there.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Self


class Lock:
    """A lock that is held, until it is closed, forgotten or its process ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def close(self) -> None:
        """Let go; a second time is fine."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        self.close()


def hold(path: Path, *, shared: bool = False, wait: bool = True) -> Lock | None:
    """The lock of a file, made if need be; None where another holds it and `wait` is off. Raises OSError."""
    mode = (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB)
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except FileNotFoundError:  # its folder went between these two lines
            continue
        lock = Lock(descriptor)
        try:
            fcntl.flock(descriptor, mode)
        except BlockingIOError:
            lock.close()
            return None
        with suppress(FileNotFoundError):
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                return lock
        lock.close()
