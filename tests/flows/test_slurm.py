"""Steps through SLURM: a real controller and node with two GPUs that do not exist, from Debian's packages."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_box import ROOT, Box, kill, wait_for
from cluster_study import grid, holder, states, study

pytestmark = [pytest.mark.server, pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a cluster of one node, started by the script that the documentation names."""
    if shutil.which("slurmctld") is None or os.geteuid() != 0:
        pytest.skip("needs slurmctld, slurmd, slurm-client and munge, and root")
    folder = tmp_path_factory.mktemp("slurm")
    subprocess.run(["sh", ROOT / "deployments/slurm/one-node.sh", folder], check=True, capture_output=True)
    yield folder
    for name in ("slurmd", "slurmctld"):
        kill(int((folder / f"{name}.pid").read_text()))


@pytest.fixture
def box(slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.setenv("SLURM_CONF", str(slurm / "slurm.conf"))
    (tmp_path / "box").mkdir()
    with Box(tmp_path / "box", pools="deployments/slurm/pools.yaml") as box:
        box.start_worker("slurm", limit=8)
        yield box


def jobs(box: Box, *options: str) -> list[str]:
    """What SLURM's queue shows, a line a job."""
    done = subprocess.run(["squeue", "-h", *options], env=box.environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_steps_go_through_slurm_two_at_a_time_and_a_job_that_somebody_ends_is_made_again(
    box: Box, tmp_path: Path
) -> None:
    path, store = study(tmp_path, steps=2000), tmp_path / "store"
    process = grid(box, path)
    holder(store)
    wait_for(lambda: len(jobs(box, "-t", "PENDING")) >= 1, "a step that waits for a GPU")
    running = jobs(box, "-t", "RUNNING", "-o", "%i %b")
    assert len(running) == 2
    assert all(line.endswith("gpu:1") for line in running)
    subprocess.run(["scancel", "--signal=KILL", running[0].split()[0]], env=box.environment, check=True)
    assert process.wait(300) == 0, (box.folder / "grid.log").read_text()
    runs = box.step_runs(store)
    assert len(runs) == 5
    assert sorted(states(of_key) for of_key in runs.values())[-1] == ["CRASHED", "COMPLETED"]
    assert all(states(of_key)[-1] == "COMPLETED" for of_key in runs.values())


def test_a_cancelled_grid_takes_its_jobs_out_of_slurms_queue(box: Box, tmp_path: Path) -> None:
    import signal

    path, store = study(tmp_path, steps=20000), tmp_path / "store"
    process = grid(box, path)
    holder(store)
    wait_for(lambda: len(jobs(box)) >= 3, "three jobs")
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130
    wait_for(lambda: not jobs(box), "an empty queue", 60)
