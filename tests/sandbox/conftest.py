"""Cases run as a user of choice, in a process whose environment and memory hold a secret."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from mixgrid.errors import NoSandbox
from mixgrid.sandbox import Case, Verdict, open_sandbox
from mixgrid.sandbox.launch import Mode

NOBODY = 65534
REPOSITORY = Path(__file__).parents[2]

# Orphans of what it starts come to it, so that a daemon cannot hide from its list of children.
_RUNNER = """
import ctypes, json, os, pathlib, resource, sys, time
from mixgrid.sandbox import Case, open_sandbox
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
order = json.load(sys.stdin)
cases = [Case(**case) for case in order["cases"]]
started, spent = time.monotonic(), os.times()
verdicts = open_sandbox(order["mode"]).check_all(cases)
seconds, now = time.monotonic() - started, os.times()
def parent(stat):
    try:
        return int(stat.read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0
print(json.dumps({
    "verdicts": [[verdict.outcome, verdict.detail] for verdict in verdicts],
    "left_over": sum(parent(stat) == os.getpid() for stat in pathlib.Path("/proc").glob("[0-9]*/stat")),
    "largest_memory": resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024,
    "seconds": seconds,
    "cpu_seconds": sum(now[:4]) - sum(spent[:4]),
}))
"""


@dataclass(frozen=True)
class Report:
    """What came of the cases; `largest_memory` of any one process (bytes), `left_over` processes."""

    verdicts: list[Verdict]
    left_over: int
    largest_memory: int
    seconds: float
    cpu_seconds: float


Runner = Callable[..., Report]


@pytest.fixture(scope="session")
def run_cases() -> Runner:
    """`run_cases(cases, mode=..., as_nobody=False, environment={})`: check them in a process of its own."""
    return _run_cases


def _run_cases(
    cases: Sequence[Case], *, mode: Mode, as_nobody: bool = False, environment: dict[str, str] | None = None
) -> Report:
    order = json.dumps({"mode": mode, "cases": [asdict(case) for case in cases]})
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if as_nobody else {}
    python = _python_for_nobody() if as_nobody else sys.executable
    variables = {"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"], **(environment or {})}
    command = [python, "-B", "-c", _RUNNER]
    done = subprocess.run(command, input=order, capture_output=True, text=True, env=variables, cwd="/", **user)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return Report(**{**told, "verdicts": [Verdict(*verdict) for verdict in told["verdicts"]]})


def _python_for_nobody() -> str:
    """This interpreter if a plain user can start it (it may lie in root's home), else the system's."""
    test = "import sys, mixgrid.sandbox; assert sys.version_info >= (3, 11); open(sys._base_executable).close()"
    for python in (sys.executable, "/usr/bin/python3", "/usr/local/bin/python3"):
        try:
            command = [python, "-B", "-c", test]
            subprocess.run(
                command, check=True, capture_output=True, user=NOBODY, group=NOBODY, extra_groups=[],
                env={"PYTHONPATH": str(REPOSITORY)}, cwd="/",
            )  # fmt: skip
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return missing("a Python from 3.11 on, and a checkout, that a plain user can read")


def missing(what: str) -> str:
    """Skip for want of something on this machine; in continuous integration, fail."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing, and CI is set")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session", params=["bubblewrap", "native"])
def mode(request: pytest.FixtureRequest) -> Mode:
    """A mode that works here."""
    try:
        return open_sandbox(request.param).mode
    except NoSandbox as error:
        missing(str(error))
        raise


@pytest.fixture(scope="session", params=["caller", "nobody"])
def as_nobody(request: pytest.FixtureRequest) -> bool:
    """Whether to run as a plain user rather than as who runs the tests."""
    if request.param == "nobody" and os.geteuid() != 0:
        pytest.skip("only root can become a plain user; the other case is one")
    return bool(request.param == "nobody")
