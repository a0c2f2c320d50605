"""A lease: who is at work on a step, told to the store every few seconds, so that no two are at once.

    leases/<key>.json    {"holder": "3f2a9c", "count": 12, "host": "gpu-3", "share": 0.25, "text": "step 47/188", ...}

    with Lease(store, key, lease_s=180, lost=stop_now) as lease: lease.tell(0.25, "step 47/188"); ...
    watch = LeaseWatch(store, key, lease_s=180); watch.look(); watch.alive

No clock is compared with another machine's. A watcher takes a lease for dead once it has seen one and the same text for
`lease_s` on its own clock; a holder that could not renew for half of that stops itself first. So an orphan, whose
worker died or whose network is cut, and the try that replaces it never work at the same time.
"""

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from mixgrid.errors import StoreError
from mixgrid.store import Store


def clock() -> float:
    """Seconds that go on while the machine sleeps, where the system can tell."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


def lease_path(key: str) -> str:
    """Where the lease of a step lies in the store."""
    return f"leases/{key}.json"


class LeaseWatch:
    """A lease as others see it."""

    def __init__(self, store: Store, key: str, *, lease_s: float) -> None:
        self._store = store
        self._path = lease_path(key)
        self._lease_s = lease_s
        self._text: bytes | None = None
        self._changed = clock()

    def look(self) -> dict[str, Any]:
        """What the holder last told; empty when there is none."""
        text = self._store.read_bytes(self._path)
        if text != self._text:
            self._text, self._changed = text, clock()
        try:
            return dict(json.loads(text)) if text else {}
        except ValueError:
            return {}

    @property
    def alive(self) -> bool:
        """Whether somebody holds it, as far as this watcher has seen."""
        return self._text is not None and self.silent_s < self._lease_s

    @property
    def silent_s(self) -> float:
        """For how long the watcher has seen no change."""
        return clock() - self._changed


class Lease:
    """Held from `__enter__`, which waits for an earlier holder, to `__exit__`. `lost()` must end the work at once."""

    def __init__(self, store: Store, key: str, *, lease_s: float, lost: Callable[[], None]) -> None:
        self._store = store
        self._key = key
        self._lease_s = lease_s
        self._lost = lost
        self._told: dict[str, Any] = {"share": 0.0, "text": "starting"}
        self._facts = {"holder": uuid.uuid4().hex, "host": platform.node(), "pid": os.getpid()}
        self._count = 0
        self._over = threading.Event()
        self._renewed = clock()

    def __enter__(self) -> Self:
        """Raises StoreError when the store cannot be reached."""
        self._take()
        for work in (self._renew, self._guard):
            threading.Thread(target=work, name=f"lease-{work.__name__}", daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back, unless somebody else has it by now."""
        self._over.set()
        with suppress(StoreError):  # it runs out by itself
            if self._is_ours():
                self._store.remove(lease_path(self._key))

    def tell(self, share: float, text: str) -> None:
        """How far the work is; goes out with the next renewal."""
        self._told = {"share": round(share, 4), "text": text}

    def _take(self) -> None:
        watch = LeaseWatch(self._store, self._key, lease_s=self._lease_s)
        while True:
            watch.look()
            if not watch.alive:
                self._write()
                time.sleep(min(1.0, self._lease_s / 20))  # whoever wrote in the same moment: the last one has it
                if self._is_ours():
                    return
            time.sleep(min(5.0, self._lease_s / 20))

    def _is_ours(self) -> bool:
        text = self._store.read_bytes(lease_path(self._key))
        return text is not None and json.loads(text).get("holder") == self._facts["holder"]

    def _write(self) -> None:
        began = clock()
        self._count += 1
        document = {**self._facts, **self._told, "count": self._count, "updated": round(time.time(), 1)}
        self._store.write_atomically(lease_path(self._key), json.dumps(document).encode())
        self._renewed = began

    def _renew(self) -> None:
        while not self._over.wait(self._lease_s / 12):
            with suppress(StoreError):  # tried again at once; the guard says when it is too late
                self._write()

    def _guard(self) -> None:
        while not self._over.wait(min(1.0, self._lease_s / 20)):
            if clock() - self._renewed > self._lease_s / 2:
                self._lost()
                return
