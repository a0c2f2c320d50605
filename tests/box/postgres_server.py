"""A PostgreSQL server of its own on the loopback, that may be killed and started again.

with Postgres() as postgres:
    Box(folder, database=postgres.url); postgres.kill(); postgres.start()
"""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Self

import psutil
from cluster_box import free_port, kill

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


class Postgres:
    """In a folder of its own user: the server refuses root."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mixgrid-postgres-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "postgres")
        self.port = free_port()
        self._run("initdb", "-D", self.folder / "data", "-U", "prefect", "--auth=trust", "--no-sync")
        self.start()
        self._run("createdb", "-h", "127.0.0.1", "-p", self.port, "-U", "prefect", "prefect")

    @staticmethod
    def installed() -> bool:
        """Whether Debian's package postgresql is there."""
        return bool(PROGRAMS)

    @property
    def url(self) -> str:
        """For PREFECT_SERVER_DATABASE_CONNECTION_URL."""
        return f"postgresql+asyncpg://prefect@127.0.0.1:{self.port}/prefect"

    def start(self) -> None:
        """Start it on the same port and data as before; returns once it takes connections."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder}"
        self._run("pg_ctl", "-D", self.folder / "data", "-w", "-l", self.folder / "log", "-o", options, "start")

    def kill(self) -> None:
        """kill -9 of the postmaster and, so that another may start at once, of its backends."""
        try:
            postmaster = int((self.folder / "data" / "postmaster.pid").read_text().splitlines()[0])
            processes = [*psutil.Process(postmaster).children(), psutil.Process(postmaster)]
        except (FileNotFoundError, psutil.NoSuchProcess):
            return
        for process in reversed(processes):
            kill(process.pid)
        psutil.wait_procs(processes, timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, program: str, *arguments: object) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        command = [*as_user, str(PROGRAMS[-1] / program), *map(str, arguments)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
