"""Worker processes: one that dies costs its own step, none outlives its parent, and every failure has a name."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mixgrid.errors import DamagedArtifact, StepError
from mixgrid.execute import WorkOrder
from mixgrid.progress import silent
from mixgrid.step import Step
from mixgrid.steps.download import DownloadRuntime, DownloadSettings, download
from mixgrid.steps.subsample import SubsampleSettings, subsample
from mixgrid.store import Store
from mixgrid.warm import Slots, WorkerDied

CHILDREN = Path("/proc/self/task")
pytestmark = pytest.mark.skipif(not CHILDREN.exists(), reason="children are found in /proc")

PARENT = """
import sys
from mixgrid.execute import WorkOrder
from mixgrid.warm import Slots
Slots(1, store_url=sys.argv[1]).run(WorkOrder.model_validate_json(sys.argv[2]), print)
"""


@pytest.fixture
def silence() -> Iterator[socket.socket]:
    """A server that takes connections and never answers: a step that reads from it goes on for ever."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(20)
        yield server


@pytest.fixture
def slots(tmp_path: Path) -> Iterator[Slots]:
    made = Slots(1, store_url=str(tmp_path / "store"))
    yield made
    made.close()


def endless(server: socket.socket) -> WorkOrder:
    """A download from the server that never answers."""
    url = f"http://127.0.0.1:{server.getsockname()[1]}/rows.jsonl"
    settings = DownloadSettings(source="silent", form="alpaca", content="0" * 64)
    return WorkOrder.of(download(settings, DownloadRuntime(locations=(url,))))


def begun(server: socket.socket) -> socket.socket:
    """The worker's connection, as soon as it is in the middle of its endless step."""
    return server.accept()[0]


def lab_math(rows: int = 20) -> Step:
    return download(DownloadSettings(source="lab.math", rows=rows), DownloadRuntime())


def children() -> set[int]:
    """The process ids of this process's children."""
    return {int(pid) for task in CHILDREN.iterdir() for pid in (task / "children").read_text().split()}


def test_slot_makes_a_step_and_keeps_its_process_for_the_next(slots: Slots, tmp_path: Path) -> None:
    before = children()
    record = slots.run(WorkOrder.of(lab_math()), silent)
    processes = children() - before
    assert Store(str(tmp_path / "store")).find(lab_math()) == record
    slots.run(WorkOrder.of(lab_math(30)), silent)
    assert children() - before == processes
    assert len(processes) == 1


def test_slot_asked_twice_for_a_step_makes_it_once(slots: Slots) -> None:
    order = WorkOrder.of(lab_math())
    assert slots.run(order, silent) == slots.run(order, silent)


def test_slot_whose_process_is_killed_loses_that_step_only(silence: socket.socket, tmp_path: Path) -> None:
    two = Slots(2, store_url=str(tmp_path / "store"))
    before = children()
    with ThreadPoolExecutor(2) as threads:
        lost = threads.submit(two.run, endless(silence), silent)
        with begun(silence):
            (victim,) = children() - before
            kept = threads.submit(two.run, WorkOrder.of(lab_math()), silent)
            os.kill(victim, signal.SIGKILL)
        with pytest.raises(WorkerDied, match=r"download silent: its worker process ended \(signal 9\)"):
            lost.result()
        assert kept.result().ledger["rows"] == 20
    with ThreadPoolExecutor(2) as threads:
        records = threads.map(lambda rows: two.run(WorkOrder.of(lab_math(rows)), silent), (30, 40))
        assert [record.ledger["rows"] for record in records] == [30, 40]
    two.close()


def test_slot_closed_in_the_middle_of_a_step_ends_it_at_once(silence: socket.socket, slots: Slots) -> None:
    with ThreadPoolExecutor(1) as thread:
        lost = thread.submit(slots.run, endless(silence), silent)
        with begun(silence):
            slots.close()
            with pytest.raises(WorkerDied, match="download silent: its worker process ended"):
                lost.result(10)


def test_worker_whose_parent_is_killed_with_9_leaves_within_seconds(silence: socket.socket, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PARENT, str(tmp_path / "store"), endless(silence).model_dump_json()]
    with subprocess.Popen(command) as parent:
        connection = begun(silence)
        parent.send_signal(signal.SIGKILL)
    with connection:
        connection.settimeout(10)
        while connection.recv(4096):
            pass  # its request; the end comes when the worker is gone


def test_worker_with_an_input_that_is_not_there_names_it(slots: Slots) -> None:
    order = WorkOrder.of(subsample(SubsampleSettings(proportion="1/4"), rows=lab_math()))  # type: ignore[arg-type]
    with pytest.raises(DamagedArtifact, match="is not there, or damaged") as raised:
        slots.run(order, silent)
    assert raised.value.folder == lab_math().folder


def test_worker_with_a_damaged_input_names_it_and_it_is_made_again(slots: Slots, tmp_path: Path) -> None:
    record = slots.run(WorkOrder.of(lab_math()), silent)
    next((tmp_path / "store" / record.folder / record.attempt).iterdir()).unlink()
    order = WorkOrder.of(subsample(SubsampleSettings(proportion="1/4"), rows=lab_math()))  # type: ignore[arg-type]
    with pytest.raises(DamagedArtifact):
        slots.run(order, silent)
    assert slots.run(WorkOrder.of(lab_math()), silent).attempt != record.attempt
    assert slots.run(order, silent).ledger == {"rows": 5, "of": 20}


def test_worker_with_a_mistake_of_the_user_says_so_with_the_steps_title(slots: Slots, tmp_path: Path) -> None:
    settings = DownloadSettings(source="mine", form="alpaca", content="0" * 64)
    order = WorkOrder.of(download(settings, DownloadRuntime(locations=(str(tmp_path / "no.json"),))))
    with pytest.raises(StepError, match=r"^download mine: .*no\.json: no such file"):
        slots.run(order, silent)


def test_worker_with_an_unexpected_error_says_so_with_the_steps_title_and_goes_on(slots: Slots) -> None:
    broken = WorkOrder.of(lab_math()).model_copy(update={"kind": "nosuch"})
    with pytest.raises(StepError, match=r"^download lab\.math: KeyError: 'nosuch' \(.*\.py:\d+\)"):
        slots.run(broken, silent)
    assert slots.run(WorkOrder.of(lab_math()), silent).ledger["rows"] == 20


def test_workers_given_one_step_at_once_make_it_once(tmp_path: Path) -> None:
    two = Slots(2, store_url=str(tmp_path / "store"))
    with ThreadPoolExecutor(2) as threads:
        records = list(threads.map(lambda _: two.run(WorkOrder.of(lab_math(500)), silent), range(2)))
    two.close()
    assert records[0] == records[1]
    assert len(list((tmp_path / "store").rglob("attempt-*"))) == 1
