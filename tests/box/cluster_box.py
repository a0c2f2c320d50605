"""A cluster in a box: a Prefect server, its work pools and deployments, and workers, as processes on the loopback.

with Box(folder) as box:
    box.start_worker("gpu0"); grid = box.grid("tiny.yaml", "store", "--route", "sft=gpu"); grid.wait()
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil

ROOT = Path(__file__).parent.parent.parent
BIN = Path(sys.executable).parent


class Box:
    """Every process it started, or that these started, carries its folder in PREFECT_HOME, and ends with it."""

    def __init__(self, folder: Path, *, database: str | None = None, pools: str = "deployments/pools.yaml") -> None:
        self.folder = folder
        self.pools = pools
        self.port = free_port()
        self.ui = f"http://127.0.0.1:{self.port}"
        self.api = f"{self.ui}/api"
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MIXGRID_STORE"))},
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": self.api,
            "PREFECT_CLIENT_MAX_RETRIES": "9",
            "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_CLI_PROMPT": "false",
            "PYTHONPATH": str(ROOT),
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "MIXGRID_STORE": str(folder / "store"),
        }
        if database:
            self.environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] = database
        self._started: list[subprocess.Popen[bytes]] = []
        self.server: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Box":
        self.start_server()
        self.call(sys.executable, "-m", "flows.work_pools", self.pools)
        self.call(BIN / "prefect", "deploy", "--all", "--prefect-file", "deployments/prefect.yaml", "--no-prompt")
        return self

    def __exit__(self, *_: object) -> None:
        processes = self.processes()
        for process in processes:
            process.kill()
        for started in self._started:
            started.wait()

    def call(self, *command: object) -> None:
        """Run a command to its end, as a user would from the repository's root."""
        subprocess.run([*map(str, command)], cwd=ROOT, env=self.environment, check=True, capture_output=True)

    def start(self, name: str, *command: object, **environment: str) -> "subprocess.Popen[bytes]":
        """Start a process; what it prints goes to `<name>.log` in the box's folder."""
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*map(str, command)], stdout=log, stderr=log, cwd=self.folder, env=self.environment | environment
            )
        self._started.append(process)
        return process

    def start_server(self, *, wait: bool = True) -> None:
        """Start the server, on the same port and database as before; returns once it answers."""
        command = (BIN / "prefect", "server", "start", "--host", "127.0.0.1", "--port", self.port)
        self.server = self.start("server", *command)
        if wait:
            wait_for(self.answers, f"the server at {self.api}", 120)

    def answers(self) -> bool:
        """Whether the server does, now."""
        try:
            return httpx.get(f"{self.api}/health", timeout=2).status_code == 200
        except httpx.HTTPError:
            return False

    def kill_server(self) -> None:
        """kill -9; `prefect server start` runs the application in a child of its own."""
        assert self.server
        if self.server.poll() is None:
            for process in [*psutil.Process(self.server.pid).children(recursive=True), self.server]:
                process.kill()
        self.server.wait()

    def start_worker(self, name: str, pool: str = "gpu", limit: int = 1, **environment: str) -> None:
        """Start a worker for `limit` runs at a time; they have its environment."""
        command = (BIN / "prefect", "worker", "start", "--pool", pool, "--name", name, "--limit", limit)
        self.workers[name] = self.start(name, *command, **environment)

    def kill_worker(self, name: str) -> None:
        """kill -9 of the worker alone; the step that it runs is an orphan from now on."""
        self.workers[name].kill()
        self.workers.pop(name).wait()

    def grid(
        self, study: Path, store: Path | str, *options: object, name: str = "grid", **environment: str
    ) -> "subprocess.Popen[bytes]":
        """`mixgrid run` in a process of its own."""
        command = (sys.executable, "-m", "flows.command_line", "run", study, "--store", store, "--workers", "1")
        return self.start(name, *command, *options, **environment)

    def artifacts(self, kind: str) -> list[dict[str, Any]]:
        """The artifacts of one type, newest first."""
        body = {"artifacts": {"type": {"any_": [kind]}}, "sort": "CREATED_DESC", "limit": 200}
        return list(httpx.post(f"{self.api}/artifacts/filter", json=body, timeout=30).json())

    def start_grid(self, parameters: dict[str, Any]) -> str:
        """Start the deployment `mixgrid/grid`, as the UI does; returns the flow run's id."""
        deployment = httpx.get(f"{self.api}/deployments/name/mixgrid/grid").json()["id"]
        run = httpx.post(f"{self.api}/deployments/{deployment}/create_flow_run", json={"parameters": parameters})
        return str(run.raise_for_status().json()["id"])

    def grid_runs(self) -> list[dict[str, Any]]:
        """The runs of the grid flow, newest first."""
        body = {"flows": {"name": {"any_": ["mixgrid"]}}, "sort": "EXPECTED_START_TIME_DESC"}
        return list(httpx.post(f"{self.api}/flow_runs/filter", json=body, timeout=30).json())

    def state(self, flow_run: str) -> str:
        """The type of a run's state."""
        return str(httpx.get(f"{self.api}/flow_runs/{flow_run}", timeout=30).json()["state_type"])

    def set_state(self, flow_run: str, state: str) -> None:
        """As the UI's buttons do."""
        httpx.post(f"{self.api}/flow_runs/{flow_run}/set_state", json={"state": {"type": state}}).raise_for_status()

    def processes(self) -> list[psutil.Process]:
        """All living processes of the box, by the PREFECT_HOME in their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if (
                    process.environ().get("PREFECT_HOME") == self.environment["PREFECT_HOME"]
                    and process.pid != os.getpid()
                ):
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def step_runs(self, store: Path | str) -> dict[str, list[dict[str, Any]]]:
        """The runs of the step flow that wrote to a store, by the step's key, in the order of their generations."""
        runs: dict[str, list[dict[str, Any]]] = defaultdict(list)
        body = {"flows": {"name": {"any_": ["step"]}}, "limit": 200, "sort": "EXPECTED_START_TIME_ASC"}
        for run in httpx.post(f"{self.api}/flow_runs/filter", json=body, timeout=30).json():
            if run["parameters"]["store"] == str(store):
                runs[run["parameters"]["order"]["key"]].append(run)
        return runs


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def leases(store: Path) -> dict[str, dict[str, Any]]:
    """The leases in a local store, by key."""
    found = {}
    for path in (store / "leases").glob("*.json"):
        try:
            found[path.stem] = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
    return found


def kill(pid: int) -> None:
    """kill -9, if it is still there."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 90) -> Any:
    """The condition's value, once it is true. Raises TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {timeout_s} s")
        time.sleep(0.05)
    return value
