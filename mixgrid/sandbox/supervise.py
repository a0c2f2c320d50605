"""One case: start the box and the checker, join them by two pipes, wait, and leave no process behind.

    checker --requests--> box
    checker <--answers--- box          checker --verdict--> here

The clock starts when the box is ready, and stands still while one of the two waits for a core, so that a busy machine
changes no verdict.
"""

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mixgrid.sandbox import launch
from mixgrid.sandbox.case import Case, Outcome, Verdict
from mixgrid.sandbox.launch import Mode
from mixgrid.sandbox.values import receive

MEMORY = 512 * 2**20  # of a box
CHECKER_MEMORY = 2**30
MAXIMUM_PROGRAM = 256 * 1024  # characters
START_UP_S = 60.0
LONGEST_WAIT = 6  # times its time limit, for a process that gets no core


class BoxDidNotStart(Exception):
    """A box ended, or said why it cannot go on, before it read the program."""


def run_case(case: Case, mode: Mode) -> Verdict:
    """Check one program. Raises BoxDidNotStart, which is no fault of the program."""
    if len(case.program) > MAXIMUM_PROGRAM:
        return Verdict("error", "the program is too long")
    with _Box(mode) as box, _checker(case, mode, box) as checker:
        verdicts = checker.stdout.fileno()  # type: ignore[union-attr]
        _await_start(verdicts)
        told = _await(verdicts, (box.find_process(), checker.pid), case.timeout_s)
    return Verdict(*told) if told else Verdict("timeout", f"over {case.timeout_s:g} s")


class _Box:
    """The process of the program, and our ends of its pipes until the checker has them."""

    def __init__(self, mode: Mode) -> None:
        stdin, self.requests = os.pipe()
        self.answers, stdout = os.pipe()
        self._report, report = os.pipe()
        self._handle: int | None = None
        self._inner = mode == "bubblewrap"
        command = launch.in_bubblewrap(launch.python(), report=report) if self._inner else launch.python()
        try:
            self._process = launch.start(command, stdin=stdin, stdout=stdout, keep=(report,) if self._inner else ())
        except OSError:
            self.hand_over()
            os.close(self._report)
            raise
        finally:
            for end in (stdin, stdout, report):
                os.close(end)

    def __enter__(self) -> "_Box":
        return self

    def hand_over(self) -> None:
        """Close our ends, so that each side sees when the other is gone."""
        os.close(self.requests)
        os.close(self.answers)

    def find_process(self) -> int:
        """The id of the program's process, which bubblewrap's monitor stands before."""
        if not self._inner:
            return self._process.pid
        pid = int(json.loads(os.read(self._report, 4096))["child-pid"])
        with suppress(OSError):  # it has ended, or the kernel has no such handles: the monitor's end is its end too
            self._handle = os.pidfd_open(pid)
        return pid

    def __exit__(self, *_: object) -> None:
        try:
            if self._handle is not None:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(self._handle, signal.SIGKILL)
                os.close(self._handle)
                with suppress(subprocess.TimeoutExpired):  # the monitor leaves when all in the box are gone
                    self._process.wait(10)
            if self._process.returncode is None:  # not waited for, so that the id is still its own
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        finally:
            os.close(self._report)


@contextmanager
def _checker(case: Case, mode: Mode, box: _Box) -> Iterator["subprocess.Popen[bytes]"]:
    box_settings = {"mode": mode, "memory": MEMORY, "cpu_s": _cpu_limit(case), "readable": launch.readable()}
    settings: dict[str, Any] = {
        "requests": box.requests, "answers": box.answers, "memory": CHECKER_MEMORY, "cpu_s": _cpu_limit(case),
        "boot": launch.boot_frame(launch.BOX_MODULES, box_settings),
        "program": case.program, "entry_point": case.entry_point, "check": case.check,
    }  # fmt: skip
    keep = (box.requests, box.answers)
    try:
        process = launch.start(launch.python(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, keep=keep)
    finally:
        box.hand_over()
    with process:
        try:
            process.stdin.write(launch.boot_frame(launch.CHECKER_MODULES, settings))  # type: ignore[union-attr]
            process.stdin.close()  # type: ignore[union-attr]
            yield process
        finally:
            process.kill()


def _cpu_limit(case: Case) -> int:
    """The kernel's own limit in seconds, for when nobody is left to watch the clock."""
    return int(case.timeout_s * 2) + 10


def _await_start(verdicts: int) -> None:
    try:
        told = receive(verdicts) if _readable(verdicts, START_UP_S) else ["cannot start", f"not up in {START_UP_S:g} s"]
    except EOFError:
        told = ["cannot start", "it ended before it was up"]
    if told != ["ready"]:
        raise BoxDidNotStart(told[1])


def _await(verdicts: int, processes: Sequence[int], timeout_s: float) -> tuple[Outcome, str] | None:
    """The outcome and its detail; None when the time is over."""
    started = time.monotonic()
    waited = dict.fromkeys(processes, 0.0)
    before = {pid: _waiting_for_a_core(pid) for pid in processes}
    while True:
        for pid in processes:
            waited[pid] = max(waited[pid], _waiting_for_a_core(pid) - before[pid])
        passed = time.monotonic() - started
        left = min(timeout_s - passed + sum(waited.values()), LONGEST_WAIT * timeout_s - passed)
        if left <= 0:
            return None
        if _readable(verdicts, max(left, 0.01)):
            try:
                outcome, detail = receive(verdicts)
                return outcome, detail
            except EOFError:
                return "error", ("the check ended its process")


def _readable(pipe: int, seconds: float) -> bool:
    poll = select.poll()
    poll.register(pipe, select.POLLIN | select.POLLHUP)
    return bool(poll.poll(seconds * 1000))


def _waiting_for_a_core(pid: int) -> float:
    """Seconds that the process was ready to run and did not; 0 where the kernel does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
