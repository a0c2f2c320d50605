"""The grid on a Prefect server with PostgreSQL behind it, and that database killed in the middle."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster_box import Box, free_port, kill, wait_for
from cluster_study import grid, holder, states, study

pytestmark = [pytest.mark.server, pytest.mark.cluster, pytest.mark.slow]
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Postgres:
    """A database server of its own user (it refuses root), that may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._run("initdb", "-D", folder / "data", "-U", "prefect", "--auth=trust", "--no-sync")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "prefect", "prefect")

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://prefect@127.0.0.1:{self.port}/prefect"

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def kill(self) -> None:
        """kill -9 of the postmaster; its backends notice and go."""
        kill(int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0]))

    def _run(self, program: str, *arguments: object) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_user, str(PROGRAMS[-1] / program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    """A new database in a folder that its user may enter."""
    if not PROGRAMS:
        pytest.skip("needs the package postgresql")
    folder = Path(f"/tmp/mixgrid-postgres-{os.getpid()}")
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    postgres = Postgres(folder)
    yield postgres
    postgres.kill()
    shutil.rmtree(folder, ignore_errors=True)


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
