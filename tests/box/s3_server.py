"""A bucket on a real S3 server, rclone's, on the loopback, that may be killed and started again.

server = S3Server(folder); server.environment -> {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000", ...}
Store("s3://bucket/study"); server.kill(); server.start(); server.files / "study"   -> what lies there, to be read only
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path


class S3Server:
    """Serves `folder`, which nobody else may change: rclone would not see it."""

    url = "s3://bucket"

    def __init__(self, folder: Path, *, port: int) -> None:
        program = rclone()
        assert program
        self.port, self.secret, self.files = port, secrets.token_hex(16), folder / "bucket"
        self.files.mkdir(parents=True)
        self._log = folder.parent / f"rclone-{port}.log"
        # no --dir-cache-time: at 0 its requests wait for each other
        self._command = [
            program, "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", f"mixgrid,{self.secret}",
            "--vfs-cache-mode", "off", "--config", os.devnull, str(folder),
        ]  # fmt: skip
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead a client here."""
        return s3_variables(self.port, self.secret)

    def start(self) -> None:
        """Serve; returns once it answers."""
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        wait_until_it_answers(self.port, self._process)

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()


def rclone() -> str | None:
    """The program, from the environment this runs in or the system's."""
    return shutil.which("rclone", path=str(Path(sys.executable).parent)) or shutil.which("rclone")


def s3_variables(port: int, secret: str) -> dict[str, str]:
    """What leads a client to an S3 server on the loopback."""
    return {
        "AWS_ACCESS_KEY_ID": "mixgrid",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def wait_until_it_answers(port: int, server: "subprocess.Popen[bytes]") -> None:
    """Until somebody listens on the port. Raises RuntimeError when the server has ended instead."""
    deadline = time.monotonic() + 20
    while server.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"nothing answered on port {port}; its status is {server.poll()}")
