"""Many small steps through a Prefect server: what a step costs beside its work, memory, the second run.

    python tests/bench/steps.py --again 500 --steps 2000 --database postgres

Studies of one tiny model and as many seeds as it takes, 6 optimiser steps a stage, one worker process. Overhead is the
run's time without what the records say their making took, a step. The one of `--again` steps is run again once it is
finished, through this server and with one of its own. Status 1 when a run fails, or "database is locked" is logged.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil

sys.path.insert(0, str(Path(__file__).parent.parent / "box"))
from cluster_box import Box
from cluster_study import STUDY
from postgres_server import Postgres

LOCKED = "database is locked"
STEPS_A_SEED = 25


def main() -> int:
    """A study four times, and one of many steps once."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--steps", type=int, default=2000, help="steps of the study that is run once; 0 for none")
    options.add_argument("--again", type=int, default=500, help="steps of the study that is run again")
    options.add_argument("--database", choices=("sqlite", "postgres"), default="sqlite")
    given = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mixgrid-steps-")))
        database = stack.enter_context(Postgres()).url if given.database == "postgres" else None
        box = stack.enter_context(Box(folder, database=database))
        print(f"a Prefect server with {given.database}", flush=True)
        runs = [Run(box, "few", given.again).once("through the server").once("again, through the server")]
        for how in ("again, with a server of its own and a new database", "again, with a server of its own"):
            runs[0].once(how, own=True)
        if given.steps:
            runs.append(Run(box, "many", given.steps).once("through the server"))
        locked = (folder / "server.log").read_text(errors="replace").count(LOCKED)
    print(f'"{LOCKED}": {locked} times in the server\'s log')
    return 1 if locked or any(run.failed for run in runs) else 0


class Run:
    """One study in one store, run as often as wanted."""

    def __init__(self, box: Box, name: str, steps: int) -> None:
        self.box, self.name, self.store, self.failed = box, name, box.folder / f"{name}-store", False
        self.study = box.folder / f"{name}.yaml"
        seeds = list(range(max(1, round(steps / STEPS_A_SEED))))
        self.study.write_text(STUDY.replace("STEPS", "6").replace("name: small", f"name: {name}") + f"seeds: {seeds}\n")

    def once(self, how: str, *, own: bool = False) -> "Run":
        """Run it to its end; prints what was seen."""
        there, began = self._seconds(), time.monotonic()
        with (self.box.folder / f"{self.name}.log").open("ab") as log:
            grid = subprocess.Popen(self._command(), stdout=log, stderr=log, env=self._environment(own=own))
            watched = {"grid": psutil.Process(grid.pid)} | (
                {} if own else {"server": psutil.Process(self.box.server.pid)}
            )
            most = dict.fromkeys(watched, 0)
            while grid.poll() is None:
                for name, process in watched.items():
                    most[name] = max(most[name], _memory(process, children=name == "server"))
                time.sleep(0.2)
        took, now = time.monotonic() - began, self._seconds()
        self.failed |= grid.returncode != 0
        worked = sum(now) - sum(there)
        print(
            f"{len(now)} steps {how}: {took:.1f} s, {worked:.1f} s of it at work, "
            f"{1000 * (took - worked) / len(now):.0f} ms a step beside it; most memory: "
            + ", ".join(f"{name} {size / 2**20:.0f} MiB" for name, size in most.items()),
            flush=True,
        )
        if self.failed:
            print((self.box.folder / f"{self.name}.log").read_text()[-3000:])
        return self

    def _command(self) -> list[str]:
        command = (sys.executable, "-m", "flows.command_line", "run", self.study, "--store", self.store)
        return [*map(str, command), "--workers", "1"]

    def _environment(self, *, own: bool) -> dict[str, str]:
        if not own:
            return self.box.environment
        kept = {name: value for name, value in self.box.environment.items() if not name.startswith("PREFECT_")}
        return {**kept, "PREFECT_HOME": str(self.box.folder / "own")}

    def _seconds(self) -> list[float]:
        """How long the making of each step took, by its record."""
        return [json.loads(p.read_text())["provenance"]["seconds"] for p in self.store.glob("*/*/record.json")]


def _memory(process: psutil.Process, *, children: bool) -> int:
    """Resident bytes, which of a server that starts the application as a child are both."""
    with suppress(psutil.Error):
        return sum(p.memory_info().rss for p in (process, *(process.children(recursive=True) if children else ())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
