"""Kill a stage's training with -9 at random steps, let another process finish it, compare every byte.

    python tests/bench/kill_training.py demo --cell lab.small:rq2:1:0 --store runs --kills 20
        kill  1: after step 134, resumed after step 120, files equal: True
        ...
        20 kills, 20 byte-identical ends

`--store` holds an undisturbed run. Each kill has a store of its own with copies of the stage's inputs. Status 1 unless
all ends are identical.
"""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mixgrid.cells import Selection
from mixgrid.execute import WorkOrder
from mixgrid.lock import read_lock
from mixgrid.plan import make_plan
from mixgrid.runtime import Interval, StudyRuntime, TrainingRuntime
from mixgrid.step import Step
from mixgrid.store import Store
from mixgrid.study_file import load_study

EVERY_STEPS = 20
WORKER = """
import sys, mixgrid.worker as worker, mixgrid.training.loop as loop
loop.REPORT_EVERY_S = worker.PROGRESS_EVERY_S = 0.0
worker.main(sys.argv[1])
"""
"""The worker as it is, but it reports every step."""


def main() -> int:
    """Kill, resume, compare."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("study")
    options.add_argument("--cell", default="lab.small:rq2:1:0")
    options.add_argument("--store", default="runs")
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--seed", type=int, default=0)
    given = options.parse_args()
    calm = Store(given.store)
    step, steps = _stage(given.study, given.cell, calm)
    moments = random.Random(given.seed)
    identical = 0
    for number in range(1, given.kills + 1):
        with tempfile.TemporaryDirectory(prefix="mixgrid-kill-") as folder:
            for parent in step.parents():
                shutil.copytree(Path(calm.root) / parent.folder, Path(folder) / parent.folder)
            killed_after = _work(step, Store(folder), kill_after=moments.randrange(1, steps))[1]
            resumed_after, _ = _work(step, Store(folder))
            equal = _files(step, Store(folder)) == _files(step, calm)
        identical += equal
        print(
            f"kill {number:2}: after step {killed_after}, resumed after step {resumed_after}, files equal: {equal}",
            flush=True,
        )
    print(f"{given.kills} kills, {identical} byte-identical ends")
    return 0 if identical == given.kills else 1


def _stage(study: str, cell: str, store: Store) -> tuple[Step, int]:
    """The last stage of a cell, and how many steps it has."""
    file = load_study(study)
    runtime = StudyRuntime(training=TrainingRuntime(snapshot_every=Interval(steps=EVERY_STEPS)))
    plan = make_plan(file.study, selection=Selection(), lock=read_lock(file, store), store=store, runtime=runtime)
    step = plan.chains[cell][-1]
    record = store.find(step)
    if record is None:
        sys.exit(f"{store.url} has no checkpoint of {cell}; run the study first")
    return step, int(record.ledger["steps"])


def _work(step: Step, store: Store, *, kill_after: int | None = None) -> tuple[int, int]:
    """Have a worker process make the step; the step it resumed after (0: from the start) and the last it reported."""
    command = [sys.executable, "-c", WORKER, store.url]
    # one thread, as a run's own workers have: another number of them sums in another order
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    worker = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write(WorkOrder.of(step).model_dump_json() + "\n")
    worker.stdin.flush()
    resumed = done = 0
    for line in worker.stdout:
        if found := re.search(r"snapshot after step (\d+)", line):
            resumed = int(found.group(1))
        if found := re.search(r"step (\d+)/", line):
            done = int(found.group(1))
        if '"record"' in line or (kill_after is not None and done >= kill_after):
            break
    worker.kill()
    worker.communicate()
    return resumed, done


def _files(step: Step, store: Store) -> dict[str, str] | None:
    record = store.find(step)
    return None if record is None else {name: entry.sha256 for name, entry in record.files.items()}


if __name__ == "__main__":
    sys.exit(main())
