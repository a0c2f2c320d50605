"""A server for one checkpoint, started for its answers and gone when they are there.

# runtime.yaml
server: {command: [vllm, serve, "{folder}", --port, "{port}", --served-model-name, "{model}", --host, 127.0.0.1]}

with serving(runtime, folder) as server:      # waits until /v1/models answers
    make_engine("server", server=server, ...)
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated

from pydantic import Field

from mixgrid.errors import GenerationError
from mixgrid.generation.engine import Server
from mixgrid.identity import Runtime

MODEL = "checkpoint"
_POLL_S = 0.2

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ServerRuntime(Runtime):
    """How a checkpoint is served. In `command`, {folder}, {port} and {model} stand for what the step puts there."""

    command: tuple[str, ...] = Field(min_length=1)
    ready_s: Seconds = 900.0
    timeout_s: Seconds = 600.0
    attempts: Annotated[int, Field(ge=1)] = 6


@contextmanager
def serving(runtime: ServerRuntime, folder: Path) -> Iterator[Server]:
    """Start the command for the checkpoint in `folder`. Raises GenerationError if it does not serve."""
    port = _free_port()
    command = [part.format(folder=folder, port=port, model=MODEL) for part in runtime.command]
    server = Server(
        url=f"http://127.0.0.1:{port}/v1", model=MODEL, timeout_s=runtime.timeout_s, attempts=runtime.attempts
    )
    with tempfile.TemporaryFile("w+") as log:
        try:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        except OSError as error:
            raise GenerationError(
                f"server command {command[0]}: {error.strerror}; install it, or name its path"
            ) from error
        try:
            _wait(process, server, log, ready_s=runtime.ready_s)
            yield server
        finally:
            _end(process)


def _wait(process: "subprocess.Popen[bytes]", server: Server, log: IO[str], *, ready_s: float) -> None:
    import httpx

    deadline = time.monotonic() + ready_s
    while True:
        try:
            if httpx.get(f"{server.url}/models", timeout=5).is_success:
                return
        except httpx.HTTPError:
            pass
        ended, late = process.poll(), time.monotonic() > deadline
        if ended is not None or late:
            log.seek(0)
            what = f"ended with status {ended}" if ended is not None else f"does not answer after {ready_s:.0f} s"
            raise GenerationError(f"the server {what}; its last words: {log.read()[-1500:].strip() or 'none'}")
        time.sleep(_POLL_S)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Ask all of it to leave, and make it leave."""
    for sign, patience_s in ((signal.SIGTERM, 20.0), (signal.SIGKILL, 20.0)):
        try:
            os.killpg(process.pid, sign)
            process.wait(patience_s)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
