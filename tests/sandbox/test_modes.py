"""Which sandbox is opened, when none is, and that a killed caller leaves nothing running."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from mixgrid.errors import NoSandbox, StepError
from mixgrid.sandbox import Case, Sandbox, describe_sandbox, open_sandbox
from mixgrid.sandbox.launch import Mode, bubblewrap, in_bubblewrap, python, readable

# A kernel without Landlock: landlock_create_ruleset (444) fails as an unknown call does. Inherited by all children.
NO_LANDLOCK = """
import ctypes, struct
rules = [(32, 0, 0, 0), (21, 0, 1, 444), (6, 0, 0, 0x50026), (6, 0, 0, 0x7FFF0000)]
code = b"".join(struct.pack("=HBBI", *rule) for rule in rules)
buffer = ctypes.create_string_buffer(code, len(code))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, struct.pack("@HP", 4, ctypes.addressof(buffer)), 0, 0) == 0
"""
OPEN = """
import json
from mixgrid.errors import NoSandbox
from mixgrid.sandbox import describe_sandbox, open_sandbox
told = {"describe": describe_sandbox()}
for mode in ("auto", "bubblewrap", "native", "unsafe"):
    try:
        told[mode] = open_sandbox(mode).mode
    except NoSandbox as error:
        told[mode] = str(error)
print(json.dumps(told))
"""


def opened(folder: Path, *, bwrap: str | None, before: str = "") -> dict[str, Any]:
    """What a process finds whose PATH has only this `bwrap`, a shell script."""
    if bwrap is not None:
        (folder / "bwrap").write_text(f"#!/bin/sh\n{bwrap}\n")
        (folder / "bwrap").chmod(0o755)
    environment = {"PATH": str(folder), "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-B", "-c", before + OPEN]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, cwd="/")
    return dict(json.loads(done.stdout))


def test_auto_opens_the_strongest_that_works(mode: Mode) -> None:
    assert open_sandbox(mode).mode == mode
    assert open_sandbox().mode in ("bubblewrap", mode)
    assert describe_sandbox()[0]


def test_auto_falls_back_to_native_where_bubblewrap_is_missing_or_cannot_start(tmp_path: Path) -> None:
    missing = opened(tmp_path, bwrap=None)
    assert missing["auto"] == missing["native"] == "native"
    assert "bubblewrap: bwrap is not installed" in missing["describe"][1]
    broken = opened(tmp_path, bwrap="echo 'bwrap: No permissions to create new namespace' >&2; exit 1")
    assert broken["auto"] == "native"
    assert "No permissions to create new namespace" in broken["bubblewrap"]


def test_refusal_names_both_reasons_and_the_three_ways_out(tmp_path: Path) -> None:
    told = opened(tmp_path, bwrap=None, before=NO_LANDLOCK)
    assert told["describe"] == [False, told["auto"]]
    for part in (
        "bwrap is not installed",
        "native: landlock",
        "install bubblewrap",
        "5.13",
        "seccomp",
        "--unsafe-code",
    ):
        assert part in told["auto"]
    assert "bwrap" not in told["native"].partition("(")[2].partition(")")[0]
    assert told["unsafe"] == "unsafe"


def test_bubblewrap_that_opens_no_box_is_not_believed(tmp_path: Path) -> None:
    assert "not opened" in opened(tmp_path, bwrap="echo not opened >&2; exit 3")["bubblewrap"]
    assert "bubblewrap" not in opened(tmp_path, bwrap="exit 0")["auto"]


def test_no_sandbox_is_an_error_of_the_step() -> None:
    assert issubclass(NoSandbox, StepError)


def test_progress_is_told_and_verdicts_keep_the_order(mode: Mode) -> None:
    shares = []
    cases = [
        Case(program=f"def f(): return {n}", entry_point="f", check=f"def check(f): assert f() == {n % 3}")
        for n in range(6)
    ]
    verdicts = open_sandbox(mode).check_all(cases, workers=2, progress=lambda share, _: shares.append(share))
    assert [verdict.outcome for verdict in verdicts] == ["passed"] * 3 + ["failed"] * 3
    assert shares == sorted(shares)
    assert shares[-1] == 1.0
    assert open_sandbox(mode).check_all([]) == []


def test_killed_caller_leaves_no_process(mode: Mode) -> None:
    code = (
        "import sys; from mixgrid.sandbox import Case, Sandbox\n"
        "case = Case(program='import time\\ntime.sleep(99)', entry_point='f', check='', timeout_s=90)\n"
        f"Sandbox({mode!r}).check_all([case] * 2, workers=2)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    with subprocess.Popen([sys.executable, "-B", "-c", code], env=environment) as caller:
        children = grown_children(psutil.Process(caller.pid), 6 if mode == "bubblewrap" else 4)
        time.sleep(0.5)  # until the boxes have asked for their end, which they do before the program is loaded
        caller.kill()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert alive == []


def grown_children(process: psutil.Process, number: int) -> list[psutil.Process]:
    """All processes below this one, once there are so many."""
    deadline = time.monotonic() + 30
    while len(children := process.children(recursive=True)) < number and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(children) == number
    return children


def test_box_that_no_longer_starts_is_an_error_and_no_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StepError, match="bubblewrap sandbox started 3 times in vain"):
        Sandbox("bubblewrap").check_all([Case(program="", entry_point="f", check="")])


# Each wall holds alone: no seccomp filter here, and none of the files that Python needs.
LOOK_FOR_HOLES = """
import ctypes, os, socket, sys
libc = ctypes.CDLL(None)
def mount(target, flags):
    if libc.mount(b"none", target, None, flags, None) != 0:
        raise OSError
    open(f"{target.decode()}/hole", "w").close()
