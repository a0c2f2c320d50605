"""The grid on a Prefect server with PostgreSQL behind it, and that database killed in the middle."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_box import Box, wait_for
from cluster_study import grid, holder, states, study
from postgres_server import Postgres

pytestmark = [pytest.mark.server, pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A new database."""
    if not Postgres.installed():
        pytest.skip("needs the package postgresql")
    with Postgres() as postgres:
        yield postgres


def test_a_killed_database_costs_nothing_but_time(postgres: Postgres, tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    with Box(tmp_path / "box", database=postgres.url) as box:
        box.start_worker("gpu0")
        path, store = study(tmp_path, steps=1500), tmp_path / "store"
        process = grid(box, path, "--only", "dmt")
        key, _ = holder(store)
        postgres.kill()
        wait_for(lambda: list((store / "sft").glob("*/record.json")), "the step's end, without a database")
        time.sleep(5)
        postgres.start()
        assert process.wait(250) == 0, (box.folder / "grid.log").read_text()
        assert {states(runs)[-1] for runs in box.step_runs(store).values()} == {"COMPLETED"}
        assert len(box.step_runs(store)[key]) == 1
