"""A cluster whose parts may be killed: three machines, each with a network and a cache of its own, around one server,
one database and one store.

    with Cluster(folder, random.Random(0)) as cluster:
        grid = cluster.start_grid(study, "s3://bucket/study")
        cluster.kill_server(away_s=5); ...; cluster.supervise()      # call it often: what ended is started again

Machine `grid` runs the grid, `gpu0` and `gpu1` a worker each. What a machine sends to the server and the store goes
through proxies of its own, which lose, cut, slow down and refuse a little of it all the time, once `faults` is called.
"""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import psutil
from chaos_watch import now
from cluster_box import Box, free_port, kill
from fault_proxy import Proxy, seeded
from postgres_server import Postgres
from s3_server import S3Server

WORKERS = ("gpu0", "gpu1")
STORE_FAULTS = {
    "request": {"503": 0.02, "500": 0.01, "cut": 0.01, "slow": 0.03},
    "up": {"cut": 0.001},
    "down": {"cut": 0.002, "slow": 0.01},
}
SERVER_FAULTS = {"request": {"503": 0.01, "cut": 0.003, "slow": 0.02}, "down": {"cut": 0.001}}


class Machine:
    """Its environment leads to the server and the store through its own proxies."""

    def __init__(self, name: str, *, store: str, server: str, environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self.proxies = {"store": Proxy(store), "server": Proxy(server)}
        self.environment = {
            **environment,
            "CHAOS_MACHINE": name,
            "AWS_ENDPOINT_URL": self.proxies["store"].url,
            "PREFECT_API_URL": f"{self.proxies['server'].url}/api",
            "MIXGRID_CACHE": str(folder / f"cache-{name}"),
        }

    def faults(self, seed: str) -> None:
        """From now on a little goes wrong all the time."""
        for name, chances in (("store", STORE_FAULTS), ("server", SERVER_FAULTS)):
            self.proxies[name].choose = seeded(f"{seed} {self.name} {name}", **chances)

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        for proxy in self.proxies.values():
            proxy.choose = lambda _: ""
            proxy.mend()


class Cluster:
    """Everything is up once it is entered, and gone afterwards."""

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.folder, self.dice = folder, dice
        self.down: set[str] = set()
        """What was taken away and has not come back yet."""
        self.ended_by_themselves = Counter[str]()
        self._due: dict[str, float] = {}
        self._later: list[tuple[float, Callable[[], None]]] = []
        self._killed = set(WORKERS)  # they are started the first time
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.postgres = stack.enter_context(Postgres()) if Postgres.installed() else None
            self.s3 = S3Server(self.folder / "s3", port=free_port())
            stack.callback(lambda: self.s3.kill())
            database = self.postgres.url if self.postgres else None
            self.box = Box(self.folder, database=database)
            self.box.environment |= self.s3.environment  # for what is beside the three machines
            stack.enter_context(self.box)
            self.machines = {
                name: Machine(
                    name, store=self.s3.environment["AWS_ENDPOINT_URL"], server=self.box.api.removesuffix("/api"),
                    environment=self.s3.environment, folder=self.folder,
                )
                for name in ("grid", *WORKERS)
            }  # fmt: skip
            self.services: dict[str, tuple[Callable[[], bool], Callable[[], None]]] = {
                "server": (lambda: self._lives(self.box.server), lambda: self.box.start_server(wait=False)),
                **{name: (self._worker_lives(name), self._worker_starts(name)) for name in WORKERS},
            }
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def start_grid(self, study: Path, store: str, name: str) -> "subprocess.Popen[bytes]":
        """`mixgrid run` on the machine `grid`."""
        runtime = study.parent / "runtime.yaml"
        environment = self.machines["grid"].environment
        return self.box.grid(study, store, "--runtime", runtime, name=name, **environment)

    def supervise(self) -> None:
        """Do what is due; start again, after a moment, what has ended and is not held down."""
        for due, action in [entry for entry in self._later if entry[0] <= now()]:
            self._later.remove((due, action))
            action()
        for name, (lives, start) in self.services.items():
            if lives() or name in self.down:
                self._due.pop(name, None)
            elif now() > self._due.setdefault(name, now() + self.dice.uniform(0, 3)):
                self.ended_by_themselves[name] += name not in self._killed
                self._killed.discard(name)
                del self._due[name]
                start()

    def away(self, part: str, seconds: float, back: Callable[[], None]) -> None:
        """Hold a part down for so long."""
        self.down.add(part)

        def again() -> None:
            back()
            self.down.discard(part)

        self._later.append((now() + seconds, again))

    def kill_server(self, away_s: float) -> None:
        """kill -9; started again once the time is over."""
        self._killed.add("server")
        self.box.kill_server()
        self.away("server", away_s, lambda: None)

    def kill_database(self, away_s: float) -> None:
        """kill -9 of PostgreSQL."""
        assert self.postgres
        self.postgres.kill()
        self.away("database", away_s, self.postgres.start)

    def kill_store(self, away_s: float) -> None:
        """kill -9 of the S3 server; what it had written is on its disk."""
        self.s3.kill()
        self.away("store", away_s, self.s3.start)

    def cut_network(self, machine: str, to: tuple[str, ...], away_s: float, *, silent: bool) -> None:
        """One machine reaches the store, the server or both no more, and hears why or (`silent`) nothing at all."""
        proxies = [self.machines[machine].proxies[name] for name in to]
        for proxy in proxies:
            proxy.cut(silent=silent)
        self.away(f"network of {machine}", away_s, lambda: [proxy.mend() for proxy in proxies] and None)

    def kill_worker(self, name: str) -> None:
        """kill -9 of the worker alone."""
        self._killed.add(name)
        if name in self.box.workers:
            self.box.kill_worker(name)

    def kill_machine(self, name: str, away_s: float) -> None:
        """kill -9 of all that runs there, at once."""
        self._killed.add(name)
        for process in self.box.processes():
            if machine_of(process.pid) == name:
                kill(process.pid)
        self.away(name, away_s, lambda: None)

    def call(self, *arguments: Any) -> bytes:
        """What `mixgrid ARGUMENTS` prints, beside all that goes wrong."""
        command = [sys.executable, "-m", "flows.command_line", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, check=True, env=self.box.environment).stdout

    @staticmethod
    def _lives(process: "subprocess.Popen[bytes] | None") -> bool:
        return process is not None and process.poll() is None

    def _worker_lives(self, name: str) -> Callable[[], bool]:
        return lambda: self._lives(self.box.workers.get(name))

    def _worker_starts(self, name: str) -> Callable[[], None]:
        return lambda: self.box.start_worker(name, **self.machines[name].environment)


def machine_of(pid: int) -> str | None:
    """The machine that a process runs on."""
    try:
        return psutil.Process(pid).environ().get("CHAOS_MACHINE")
    except psutil.Error:
        return None
