"""Killed at any moment: nothing half-made looks finished, nobody stays behind, and the end is the same to the byte."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.server
Mixgrid = Callable[..., "subprocess.CompletedProcess[str]"]


@contextmanager
def started(folder: Path, **environment: str) -> Iterator["subprocess.Popen[str]"]:
    """A run in a process of its own, whose standard error goes to `folder/stderr`."""
    command = [sys.executable, "-m", "flows.command_line", "run", folder / "tiny.yaml", "--store", folder / "store"]
    variables = {k: v for k, v in os.environ.items() if k != "PREFECT_API_URL"} | environment
    with (folder / "stderr").open("w") as log:
        process = subprocess.Popen([*map(str, command), "--workers", "1"], stderr=log, text=True, env=variables)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def wait_for(pattern: str, folder: Path, process: "subprocess.Popen[str]", count: int = 1) -> None:
    deadline = time.monotonic() + 90
    while len(list((folder / "store").glob(pattern))) < count:
        assert time.monotonic() < deadline
        assert process.poll() is None, (folder / "stderr").read_text()
        time.sleep(0.01)


def children(pid: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def gone(pids: list[int]) -> bool:
    for _ in range(100):
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return True
        time.sleep(0.1)
    return False


def contents(store: Path) -> dict[str, str]:
    """The SHA-256 of all that a record names, by artifact and file; times and hosts left out."""
    found = {}
    for path in store.glob("*/*/record.json"):
        record = json.loads(path.read_text())
        for name, entry in record["files"].items():
            if name not in ("report.html",):
                found[f"{path.parent.name}/{name}"] = entry["sha256"]
    return found


def test_kill_9_at_three_moments_ends_as_an_undisturbed_run(
    server: str, mixgrid: Mixgrid, tiny_text: str, tmp_path: Path
) -> None:
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tiny.yaml").write_text(tiny_text)
    calm, killed = tmp_path / "calm", tmp_path / "killed"
    done = mixgrid("run", calm / "tiny.yaml", "--store", calm / "store", PREFECT_API_URL=server)
    assert done.returncode == 0, done.stderr
    for moment, count in (("base/*/attempt-*", 1), ("sft/*/attempt-*", 2), ("answer/*/record.json", 3)):
        with started(killed, PREFECT_API_URL=server) as process:
            wait_for(moment, killed, process, count)
            workers = children(process.pid)
            process.kill()
            process.wait()
            assert gone(workers)
    done = mixgrid("run", killed / "tiny.yaml", "--store", killed / "store", PREFECT_API_URL=server)
    assert done.returncode == 0, done.stderr
    assert contents(killed / "store") == contents(calm / "store")


def test_ctrl_c_ends_the_run_and_its_workers_and_says_how_to_go_on(server: str, tiny: Path) -> None:
    with started(tiny.parent, PREFECT_API_URL=server) as process:
        wait_for("sft/*/record.json", tiny.parent, process)
        workers = children(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130
        assert gone(workers)
    stderr = (tiny.parent / "stderr").read_text()
    assert "run again to go on" in stderr
    assert "Traceback" not in stderr


def test_a_killed_worker_process_costs_its_step_a_second_try_and_no_more(server: str, tiny: Path) -> None:
    with started(tiny.parent, PREFECT_API_URL=server) as process:
        wait_for("tokenizer/*/attempt-*", tiny.parent, process)
        for worker in children(process.pid):
            os.kill(worker, signal.SIGKILL)
        assert process.wait(120) == 0, (tiny.parent / "stderr").read_text()


def test_an_embedded_server_leaves_with_its_killed_parent(tiny: Path, prefect_home: Path) -> None:  # noqa: ARG001
    with started(tiny.parent) as process:
        wait_for("download/*/record.json", tiny.parent, process)
        family = children(process.pid)
        assert len(family) >= 2  # the server and a worker
        process.kill()
        process.wait()
        assert gone(family)
