"""A store behind a network that fails: what passes is waited out, what a person has to mend is told at once."""

import os
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cluster_box import wait_for
from fault_proxy import Proxy, seeded
from s3fs import S3FileSystem

from mixgrid.errors import StoreAway, StoreError
from mixgrid.execute import WorkOrder
from mixgrid.identity import Settings
from mixgrid.lease import Lease, LeaseWatch
from mixgrid.live import LiveRun
from mixgrid.progress import silent
from mixgrid.step import Step
from mixgrid.steps.download import DownloadRuntime, DownloadSettings, download
from mixgrid.store import Store
from mixgrid.warm import Slots

KEY = "c0ffee" * 10


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


def test_name_that_is_written_late_does_not_make_two_holders_of_one_lease(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    late, held_up, inside = Store(f"s3://bucket/{uuid4().hex}"), threading.Event(), list[str]()

    def hold_up(kind: str) -> str:
        if kind == "request" and proxy.requests == 3:  # the first two look who has the lease, the third writes
            held_up.wait()
        return ""

    def come_late() -> None:
        with Lease(late, KEY, lease_s=6, lost=lambda: None):
            inside.append("late")

    proxy.choose = hold_up
    thread = threading.Thread(target=come_late)
    thread.start()
    wait_for(lambda: proxy.requests == 3, "the late one's name on its way")
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.server_url)
    S3FileSystem.clear_instance_cache()
    with Lease(Store(late.url), KEY, lease_s=6, lost=lambda: None) as lease:
        watch = LeaseWatch(Store(late.url), KEY, lease_s=6)
        count = watch.look()["count"]
        wait_for(lambda: watch.look()["count"] > count, "a renewal")
        held_up.set()  # it overwrites the holder's name; the next renewal is half a second away
        lease.tell(0.5, "at work")
        thread.join(2)
        assert inside == []
    thread.join(30)
    assert inside == ["late"]


def test_lease_is_left_to_run_out_when_the_store_is_away_at_the_end(own_s3_server: Any) -> None:
    with Lease(Store("s3://bucket/x"), KEY, lease_s=60, lost=lambda: None):
        own_s3_server.kill()
        began = time.monotonic()
    assert time.monotonic() - began < 5


def test_worker_whose_store_is_away_says_so_and_makes_the_step_once_it_is_back(
    own_s3_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXGRID_STORE_PATIENCE_S", "0")
    order = WorkOrder.of(download(DownloadSettings(source="lab.math", rows=20), DownloadRuntime()))
    slots = Slots(1, store_url="s3://bucket/x")
    own_s3_server.kill()
    with pytest.raises(StoreAway, match=r"^download lab\.math: store s3://bucket/x: cannot read download/"):
        slots.run(order, silent)
    own_s3_server.start()
    assert slots.run(order, silent).ledger["rows"] == 20
    slots.close()


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
