"""Which step may run next: a pure account of what is finished, without threads, clocks or Prefect.

schedule = Schedule(plan.steps, missing=plan.missing())
step = schedule.take()           # a step whose inputs are all there; the nearest to a score first
step = schedule.take({"sft"})    # the same among some kinds
schedule.finish(step.key)        # or .fail(step.key) -> the steps that can no longer run
"""

import heapq
from collections.abc import Container, Iterable, Mapping

from mixgrid.step import Step
from mixgrid.steps import KIND_ORDER


class Schedule:
    """Steps to run, in an order that keeps to their inputs. A failed step fails only what depends on it."""

    def __init__(
        self, steps: Mapping[str, Step], *, missing: Iterable[str], after: Mapping[str, str] | None = None
    ) -> None:
        """`after`: steps that wait for another one, which spares them work, but do not need it."""
        self._steps = steps
        self._rank = {key: i for i, key in enumerate(steps)}
        self._children: dict[str, list[str]] = {}
        self._after = after or {}
        self._waiting: dict[str, list[str]] = {}
        for key, earlier in self._after.items():
            self._waiting.setdefault(earlier, []).append(key)
        for key, step in steps.items():
            for parent in {p.key for p in step.parents()}:
                self._children.setdefault(parent, []).append(key)
        self._open: set[str] = set()
        self._blocked: set[str] = set()
        self._taken: set[str] = set()
        self._ready: dict[str, list[tuple[int, str]]] = {kind: [] for kind in reversed(KIND_ORDER)}
        self.add(missing)

    def add(self, keys: Iterable[str]) -> None:
        """More steps to run: new ones, or some again whose artifact turned out to be damaged."""
        new = set(keys) - self._blocked
        self._open |= new
        self._taken -= new
        for key in new:
            self._offer(key)

    def take(self, kinds: Container[str] = KIND_ORDER) -> Step | None:
        """A step of one of these kinds whose inputs are all there, or None for now."""
        for kind, ready in self._ready.items():
            while kind in kinds and ready:
                key = heapq.heappop(ready)[1]
                if key in self._open and key not in self._taken and self._may_run(key):
                    self._taken.add(key)
                    return self._steps[key]
        return None

    def finish(self, key: str) -> None:
        """The step's artifact is there."""
        self._open.discard(key)
        self._taken.discard(key)
        self._offer_open([*self._children.get(key, ()), *self._waiting.get(key, ())])

    def fail(self, key: str) -> list[Step]:
        """The step cannot be made; returns the other steps that now cannot run, in the plan's order."""
        lost: set[str] = set()
        stack = [key]
        while stack:
            current = stack.pop()
            self._open.discard(current)
            self._taken.discard(current)
            self._blocked.add(current)
            found = [c for c in self._children.get(current, ()) if c in self._open]
            lost |= set(found)
            stack += found
        self._offer_open([w for gone in (key, *lost) for w in self._waiting.get(gone, ())])
        return [step for k, step in self._steps.items() if k in lost]

    def is_open(self, key: str) -> bool:
        """Whether the step is still to be made, or being made."""
        return key in self._open

    @property
    def open(self) -> int:
        """How many steps are neither finished nor given up."""
        return len(self._open)

    def _may_run(self, key: str) -> bool:
        step = self._steps[key]
        inputs_there = not any(p.key in self._open or p.key in self._blocked for p in step.parents())
        return inputs_there and self._after.get(key) not in self._open

    def _offer_open(self, keys: Iterable[str]) -> None:
        for key in keys:
            if key in self._open:
                self._offer(key)

    def _offer(self, key: str) -> None:
        if self._may_run(key):
            heapq.heappush(self._ready[self._steps[key].kind], (self._rank[key], key))
