"""The Prefect API that a run talks to: PREFECT_API_URL where it is set, else a server of its own.

    with prefect_api(ui=True) as api:
        api.ui_url   -> "http://127.0.0.1:43127"

Sets environment variables, so it comes before the first import of prefect.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from mixgrid.errors import MixgridError

STARTUP_TIMEOUT_S = 180
SETTLE_TIMEOUT_S = 10
SETTINGS = {
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_CLIENT_MAX_RETRIES": "9",
    "PREFECT_CLIENT_RETRY_EXTRA_CODES": "500",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    "PREFECT_CLI_COLORS": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_TELEMETRY_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
"""Task runs show within seconds, an outage of 100 s is waited out (a server without its database says 500), errors are
printed by us alone, no telemetry."""


class ServerError(MixgridError):
    """The Prefect server did not start, or does not answer."""


@dataclass(frozen=True)
class Api:
    """Where the API and its UI are. `own`: the server ends with this run, once it knows how `flow_runs` ended."""

    url: str
    own: bool
    flow_runs: list[str] = field(default_factory=list)

    @property
    def ui_url(self) -> str:
        """The address to open in a browser."""
        return self.url.removesuffix("/api")


@contextmanager
def prefect_api(*, ui: bool) -> Iterator[Api]:
    """An API that answers. Raises ServerError with what to do when there is none."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    given = os.environ.get("PREFECT_API_URL")
    if given:
        if not _answers(given):
            raise ServerError(
                f"PREFECT_API_URL is {given}, but no Prefect server answers there; start it with `prefect server "
                "start`, or unset PREFECT_API_URL to use a server of this run's own"
            )
        yield Api(given, own=False)
        return
    with tempfile.TemporaryFile("w+") as log:
        process, api = _start(ui=ui, log=log), None
        try:
            url = _wait(process, log)
            os.environ["PREFECT_API_URL"] = url
            api = Api(url, own=True)
            yield api
        finally:
            _settle(api.flow_runs if api else [])
            os.environ.pop("PREFECT_API_URL", None)
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.communicate(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()


def _settle(flow_runs: Sequence[str]) -> None:
    """Let the server hear of the last events and write them down before it goes; then nothing waits for it at exit."""
    if "prefect" not in sys.modules:
        return
    from prefect.client.orchestration import get_client
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=SETTLE_TIMEOUT_S, at_exit=False)
    APILogWorker.drain_all(timeout=SETTLE_TIMEOUT_S, at_exit=False)
    unfinished = {
        "flow_runs": {"id": {"any_": list(flow_runs)}},
        "task_runs": {"state": {"type": {"any_": ["PENDING", "RUNNING"]}}},
    }
    deadline = time.monotonic() + SETTLE_TIMEOUT_S
    try:
        with get_client(sync_client=True) as client:
            while time.monotonic() < deadline:
                if client.request("POST", "/task_runs/count", json=unfinished).json() == 0:
                    return
                time.sleep(0.2)
    except Exception as error:  # noqa: BLE001 (what cannot be told any more must not hide how the run ended)
        print(f"the Prefect server did not hear how the last tasks ended: {error}", file=sys.stderr)


def _start(*, ui: bool, log: IO[str]) -> subprocess.Popen[str]:
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-m", "flows.embedded_server", "ui" if ui else "no-ui"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C is ours: the server stays until the last states have been told
    )


def _wait(process: subprocess.Popen[str], log: IO[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    if line:
        url = f"http://127.0.0.1:{json.loads(line)['port']}/api"
        deadline = time.monotonic() + STARTUP_TIMEOUT_S
        while time.monotonic() < deadline and process.poll() is None:
            if _answers(url):
                return url
            time.sleep(0.1)
    log.seek(0)
    raise ServerError(f"the embedded Prefect server did not start; its last words:\n{log.read()[-2000:]}")


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=5) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False
