"""A store behind a network that fails: what passes is waited out, what a person has to mend is told at once."""

import os
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from s3fs import S3FileSystem

from mixgrid.errors import StoreError
from mixgrid.identity import Settings
from mixgrid.live import LiveRun
from mixgrid.step import Step
from mixgrid.store import Store

STATUS = {"503": b"503 Slow Down", "500": b"500 Internal Server Error"}
BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Slow Down</Message></Error>"
METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
Choose = Callable[[str], str]
"""What to do with "request", "up" (more of one) or "down" (a part of an answer): a fault's name, or "" for none."""


class Proxy:
    """A TCP proxy in front of an S3 server that does to each part of the traffic what `choose` says; counts faults."""

    def __init__(self, server: str) -> None:
        self._server = (urlsplit(server).hostname, urlsplit(server).port)
        self.choose: Choose = lambda _: ""
        self.requests, self.faults = 0, Counter[str]()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(self._server)
            for source, target, way in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self._relay, args=(source, target, way), daemon=True).start()

    def _relay(self, source: socket.socket, target: socket.socket, way: str) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                begins = way == "up" and data.startswith(METHODS)
                self.requests += begins
                fault = self.choose("request" if begins else way)
                self.faults[fault] += 1
                if fault in STATUS:
                    head = b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
                    source.sendall(head % (STATUS[fault], len(BUSY)) + BUSY)
                    break
                if fault == "cut":
                    target.sendall(data[: len(data) // 2])
                    break
                if fault == "slow":
                    time.sleep(0.1)
                if fault == "flip":
                    data = data[:-1] + bytes([data[-1] ^ 1])
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Number(Settings):
    number: int


def a_step(number: int) -> Step:
    return Step(kind="subsample", settings=Number(number=number), label=f"step {number}", title="a step")


@pytest.fixture
def proxy(s3_server: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Proxy]:
    """Between this test and the S3 server."""
    assert s3_server == "s3://bucket"
    made = Proxy(os.environ["AWS_ENDPOINT_URL"])
    monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
    monkeypatch.setenv("MIXGRID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("MIXGRID_STORE_PATIENCE_S", "60")
    S3FileSystem.clear_instance_cache()
    yield made
    made.close()
    S3FileSystem.clear_instance_cache()


def seeded(seed: int, **chances: dict[str, float]) -> Choose:
    """Faults by chance: `request={"503": 0.1}`."""
    chance = random.Random(seed)

    def choose(kind: str) -> str:
        drawn = chance.random()
        for fault, share in chances.get(kind, {}).items():
            if drawn < share:
                return fault
            drawn -= share
        return ""

    return choose


def make(store: Store, step: Step, files: dict[str, bytes]) -> Any:
    with store.attempt(step) as attempt:
        for name, data in files.items():
            (attempt.folder / name).write_bytes(data)
        return attempt.commit(ledger={})


def test_artifacts_survive_a_network_that_fails(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = [{"a.npy": random.randbytes(200_000), "b.json": b"{}", "empty": b""} for _ in range(6)]
    files[0]["model.safetensors"] = random.randbytes(40 * 2**20)  # three parts
    store, warnings = Store(f"s3://bucket/{uuid4().hex}"), list[str]()
    proxy.choose = seeded(
        1, request={"503": 0.08, "500": 0.08, "cut": 0.08, "slow": 0.1}, up={"cut": 0.0004},
        down={"cut": 0.001},
    )  # fmt: skip
    for number, content in enumerate(files):
        make(store, a_step(number), content)
    monkeypatch.setenv("MIXGRID_CACHE", str(tmp_path / "another machine"))
    for number, content in enumerate(files):
        other = Store(store.url, warn=warnings.append)
        record = other.find(a_step(number))
        assert record is not None
        assert {name: other.open(record).path(name).read_bytes() for name in content} == content
    assert {"503", "500", "cut", "slow"} <= set(proxy.faults)
    assert not [text for text in warnings if "not used" in text]


@pytest.mark.parametrize("size", [300_000, 40 * 2**20])  # the second in three parts
def test_upload_that_was_changed_on_the_way_is_sent_again(proxy: Proxy, tmp_path: Path, size: int) -> None:
    path, data = tmp_path / "file", random.randbytes(size)
    path.write_bytes(data)
    flips = iter(["flip"])
    proxy.choose = lambda kind: next(flips, "") if kind == "up" else ""
    store = Store(f"s3://bucket/{uuid4().hex}")
    store.upload(path, "file")
    assert proxy.faults["flip"] == 1
    assert store.read_bytes("file") == data


def test_store_that_stays_busy_is_an_error_that_says_how_often_it_was_tried(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXGRID_STORE_PATIENCE_S", "4")
    proxy.choose = lambda kind: "503" if kind == "request" else ""
    with pytest.raises(StoreError, match=r"cannot read subsample/.*: Slow Down; tried (\d+) times in \d+ s") as raised:
        Store("s3://bucket/x").find(a_step(1))
    assert f"tried {proxy.requests} times" in str(raised.value)
    assert 2 <= proxy.requests <= 12  # pauses of 0.1 to 0.2, 0.2 to 0.4, 0.4 to 0.8 s ...


def test_store_that_is_away_for_a_while_is_waited_for(own_s3_server: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"0123456789")
    store = Store("s3://bucket/x")
    store.write_atomically("before", b"")
    own_s3_server.kill()
    threading.Timer(1.0, own_s3_server.start).start()
    store.upload(tmp_path / "file", "file")
    assert store.read_bytes("file") == b"0123456789"


def test_run_tells_what_it_does_without_waiting_for_a_store_that_is_busy(proxy: Proxy) -> None:
    store = Store("s3://bucket/x")
    proxy.choose = lambda kind: "503" if kind == "request" else ""
    started = time.monotonic()
    LiveRun(store, "small").tell(now=True)
    assert time.monotonic() - started < 5
    assert proxy.requests == 1


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "check AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "wrong", "AWS_ACCESS_KEY_ID|what they may do"),
    ],
)
def test_wrong_credentials_are_told_after_one_try(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, told: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(StoreError, match=told):
        Store("s3://bucket/x").find(a_step(1))
    assert proxy.requests == 1


def test_bucket_that_does_not_exist_is_told_by_whatever_asks_first(proxy: Proxy) -> None:
    for ask in (
        lambda store: store.find(a_step(1)),
        lambda store: store.names("runs"),
        lambda store: store.objects(""),
        lambda store: store.write_atomically("x", b""),
        lambda store: store.remove("x"),
    ):
        with pytest.raises(StoreError, match="does not exist; make the bucket"):
            ask(Store("s3://nobucket/x"))
    assert proxy.requests <= 5