attempts = {
    "read /etc": lambda: open("/etc/passwd").close(), "list /var": lambda: os.listdir("/var"),
    "environment": lambda: open("/proc/1/environ").close(),
    "own environment": lambda: open("/proc/self/environ").close(),
    "write /": lambda: open("/hole", "w").close(), "write /tmp": lambda: open("/tmp/hole", "w").close(),
    "write /dev/shm": lambda: open("/dev/shm/hole", "w").close(),
    "write in Python": lambda: open(os.__file__, "a").close(),
    "remount /": lambda: mount(b"/", 32), "remount a bind": lambda: mount(b"/usr/lib", 32 | 4096),
    "network": lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), 1),
    "abstract": lambda: socket.socket(socket.AF_UNIX).connect("\\0" + sys.argv[2]),
}
for name, attempt in attempts.items():
    try:
        attempt()
    except OSError:
        continue
    print(name)
"""


@pytest.fixture
def addresses() -> Iterator[list[str]]:
    """A port and the name of an abstract socket with somebody behind them."""
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as hidden:
        name = f"mixgrid-{os.getpid()}"
        hidden.bind(f"\0{name}")
        hidden.listen()
        yield [str(tcp.getsockname()[1]), name]


def holes(command: list[str]) -> str:
    done = subprocess.run(command, env={}, capture_output=True, text=True, cwd="/", stdin=subprocess.DEVNULL)
    return done.stdout + done.stderr


def test_bubblewrap_s_walls_hold_without_the_filter(addresses: list[str]) -> None:
    if bubblewrap() is None:
        pytest.skip("bubblewrap is missing, which other tests fail for where CI is set")
    assert holes(in_bubblewrap([*python()[:-1], LOOK_FOR_HOLES, *addresses])) == ""


def test_landlock_s_walls_hold_before_the_box_is_sealed(addresses: list[str]) -> None:
    before = (
        f"import sys; sys.path.append({str(Path(__file__).parents[2])!r})\n"
        "import socket, encodings.idna\n"
        "from mixgrid.sandbox.confine import confine\n"
        f"confine(landlock=True, readable={readable()!r})\n"
    )
    assert holes([*python()[:-1], before + LOOK_FOR_HOLES, *addresses]) == ""


def test_holes_are_found_where_there_are_no_walls(addresses: list[str]) -> None:
    harmless = LOOK_FOR_HOLES.replace("    try:", "    if name.startswith('remount'): continue\n    try:")
    found = holes([*python()[:-1], harmless, *addresses]).split("\n")
    assert {"read /etc", "list /var", "own environment", "write /tmp", "network", "abstract"} <= set(found)
    Path("/tmp/hole").unlink()
    Path("/dev/shm/hole").unlink(missing_ok=True)
    Path("/hole").unlink(missing_ok=True)
