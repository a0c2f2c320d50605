"""Grids whose expensive steps go through a work pool: a real server, real workers, and what becomes of them."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from cluster_box import Box, kill, leases, wait_for
from cluster_study import RUNTIME, grid, holder, states, study
from prefect.settings import PREFECT_API_URL, temporary_settings

from mixgrid.cells import Selection
from mixgrid.execute import WorkOrder
from mixgrid.plan import make_plan
from mixgrid.store import Store
from mixgrid.study_file import load_study
from tasks.by_kind import GPU_KINDS
from tasks.dispatch import queue_of
from tasks.pool import StepRuns

pytestmark = [pytest.mark.server, pytest.mark.cluster]
slow = pytest.mark.slow


@pytest.fixture(scope="session")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Box]:
    """A server with two workers on the pool `gpu`."""
    with Box(tmp_path_factory.mktemp("cluster")) as box:
        yield box


@pytest.fixture(autouse=True)
def workers(box: Box) -> None:
    """Both workers are there, whatever a test before did to them."""
    for name in ("gpu0", "gpu1"):
        if name not in box.workers or box.workers[name].poll() is not None:
            box.start_worker(name)


def log(box: Box) -> str:
    return (box.folder / "grid.log").read_text()


def results(path: Path, store: Path) -> str:
    command = [
        sys.executable,
        "-m",
        "flows.command_line",
        "results",
        str(path),
        "--store",
        str(store),
        "--format",
        "json",
    ]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_two_grids_at_once_make_each_step_once_and_end_as_a_run_without_a_cluster(
    box: Box, mixgrid: Any, tmp_path: Path
) -> None:
    path = study(tmp_path)
    grids = [grid(box, path, "--only", "dmt"), grid(box, path, "--only", "dmt")]
    assert [each.wait(200) for each in grids] == [0, 0], log(box)
    runs = box.step_runs(tmp_path / "store")
    made = [json.loads(p.read_text())["key"] for p in (tmp_path / "store" / "sft").glob("*/record.json")]
    assert {key: states(of_key) for key, of_key in runs.items()} == {key: ["COMPLETED"] for key in made}
    queues = {of_key[0]["name"][:11]: of_key[0]["work_queue_name"] for of_key in runs.values()}
    assert queues == {"sft stage 1": "stage-1", "sft stage 2": "later-stages"}
    inline = mixgrid("run", path, "--store", tmp_path / "inline", "--only", "dmt", PREFECT_API_URL=box.api)
    assert inline.returncode == 0, inline.stderr
    assert results(path, tmp_path / "store") == results(path, tmp_path / "inline")
    scores = [row["score"] for row in json.loads(results(path, tmp_path / "store"))["rows"]]
    table = next(a for a in box.artifacts("table") if a["key"] == "scores-small")
    rows = json.loads(table["data"])
    assert sorted(row["score"] for row in rows) == sorted(round(score, 4) for score in scores)
    assert len({tuple(row[c] for c in ("model", "seed", "mixture", "ability", "benchmark")) for row in rows}) == len(
        rows
    )
    told = [a["data"] for a in box.artifacts("markdown") if str(tmp_path / "store" / "sft") in a["data"]]
    assert len(told) == len(made)
    assert all("| tokens_per_second |" in text or "| seconds |" in text for text in told)


def test_a_step_that_keeps_dying_stops_after_its_tries_and_the_rest_goes_on(box: Box, tmp_path: Path) -> None:
    path, store = study(tmp_path, steps=1500), tmp_path / "store"
    process = grid(box, path, "--only", "dmt", name="dying")
    key, _ = holder(store)
    seen = set()
    while process.poll() is None:
        told = leases(store).get(key)
        if told and told["holder"] not in seen:  # its worker process, not the flow: dies, and is told at once
            seen.add(told["holder"])
            made_in = wait_for(lambda pid=told["pid"]: psutil.Process(pid).children(), "a worker process")
            kill(made_in[0].pid)
        time.sleep(0.05)
    assert process.returncode == 1
    text = (box.folder / "dying.log").read_text()
    assert "died 2 times; the last time: sft stage 1" in text
    assert "(signal 9)" in text
    assert states(box.step_runs(store)[key]) == ["CRASHED", "CRASHED"]
    assert len(list((store / "score").glob("*/record.json"))) == 2  # of the base, with both benchmarks


@slow
def test_a_killed_step_is_made_by_its_next_generation_once_nothing_is_heard_of_it(box: Box, tmp_path: Path) -> None:
    path, store = study(tmp_path, steps=1500), tmp_path / "store"
    process = grid(box, path, "--only", "dmt")
    key, told = holder(store)
    kill(told["pid"])
    assert process.wait(200) == 0, log(box)
    first, second = box.step_runs(store)[key]
    assert states([first, second]) == ["CRASHED", "COMPLETED"]
    assert first["end_time"] < second["start_time"]


@slow
def test_a_killed_worker_leaves_an_orphan_that_finishes_its_step(box: Box, tmp_path: Path) -> None:
    path, store = study(tmp_path, steps=1500), tmp_path / "store"
    process = grid(box, path, "--only", "dmt")
    key, _ = holder(store)
    for name in list(box.workers):
        box.kill_worker(name)
    wait_for(lambda: not (store / "leases" / f"{key}.json").exists(), "the end of the orphan's lease")
    box.start_worker("gpu0")
    assert process.wait(200) == 0, log(box)
    assert states(box.step_runs(store)[key]) == ["COMPLETED"]


@slow
def test_a_machine_that_never_comes_back_costs_a_try_and_nothing_runs_for_ever(box: Box, tmp_path: Path) -> None:
    path, store = study(tmp_path, steps=1500), tmp_path / "store"
    process = grid(box, path, "--only", "dmt")
    key, told = holder(store)
    for name in list(box.workers):
        box.kill_worker(name)
    kill(told["pid"])
    box.start_worker("gpu0")
    assert process.wait(200) == 0, log(box)
    first, second = box.step_runs(store)[key]
    assert states([first, second]) == ["CRASHED", "COMPLETED"]
    assert "nothing has been heard of it for 6 s" in first["state"]["message"]


@slow
def test_a_killed_grid_loses_nothing_and_the_next_one_joins_its_runs(box: Box, tmp_path: Path) -> None:
    path, store = study(tmp_path, steps=1500), tmp_path / "store"
    process = grid(box, path, "--only", "dmt")
    key, _ = holder(store)
    process.kill()
    process.wait()
    assert grid(box, path, "--only", "dmt").wait(200) == 0, log(box)
    runs = box.step_runs(store)
    assert key in runs
    assert [states(of_key) for of_key in runs.values()] == [["COMPLETED"], ["COMPLETED"]]


@slow
def test_a_server_that_is_away_for_a_while_costs_nothing_but_time(box: Box, tmp_path: Path) -> None:
    path, store = study(tmp_path, steps=1500), tmp_path / "store"
    process = grid(box, path, "--only", "dmt")
    key, _ = holder(store)
    box.kill_server()
    wait_for(lambda: list((store / "sft").glob("*/record.json")), "the step's end, without a server")
    time.sleep(10)
    box.start_server()
    assert process.wait(250) == 0, log(box)
    assert len(box.step_runs(store)[key]) == 1


@slow
@pytest.mark.parametrize(
    ("patience_s", "lease_s", "said"),
    [(300, 6, "status code: 75"), (1, 60, "cannot write")],  # the lease runs out, or the step's own patience
)
def test_a_store_that_is_killed_while_a_step_works_costs_a_try(
    box: Box, own_s3_server: Any, tmp_path: Path, patience_s: int, lease_s: int, said: str
) -> None:
    for name in list(box.workers):
        box.kill_worker(name)
    environment = {**own_s3_server.environment, "MIXGRID_CACHE": str(tmp_path / "cache")}
    box.start_worker("gpu0", **environment, MIXGRID_STORE_PATIENCE_S=str(patience_s))
    path, name = study(tmp_path, steps=1500), f"study-{lease_s}"  # of their own: the two cases have one Prefect server
    store, url = own_s3_server.files / name, f"{own_s3_server.url}/{name}"
    runtime = path.with_name("runtime.yaml")
    patient = RUNTIME.replace("lease_s: 6", f"lease_s: {lease_s}")
    runtime.write_text(patient.replace("{steps: 100}}", "{steps: 100}, patience_s: 0}"))
    process = box.grid(path, url, "--runtime", runtime, "--only", "dmt", **environment)
    key, told = holder(store)
    own_s3_server.kill()
    wait_for(lambda: not psutil.pid_exists(told["pid"]), "the end of the step")
    own_s3_server.start()
    assert process.wait(200) == 0, log(box)
    first, second = box.step_runs(url)[key]
    assert states([first, second]) == ["CRASHED", "COMPLETED"]
    assert said in first["state"]["message"]
    box.kill_worker("gpu0")  # the next test's workers have another store


@slow
def test_a_run_whose_worker_died_before_it_started_is_started_anew(box: Box, tmp_path: Path) -> None:
    path, store = study(tmp_path), tmp_path / "store"
    runtime = path.with_name("runtime.yaml")
    runtime.write_text(RUNTIME.replace("lease_s: 6", "lease_s: 6, start_s: 5"))
    for name in list(box.workers):
        box.kill_worker(name)
    process = box.grid(path, store, "--runtime", runtime, "--only", "dmt")
    run = wait_for(lambda: next(iter(box.step_runs(store).values()), None), "a run")[0]
    box.set_state(run["id"], "PENDING")  # as a worker does, and then dies
    wait_for(lambda: box.state(run["id"]) == "CRASHED", "the end of the run")
    box.start_worker("gpu0")
    assert process.wait(200) == 0, log(box)
    assert (
        "it has not started within 5 s"
        in box.step_runs(store)[run["parameters"]["order"]["key"]][0]["state"]["message"]
    )


@slow
def test_ctrl_c_cancels_what_only_this_grid_needs(box: Box, tmp_path: Path) -> None:
    path, store = study(tmp_path, steps=6000), tmp_path / "store"
    one, other = grid(box, path), grid(box, path, "--only", "dmt")

    def told() -> bool:
        documents = [json.loads(p.read_text()) for p in (store / "runs" / "small").glob("2*.json")]
        return sorted(len(document["dispatched"]) for document in documents) == [1, 3]

    wait_for(told, "what both grids wait for")
    one.send_signal(signal.SIGINT)
    assert one.wait(60) == 130
    assert other.wait(200) == 0, log(box)
    ended = {runs[0]["name"]: states(runs) for runs in box.step_runs(store).values()}
    assert sorted(name for name, of in ended.items() if of == ["COMPLETED"]) == sorted(
        name for name in ended if name.endswith(("-lab.math_1", "+lab.math_1/2"))
    )
    assert sum(of == ["CANCELLED"] for of in ended.values()) == 2


@slow
def test_the_grid_deployment_runs_a_study_given_as_text_and_its_cancellation_takes_its_steps_along(
    box: Box, tmp_path: Path
) -> None:
    path, store = study(tmp_path, steps=6000), tmp_path / "store"
    box.start_worker("cpu0", pool="cpu")
    given = {"study": path.read_text(), "store": str(store), "runtime": RUNTIME, "routes": {}, "only": ["dmt"]}
    cancelled = box.start_grid(given)
    _, told = holder(store)
    box.set_state(cancelled, "CANCELLING")
    wait_for(lambda: not psutil.pid_exists(told["pid"]), "the end of the step's process")
    wait_for(lambda: box.state(cancelled) == "CANCELLED", "the end of the grid")
    wait_for(lambda: [states(r) for r in box.step_runs(store).values()] == [["CANCELLED"]], "the end of its step")
    path = study(tmp_path)
    finished = box.start_grid({**given, "study": path.read_text()})
    wait_for(lambda: box.state(finished) in ("COMPLETED", "FAILED", "CRASHED"), "the end of the second grid")
    assert box.state(finished) == "COMPLETED", (box.folder / "cpu0.log").read_text()
    assert json.loads(results(path, store))["rows"][-1]["strategy"] == "dmt"


def test_a_worker_takes_first_what_most_steps_wait_for(box: Box, tmp_path: Path) -> None:
    """Asked for in the opposite order; their inputs are missing, so each is over at once."""
    for name in list(box.workers):
        box.kill_worker(name)
    steps = make_plan(load_study(str(study(tmp_path))).study, selection=Selection(), lock={}).steps.values()
    orders = {queue_of(order): order for order in map(WorkOrder.of, steps) if order.kind in GPU_KINDS}
    store = tmp_path / "store"
    with temporary_settings({PREFECT_API_URL: box.api}):
        runs = StepRuns("gpu", Store(str(store)))
        for queue in ("answers", "later-stages", "stage-1", "base"):
            order = orders[queue]
            given = {"title": order.title, "order": order.model_dump(mode="json"), "store": str(store), "lease_s": 3}
            runs.start(order, generation=1, parameters=given, queue=queue_of(order), tags=())
    box.start_worker("gpu0", limit=1)

    def ended() -> list[dict[str, Any]] | None:
        found = [of_step[0] for of_step in box.step_runs(store).values()]
        return found if len(found) == 4 and all(run["end_time"] for run in found) else None

    in_turn = sorted(wait_for(ended, "the end of all four", 200), key=lambda run: run["start_time"])
    assert [run["work_queue_name"] for run in in_turn] == ["base", "stage-1", "later-stages", "answers"]
