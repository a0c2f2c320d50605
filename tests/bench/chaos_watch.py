"""Who worked on what, and when: seen in the system's own process table, a few times a second.

    with Watch() as watch: ...
    watch.tries -> [Try(store="s3://bucket/chaos0", run="0c1d...", begin=812.31, seen=817.02), ...]
    gaps(watch.tries, what_of) -> {"sft/...": [(2.1, first, second)]}     # negative: two at once

A step is worked on as long as a process `python -m mixgrid.worker` of its run lives: it is started for the step and
ends with it. It begins when the system says that it was started, and lives at least until it was last seen.
"""

import os
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Self

LOOK_EVERY_S = 0.1
SETTLED_S = 3.0
"""After so long a process has become the program that it will be."""
TICKS = os.sysconf("SC_CLK_TCK")


def now() -> float:
    """Seconds since the machine was started, as the process table counts them."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@dataclass
class Try:
    """One process at work in a store. `run`: its flow run on the pool, or `grid PID` for a grid's own steps."""

    store: str
    run: str
    pid: int
    begin: float
    seen: float


class Watch:
    """Looks at new processes until they are what they will be, and at workers until they end."""

    def __init__(self) -> None:
        self.tries: list[Try] = []
        self.longest_look_s = 0.0
        self._alive: dict[int, Try] = {}
        self._known: set[int] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _work(self) -> None:
        last = now()
        while not self._over.wait(LOOK_EVERY_S):
            self._look()
            self.longest_look_s = max(self.longest_look_s, now() - last)
            last = now()

    def _look(self) -> None:
        for pid, of in list(self._alive.items()):
            looked = now()
            if _begin(pid) == of.begin:
                of.seen = looked
            else:
                del self._alive[pid]
        there = {int(name) for name in os.listdir("/proc") if name.isdigit()}  # noqa: PTH208 (thousands of times)
        self._known &= there
        for pid in there - self._known:
            begin = _begin(pid)
            if begin is None or pid in self._alive:
                continue
            if now() - begin > SETTLED_S:
                self._known.add(pid)
            if (found := _worker(pid)) is not None:
                self._alive[pid] = Try(*found, pid=pid, begin=begin, seen=now())
                self.tries.append(self._alive[pid])
                self._known.add(pid)


def gaps(tries: Iterable[Try], what_of: Callable[[Try], str | None]) -> dict[str, list[tuple[float, Try, Try]]]:
    """For every step with tries of several runs: the seconds between the end of one and the begin of the next."""
    of_step: dict[str, list[Try]] = defaultdict(list)
    for each in sorted(tries, key=lambda each: each.begin):
        if (what := what_of(each)) is not None:
            of_step[what].append(each)
    return {
        what: [
            (later.begin - earlier.seen, earlier, later) for earlier, later in pairwise(of) if earlier.run != later.run
        ]
        for what, of in of_step.items()
    }


def _begin(pid: int) -> float | None:
    """When a living process was started; None for one that has ended, though nobody may have noticed yet."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return None if fields[0] in "ZX" else int(fields[19]) / TICKS


def _worker(pid: int) -> tuple[str, str] | None:
    """Store and run of a process, if it is a worker."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if words[1:3] != [b"-m", b"mixgrid.worker"]:
            return None
        environment = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
    except OSError:
        return None
    told = b"PREFECT__FLOW_RUN_ID="
    run = next((e.removeprefix(told).decode() for e in environment if e.startswith(told)), f"grid {parent}")
    return words[3].decode(), run
