"""The whole demo on a cluster in a box (PostgreSQL, Prefect server, S3 store with keys, two workers) as it is inline.

Bases and stages go through the workers, where a step costs the start of two Python processes (5 CPU seconds). The 564
answers, of a moment each, are made by the grid's own process.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_box import Box, free_port
from postgres_server import Postgres
from s3_server import S3Server

pytestmark = [pytest.mark.server, pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(3600)]
STORE = f"{S3Server.url}/demo"
MIXGRID = (sys.executable, "-m", "flows.command_line")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A server on PostgreSQL and two workers, whose store is a bucket."""
    if not Postgres.installed():
        pytest.fail("PostgreSQL is missing: apt-get install postgresql")
    s3 = S3Server(tmp_path / "s3", port=free_port())
    (tmp_path / "box").mkdir()
    try:
        with Postgres() as postgres:
            box = Box(tmp_path / "box", database=postgres.url)
            box.environment |= {**s3.environment, "MIXGRID_CACHE": str(tmp_path / "cache"), "MIXGRID_STORE": STORE}
            with box:
                for name in ("gpu0", "gpu1"):
                    box.start_worker(name)
                yield box
    finally:
        s3.kill()


def files(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file that a record names, but for the page, which has times."""
    return {
        f"{path.parent.parent.name}/{path.parent.name}/{name}": entry["sha256"]
        for path in folder.glob("*/*/record.json")
        for name, entry in json.loads(path.read_text())["files"].items()
        if name != "report.html"
    }


def test_the_demo_through_workers_and_a_bucket_equals_the_inline_run_byte_for_byte(box: Box, tmp_path: Path) -> None:
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    alone |= {"PREFECT_HOME": str(tmp_path / "prefect"), "PYTHONPATH": box.environment["PYTHONPATH"]}
    inline = tmp_path / "inline"
    subprocess.run([*MIXGRID, "run", "demo", "--store", inline, "--workers", "2"], env=alone, cwd=tmp_path, check=True)
    route = ("--route", "base=gpu,sft=gpu", "--workers", "1")
    grid = box.start("grid", *MIXGRID, "run", "demo", "--store", STORE, *route)
    assert grid.wait() == 0, (box.folder / "grid.log").read_text()
    there = tmp_path / "s3" / "bucket" / "demo"
    assert files(there) == files(inline)
    results = (*MIXGRID, "results", "demo", "--format", "json", "--store")
    printed = [subprocess.check_output([*results, store], env=box.environment) for store in (STORE, inline)]
    assert printed[0] == printed[1]
    runs = box.step_runs(STORE)  # type: ignore[arg-type]
    keys = {json.loads(p.read_text())["key"] for kind in ("base", "sft") for p in there.glob(f"{kind}/*/record.json")}
    assert {key: [run["state_type"] for run in of_key] for key, of_key in runs.items()} == {
        key: ["COMPLETED"] for key in keys
    }
    assert not list(there.glob("leases/*"))
