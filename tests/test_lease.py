"""Leases: one holder at a time, dead once silent, given up before anybody else may take over."""

import json
import threading
import time
from pathlib import Path

import pytest

from mixgrid.lease import Lease, LeaseWatch, lease_path
from mixgrid.live import LiveRun, only_needed_by
from mixgrid.store import Store

KEY = "c0ffee" * 10


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


def never() -> None:
    raise AssertionError("the lease was lost")


def silent_holder(store: Store, count: int = 7) -> None:
    """What a holder leaves that was killed."""
    store.write_atomically(lease_path(KEY), json.dumps({"holder": "dead", "count": count}).encode())


def test_watch_takes_a_silent_lease_for_dead_and_a_renewed_one_for_alive(store: Store) -> None:
    silent_holder(store)
    silent = LeaseWatch(store, KEY, lease_s=0.6)
    silent.look()
    assert silent.alive
    time.sleep(0.7)
    silent.look()
    assert not silent.alive
    with Lease(store, KEY, lease_s=3, lost=never) as lease:
        lease.tell(0.25, "step 1/4")
        watch = LeaseWatch(store, KEY, lease_s=0.9)
        for _ in range(6):
            time.sleep(0.3)
            told = watch.look()
        assert watch.alive
    assert told["text"] == "step 1/4"
    assert watch.look() == {}
    assert not watch.alive


def test_lease_waits_until_an_earlier_holder_has_been_silent_for_its_whole_length(store: Store) -> None:
    silent_holder(store)
    began = time.monotonic()
    with Lease(store, KEY, lease_s=1, lost=never):
        assert time.monotonic() - began >= 1


def test_lease_that_somebody_else_has_seen_silent_is_taken_without_waiting_again(store: Store) -> None:
    silent_holder(store)
    watch = LeaseWatch(store, KEY, lease_s=0.3)
    watch.look()
    assert watch.silent_text == ""
    time.sleep(0.4)
    watch.look()
    began = time.monotonic()
    with Lease(store, KEY, lease_s=6, lost=never, silent=watch.silent_text):
        assert time.monotonic() - began < 5


def test_lease_that_was_renewed_after_it_was_seen_silent_is_waited_for(store: Store) -> None:
    silent_holder(store)
    seen = (store.read_bytes(lease_path(KEY)) or b"").decode()
    silent_holder(store, count=8)
    began = time.monotonic()
    with Lease(store, KEY, lease_s=1, lost=never, silent=seen):
        assert time.monotonic() - began >= 1


def test_holder_who_finds_the_name_of_another_stops_and_leaves_it_there(store: Store) -> None:
    lost = threading.Event()
    with Lease(store, KEY, lease_s=6, lost=lost.set):
        silent_holder(store)
        assert lost.wait(2)  # at the next renewal, in half a second; not after half the lease
    assert json.loads(store.read_bytes(lease_path(KEY)) or b"{}")["holder"] == "dead"


def test_of_several_who_ask_at_once_one_has_the_lease_at_a_time(store: Store) -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with Lease(store, KEY, lease_s=4, lost=never):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.2)
            inside.remove(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1]


def test_holder_that_cannot_renew_stops_after_half_the_lease(store: Store, tmp_path: Path) -> None:
    lost = threading.Event()
    with Lease(store, KEY, lease_s=3, lost=lost.set):
        folder = tmp_path / "store" / "leases"
        folder.rename(tmp_path / "away")
        folder.write_text("no folder: nothing can be written any more")
        began = time.monotonic()
        assert lost.wait(3)
        assert 1.0 < time.monotonic() - began < 2.5
        folder.unlink()


def test_only_needed_by_leaves_what_another_live_grid_waits_for(store: Store) -> None:
    mine, other, dead = (LiveRun(store, name, flow_run=name) for name in ("mine", "other", "dead"))
    mine.dispatched = {"sft/a": "run-a", "sft/b": "run-b", "sft/c": "run-c"}
    other.dispatched = {"sft/b": "run-b"}
    dead.dispatched = {"sft/c": "run-c"}
    for live, ended in ((mine, True), (other, False), (dead, True)):
        live.tell(ended=ended, now=True)
    assert only_needed_by(store, "mine") == ["run-a", "run-c"]
