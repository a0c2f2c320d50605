"""Progress on standard error: bars on a terminal, plain lines elsewhere.

[ 212/1250] sft stage 2 lab.small-s0-lab.code_1+lab.math_1-...: done in 3.1 s
"""

import sys
import threading
import time
from types import TracebackType
from typing import Self

from mixgrid.step import Step

LONG_S = 2.0
SUMMARY_EVERY_S = 10.0


class Watcher:
    """Hears what happens in a run; used from many threads."""

    def __init__(self, total: int) -> None:
        self.total = total
        self.done = 0
        self._lock = threading.Lock()
        self._started: dict[str, float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""

    def start(self, step: Step) -> None:
        """A step begins."""
        self._started[step.key] = time.monotonic()

    def progress(self, step: Step, share: float, text: str) -> None:
        """A step has come so far."""

    def finish(self, step: Step, outcome: str) -> None:
        """A step has ended: "done", "cached" or "failed: ..."."""

    def say(self, message: str) -> None:
        """A line for the user."""
        print(message, file=sys.stderr, flush=True)

    def _seconds(self, step: Step) -> float:
        return time.monotonic() - self._started.pop(step.key, time.monotonic())


class PlainWatcher(Watcher):
    """A line for each step that took long or failed, and a count every ten seconds."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        self._said = time.monotonic()

    def progress(self, step: Step, share: float, text: str) -> None:
        """Now and then, a line on a step that takes long."""
        with self._lock:
            if time.monotonic() - self._said > SUMMARY_EVERY_S:
                self._line(f"{step.title}: {100 * share:.0f} %, {text}")

    def finish(self, step: Step, outcome: str) -> None:
        """A line if it took long or failed, or if it is time."""
        with self._lock:
            self.done += 1
            seconds = self._seconds(step)
            late = time.monotonic() - self._said > SUMMARY_EVERY_S
            long = seconds > LONG_S and outcome == "done"
            if long or late or outcome.startswith("failed") or self.done == self.total:
                self._line(f"{step.title}: {outcome}" + (f" in {seconds:.1f} s" if outcome == "done" else ""))

    def _line(self, text: str) -> None:
        self._said = time.monotonic()
        self.say(f"[{self.done:>{len(str(self.total))}}/{self.total}] {text}")


class BarWatcher(Watcher):
    """One bar for the run and one for each step at work."""

    def __init__(self, total: int) -> None:
        super().__init__(total)
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        self._bars = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._all = self._bars.add_task("steps", total=total, note="")
        self._tasks: dict[str, object] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the terminal back."""
        self._bars.stop()

    def progress(self, step: Step, share: float, text: str) -> None:
        """Move the step's bar."""
        with self._lock:
            if step.key not in self._tasks:
                self._tasks[step.key] = self._bars.add_task(step.title[:60], total=100, note=text)
            self._bars.update(self._tasks[step.key], completed=int(100 * share), note=text)  # type: ignore[arg-type]

    def finish(self, step: Step, outcome: str) -> None:
        """Move the run's bar, take the step's away."""
        with self._lock:
            self.done += 1
            self._bars.update(self._all, completed=self.done)
            if (bar := self._tasks.pop(step.key, None)) is not None:
                self._bars.remove_task(bar)  # type: ignore[arg-type]
        if outcome.startswith("failed"):
            self.say(f"{step.title}: {outcome}")

    def say(self, message: str) -> None:
        """A line above the bars."""
        self._bars.console.print(message, markup=False, highlight=False)


def watcher(total: int) -> Watcher:
    """Bars if standard error is a terminal, else lines."""
    return BarWatcher(total) if sys.stderr.isatty() else PlainWatcher(total)
