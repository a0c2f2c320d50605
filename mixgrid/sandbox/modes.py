"""Which sandbox works here: each is tried by a box that really starts and finds no way out.

open_sandbox("auto").mode  -> "bubblewrap", else "native", else NoSandbox; never "unsafe"
"""

import functools
import subprocess
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Literal

from mixgrid.cores import available_cores
from mixgrid.errors import NoSandbox, StepError
from mixgrid.progress import Progress, silent
from mixgrid.sandbox.case import Case, Verdict
from mixgrid.sandbox.launch import ENVIRONMENT, Mode, bubblewrap, in_bubblewrap, python
from mixgrid.sandbox.supervise import BoxDidNotStart, run_case

_WAYS_OUT = (
    "install bubblewrap (and allow user namespaces), use a Linux kernel with Landlock (5.13 or newer) and seccomp on"
    " x86_64 or aarch64, or run the programs without walls by the command-line flag --unsafe-code"
)
_ATTEMPTS = 3  # a machine short of memory or processes may refuse one start

_SELF_TEST = Case(
    program="""
import ctypes, os, socket

def holes():
    attempts = {
        "read": lambda: open("/etc/passwd").read(), "look": lambda: os.stat("/etc"), "list": lambda: os.listdir("/"),
        "write": lambda: open("/tmp/mixgrid-hole", "w"), "shared memory": lambda: open("/dev/shm/mixgrid-hole", "w"),
        "process": lambda: open("/proc/self/environ").read(), "fork": os.fork,
        "signal": lambda: os.kill(os.getpid(), 0), "network": socket.socket,
        "execute": lambda: os.execv("/bin/sh", ["sh"]),
    }
    open_ = [name for name, attempt in attempts.items() if not fails(attempt)]
    return open_ + [name for name in os.environ]

def fails(attempt):
    try:
        attempt()
    except OSError:
        return True
    return False
""",
    entry_point="holes",
    check="def check(candidate):\n    assert candidate() == []",
    timeout_s=20.0,
)


class Sandbox:
    """A way to check programs; `mode` says which and is recorded with results."""

    def __init__(self, mode: Mode) -> None:
        self.mode: Mode = mode

    def check_all(
        self, cases: Sequence[Case], *, workers: int | None = None, progress: Progress = silent
    ) -> list[Verdict]:
        """A verdict for each case, in their order; `workers` at once (default: one a core).

        Raises StepError if boxes no longer start, which is no verdict on a program.
        """
        verdicts: dict[int, Verdict] = {}
        pool = ThreadPoolExecutor(workers or available_cores())
        try:
            places = {pool.submit(self._check, case): place for place, case in enumerate(cases)}
            for future in as_completed(places):
                verdicts[places[future]] = future.result()
                progress(len(verdicts) / len(cases), f"program {len(verdicts)}/{len(cases)}")
        finally:
            pool.shutdown(cancel_futures=True)
        return [verdicts[place] for place in range(len(cases))]

    def _check(self, case: Case) -> Verdict:
        for attempt in range(_ATTEMPTS):
            time.sleep(attempt)
            try:
                return run_case(case, self.mode)
            except (BoxDidNotStart, OSError) as error:
                reason = error
        raise StepError(
            f"the {self.mode} sandbox started {_ATTEMPTS} times in vain: {reason}; `mixgrid doctor` tries it"
        )


def open_sandbox(mode: Literal["auto", "bubblewrap", "native", "unsafe"] = "auto") -> Sandbox:
    """The sandbox of this mode; `auto` is bubblewrap if it works here, else native. Raises NoSandbox. Tried once."""
    if mode == "unsafe":
        return Sandbox("unsafe")
    wanted: tuple[Mode, ...] = ("bubblewrap", "native") if mode == "auto" else (mode,)
    faults = []
    for candidate in wanted:
        fault = _fault_of(candidate)
        if fault is None:
            return Sandbox(candidate)
        faults.append(f"{candidate}: {fault}")
    raise NoSandbox(f"no sandbox works here ({'; '.join(faults)}); {_WAYS_OUT}")


def describe_sandbox() -> tuple[bool, str]:
    """Whether programs can be checked here, and in which mode or why not."""
    try:
        mode = open_sandbox().mode
    except NoSandbox as error:
        return False, str(error)
    others = [f"; {name}: {_fault_of(name)}" for name in ("bubblewrap",) if mode != name]
    return True, f"{mode}: a box started and found no way out{''.join(others)}"


@functools.cache
def _fault_of(mode: Mode) -> str | None:
    """Why this mode does not work here; None if it does."""
    if mode == "bubblewrap" and (fault := _fault_of_bubblewrap()):
        return fault
    try:
        verdict = run_case(_SELF_TEST, mode)
    except (BoxDidNotStart, OSError) as error:
        return str(error)
    return None if verdict.outcome == "passed" else f"the self-test ended with {verdict.outcome} ({verdict.detail})"


def _fault_of_bubblewrap() -> str | None:
    """What bwrap itself complains about, which a box with a program in it must not tell."""
    if bubblewrap() is None:
        return "bwrap is not installed"
    command = in_bubblewrap([*python()[:-1], "pass"])
    try:
        ended = subprocess.run(
            command, env=ENVIRONMENT, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (
        (ended.stderr.decode(errors="replace").strip()[-200:] or f"status {ended.returncode}")
        if ended.returncode
        else None
    )
