"""A server for one checkpoint, started for its answers and gone when they are there.

# runtime.yaml
server: {command: [vllm, serve, "{folder}", --port, "{port}", --served-model-name, "{model}", --host, 127.0.0.1]}

with serving(runtime, folder) as server:      # waits until /v1/models answers
    make_engine("server", server=server, ...)
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, NoReturn

from pydantic import Field

from mixgrid.errors import GenerationError
from mixgrid.generation.engine import Server
from mixgrid.identity import Runtime

MODEL = "checkpoint"
_POLL_S = 0.2
_PATIENCE_S = 20.0

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ServerRuntime(Runtime):
    """How a checkpoint is served. In `command`, {folder}, {port} and {model} stand for what the step puts there."""

    command: tuple[str, ...] = Field(min_length=1)
    ready_s: Seconds = 900.0
    timeout_s: Seconds = 600.0
    attempts: Annotated[int, Field(ge=1)] = 6


@contextmanager
def serving(runtime: ServerRuntime, folder: Path) -> Iterator[Server]:
    """Start the command for the checkpoint in `folder`. Raises GenerationError if it does not serve.

    It runs under a keeper, which ends it and all that it started when we leave, or are killed.
    """
    port = _free_port()
    command = [part.format(folder=folder, port=port, model=MODEL) for part in runtime.command]
    if shutil.which(command[0]) is None:
        raise GenerationError(
            f"server command {command[0]}: is not there, or not executable; install it or give its path"
        )
    server = Server(
        url=f"http://127.0.0.1:{port}/v1", model=MODEL, timeout_s=runtime.timeout_s, attempts=runtime.attempts
    )
    keeper = [sys.executable, "-m", __name__, *command]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(keeper, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True) as process,
    ):
        _wait(process, server, log, ready_s=runtime.ready_s)
        yield server


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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(command: Sequence[str]) -> NoReturn:
    """The keeper: runs the command until standard input closes; then it is asked to leave, and made to leave."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    threading.Thread(target=_end_when_left, args=(process,), daemon=True).start()
    os._exit(process.wait())


def _end_when_left(process: "subprocess.Popen[bytes]") -> NoReturn:
    while os.read(0, 1):
        pass
    for sign in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
            for _ in range(round(_PATIENCE_S / _POLL_S)):
                time.sleep(_POLL_S)
                os.killpg(process.pid, 0)  # until nobody of the group is left
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
