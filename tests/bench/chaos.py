"""Chaos: random parts of a cluster in a box are killed at random moments, until every study has ended all the same.

    python tests/bench/chaos.py --kills 50 --seed 0

A study of five routed steps runs again and again, each time into a store of its own, while the grid, a worker, a step,
its worker process, a whole machine or the server is killed with -9 and started again. Status 1 unless all results and
files equal an undisturbed run's to the byte, and no two processes ever worked on one step.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "box"))
from cluster_box import Box, kill, leases
from cluster_study import RUNTIME, STUDY

PARTS = ("grid", "worker", "step", "process", "machine", "server")
WORKERS = ("gpu0", "gpu1")


def main() -> int:
    """One calm run, then studies under fire until all kills are spent."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=50)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--steps", type=int, default=1500, help="optimiser steps a stage")
    given = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="mixgrid-chaos-"))
    study = folder / "small.yaml"
    study.write_text(STUDY.replace("STEPS", str(given.steps)))
    (folder / "runtime.yaml").write_text(RUNTIME.replace("tries: 2", "tries: 50"))
    with Box(folder) as box:
        calm = folder / "calm"
        if box.grid(study, calm, name="calm").wait() != 0:
            raise SystemExit((folder / "calm.log").read_text())
        chaos = Chaos(box, study, random.Random(given.seed))
        while chaos.killed < given.kills:
            chaos.run(folder / f"store{chaos.studies}", calm, kills=given.kills)
    print(
        f"{chaos.killed} kills in {chaos.studies} studies, seed {given.seed}: {chaos.different} studies differ, "
        f"{len(chaos.twice)} steps were worked on twice at once; recovery took {_spread(chaos.recoveries)}"
    )
    return 1 if chaos.different or chaos.twice else 0


class Chaos:
    """What was killed, and what came of it."""

    def __init__(self, box: Box, study: Path, dice: random.Random) -> None:
        self.box, self.study, self.dice = box, study, dice
        self.killed = self.studies = self.different = 0
        self.recoveries: dict[str, list[float]] = defaultdict(list)
        self.twice: set[str] = set()

    def run(self, store: Path, calm: Path, *, kills: int) -> None:
        """One study to its end; every few seconds something dies."""
        self.studies += 1
        over = threading.Event()
        watcher = threading.Thread(target=self._watch, args=(store, over), daemon=True)
        watcher.start()
        grid = self._grid(store)
        due: dict[str, float] = {}
        next_kill = time.monotonic() + self.dice.uniform(8, 15)
        pending: list[tuple[str, float, int]] = []
        while grid.poll() != 0:
            if grid.poll() is not None:
                if grid.returncode > 0:
                    raise SystemExit((self.box.folder / "grid.log").read_text()[-5000:])
                grid = self._grid(store)
            for name in WORKERS:
                gone = name not in self.box.workers or self.box.workers[name].poll() is not None
                if gone and time.monotonic() > due.setdefault(name, time.monotonic() + self.dice.uniform(0, 4)):
                    del due[name]
                    self.box.start_worker(name)
            pending = [entry for entry in pending if not self._recovered(store, *entry)]
            if time.monotonic() > next_kill and self.killed < kills:
                if part := self._kill(store, grid):
                    pending.append((part, time.monotonic(), _made(store)))
                next_kill = time.monotonic() + self.dice.uniform(2, 12)
            time.sleep(0.1)
        over.set()
        watcher.join()
        self.different += (_results(self.study, store), _files(store)) != (_results(self.study, calm), _files(calm))
        print(f"study {self.studies} ended after {self.killed} kills; {self.different} differ", flush=True)

    def _grid(self, store: Path) -> "subprocess.Popen[bytes]":
        return self.box.grid(self.study, store, "--runtime", self.study.parent / "runtime.yaml")

    def _kill(self, store: Path, grid: "subprocess.Popen[bytes]") -> str | None:
        part = self.dice.choice(PARTS)
        holder = self.dice.choice(sorted(leases(store).values(), key=lambda told: told["pid"]) or [None])
        worker = self.dice.choice(sorted(self.box.workers) or [None])
        if (part in ("step", "process", "machine") and not holder) or (part in ("worker", "machine") and not worker):
            return None
        if part == "grid":
            grid.kill()
            grid.wait()
        elif part == "server":
            self.box.kill_server()
            time.sleep(self.dice.uniform(0, 10))
            self.box.start_server()
        elif part == "process":
            _kill_children(holder["pid"])
        else:
            if part in ("worker", "machine"):
                for name in WORKERS if part == "machine" else (worker,):
                    if name in self.box.workers:
                        self.box.kill_worker(name)
            if part in ("step", "machine"):
                kill(holder["pid"])
        self.killed += 1
        print(f"  {self.killed}: {part}", flush=True)
        return part

    def _recovered(self, store: Path, part: str, when: float, made: int) -> bool:
        if _made(store) <= made:
            return False
        self.recoveries[part].append(time.monotonic() - when)
        return True

    def _watch(self, store: Path, over: threading.Event) -> None:
        """Notice two runs of one step that both have a worker process."""
        while not over.wait(0.3):
            runs: dict[str, set[str]] = defaultdict(set)
            for process in psutil.process_iter():
                try:
                    if process.cmdline()[1:4] == ["-m", "mixgrid.worker", str(store)]:
                        run = process.environ().get("PREFECT__FLOW_RUN_ID")
                        runs[_folder_at_work(process)].add(run or f"grid {process.ppid()}")
                except psutil.Error:
                    continue
            self.twice |= {folder for folder, of in runs.items() if folder and len(of) > 1}


def _folder_at_work(process: psutil.Process) -> str:
    """The step whose lock file the process holds open."""
    return next((f.path for f in process.open_files() if f.path.endswith("/.lock")), "")


def _kill_children(pid: int) -> None:
    try:
        for child in psutil.Process(pid).children():
            kill(child.pid)
    except psutil.NoSuchProcess:
        return


def _made(store: Path) -> int:
    return len(list(store.glob("*/*/record.json")))


def _results(study: Path, store: Path) -> bytes:
    command = [sys.executable, "-m", "flows.command_line", "results", study, "--store", store, "--format", "json"]
    return subprocess.run([*map(str, command)], capture_output=True, check=True).stdout


def _files(store: Path) -> dict[str, str]:
    """The SHA-256 of every file that a record names, but for the page, which has times."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}/{name}": entry["sha256"]
        for path in store.glob("*/*/record.json")
        for name, entry in json.loads(path.read_text())["files"].items()
        if name != "report.html"
    }


def _spread(recoveries: dict[str, list[float]]) -> str:
    parts = (f"{part} {min(of):.0f} to {max(of):.0f} s" for part, of in sorted(recoveries.items()))
    return ", ".join(parts) or "no time"


if __name__ == "__main__":
    sys.exit(main())
