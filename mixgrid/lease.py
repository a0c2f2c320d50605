"""A lease: who is at work on a step, told to the store every few seconds, so that no two are at once.

    leases/<key>.json    {"holder": "3f2a9c", "count": 12, "host": "gpu-3", "share": 0.25, "text": "step 47/188", ...}

    with Lease(store, key, lease_s=180, lost=stop_now) as lease: lease.tell(0.25, "step 47/188"); ...
    watch = LeaseWatch(store, key, lease_s=180); watch.look(); watch.alive

No clock is compared with another machine's. A watcher takes a lease for dead once it has seen one and the same text
for `lease_s` on its own clock; a holder that could not renew for half of that, or finds another's name there, stops
itself first. So an orphan, whose worker died or whose network is cut, and the try that replaces it never work at once.
Nobody but its holder removes a lease: a removal that comes late would take away the next holder's.
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


def is_left_over(store: Store, path: str, *, silent_s: float) -> bool:
    """Whether a lease that was last written `silent_s` ago is nobody's: twice its length, as clocks may differ."""
    text = store.read_bytes(path)
    try:
        return text is None or silent_s > 2 * float(json.loads(text)["lease_s"])
    except (ValueError, TypeError, KeyError):  # no holder wrote that
        return True


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
    def text(self) -> bytes | None:
        """What is there."""
        return self._text

    @property
    def silent_text(self) -> str:
        """The text that has not changed for `lease_s`: whoever is told it need not wait so long again. Else empty."""
        return self._text.decode(errors="replace") if self._text and not self.alive else ""

    @property
    def alive(self) -> bool:
        """Whether somebody holds it, as far as this watcher has seen."""
        return self._text is not None and self.silent_s < self._lease_s

    @property
    def silent_s(self) -> float:
        """For how long the watcher has seen no change."""
        return clock() - self._changed


class Lease:
    """Held from `__enter__`, which waits for an earlier holder, to `__exit__`. `lost()` must end the work at once.

    `silent`: a text (LeaseWatch.silent_text) that somebody has seen unchanged for `lease_s`.
    """

    def __init__(self, store: Store, key: str, *, lease_s: float, lost: Callable[[], None], silent: str = "") -> None:
        self._store = store
        self._key = key
        self._lease_s = lease_s
        self._lost = lost
        self._silent = silent.encode()
        self._told: dict[str, Any] = {"share": 0.0, "text": "starting"}
        self._facts = {"holder": uuid.uuid4().hex, "host": platform.node(), "pid": os.getpid(), "lease_s": lease_s}
        self._count = 0
        self._over = threading.Event()
        self._renewed = clock()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._renew, self._guard)]

    def __enter__(self) -> Self:
        """Raises StoreError when the store cannot be reached."""
        self._take()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back, unless somebody else may have it by now."""
        self._over.set()
        self._threads[0].join(self._lease_s / 12)  # a renewal on its way would write it again
        with suppress(StoreError):  # it runs out by itself
            if self._holder(wait=False) == self._facts["holder"] and clock() - self._renewed < self._lease_s / 2:
                self._store.remove(lease_path(self._key), wait=False)

    def tell(self, share: float, text: str) -> None:
        """How far the work is; goes out with the next renewal."""
        self._told = {"share": round(share, 4), "text": text}

    def _take(self) -> None:
        """Write one's name where nobody holds it; who still finds it there after a while has it.

        Of several who looked and wrote within `settle_s`, the last one is found by all. A write that took longer may
        have come over somebody's who is at work: he renews, or has stopped, within half a lease.
        """
        watch = LeaseWatch(self._store, self._key, lease_s=self._lease_s)
        watch.look()  # the first answer takes long: the store's address, a connection
        settle_s = min(1.0, self._lease_s / 20)
        while True:
            began = clock()
            watch.look()
            if not watch.alive or watch.text == self._silent:
                self._write()
                quick = clock() - began < settle_s
                stays = self._stays(settle_s if quick else self._lease_s / 2)
                if stays and clock() - began < self._lease_s:  # else others may have taken it for dead meanwhile
                    return
            time.sleep(min(5.0, self._lease_s / 20))

    def _stays(self, wait_s: float) -> bool:
        """Whether this is the holder that everybody finds, now and after `wait_s`."""
        until = clock() + wait_s
        while clock() < until:
            time.sleep(min(1.0, self._lease_s / 20, max(0.0, until - clock())))
            if self._holder() != self._facts["holder"]:
                return False
        self._write()
        return True

    def _holder(self, *, wait: bool = True) -> str | None:
        """Whose name is there; None for nobody's, or for a text that no holder wrote."""
        text = self._store.read_bytes(lease_path(self._key), wait=wait)
        try:
            return str(json.loads(text)["holder"]) if text else None
        except (ValueError, KeyError, TypeError):
            return None

    def _write(self) -> None:
        began = clock()
        self._count += 1
        document = {**self._facts, **self._told, "count": self._count, "updated": round(time.time(), 1)}
        self._store.write_atomically(lease_path(self._key), json.dumps(document).encode())
        self._renewed = began

    def _renew(self) -> None:
        while not self._over.wait(self._lease_s / 12):
            with suppress(StoreError):  # tried again at once; the guard says when it is too late
                if self._holder() not in (None, self._facts["holder"]):
                    self._lost()
                    return
                self._write()

    def _guard(self) -> None:
        while not self._over.wait(min(1.0, self._lease_s / 20)):
            if clock() - self._renewed > self._lease_s / 2:
                self._lost()
                return
