"""The demo study, started as a person starts it: in a browser, with the form of the deployment `mixgrid/grid`."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from cluster_box import Box, wait_for
from grid_form import fill_form, submit
from postgres_server import Postgres

pytestmark = [pytest.mark.server, pytest.mark.cluster, pytest.mark.slow]
PART = ("--only", "dmt", "--models", "lab.small", "--seeds", "0")


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    """A server with a worker on each pool; on SQLite it refuses a form now and then: "database is locked"."""
    if not Postgres.installed():
        pytest.fail("PostgreSQL is missing: `make packages-cluster` installs it")
    (tmp_path / "box").mkdir()
    with Postgres() as postgres, Box(tmp_path / "box", database=postgres.url) as box:
        box.start_worker("grids", pool="cpu")
        box.start_worker("gpu0")
        yield box


@pytest.fixture
def browser(chromium: str, tmp_path: Path) -> Iterator[Browser]:
    with Browser(tmp_path, program=chromium) as browser:
        yield browser


@pytest.mark.timeout(900)
def test_a_person_starts_the_demo_by_its_form_and_its_scores_arrive(box: Box, browser: Browser, mixgrid: Any) -> None:
    part = {"study": "demo", "only": ["dmt"], "models": ["lab.small"], "seeds": [0]}
    fill_form(browser, box, {**part, "answer": ""})  # the grid makes the answers itself
    grid = submit(browser, box)
    wait_for(lambda: box.state(grid) in ("COMPLETED", "FAILED", "CRASHED"), "the grid's end", 800)
    assert box.state(grid) == "COMPLETED", (box.folder / "grids.log").read_text()
    browser.wait_for("Completed")
    assert {"mixgrid", "demo"} <= set(browser.text().splitlines()), browser.text()
    found = mixgrid("results", "demo", "--store", box.folder / "store", *PART, "--format", "json")
    rows = json.loads(found.stdout)["rows"]
    # k = 1, 1/2, 1/8, 1/64 share their first stage; the base is a row of its own: 5 checkpoints, 6 benchmarks each
    assert Counter(row["strategy"] for row in rows) == {"base": 6, "dmt": 24}
    kinds = Counter(runs[0]["parameters"]["order"]["kind"] for runs in box.step_runs(box.folder / "store").values())
    assert kinds == {"base": 1, "sft": 5, "represent": 2}  # the states of the base and of DMT at 1/64
