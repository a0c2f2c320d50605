"""One process, two, and two with sharded weights: the same batches, the same losses, the same weights to rounding."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow.parquet import read_table
from safetensors.torch import load_file

from mixgrid.errors import DamagedArtifact, StepError
from mixgrid.execute import WorkOrder, execute
from mixgrid.plan import Plan
from mixgrid.record import Record
from mixgrid.runtime import DEFAULT, Interval, TrainingRuntime
from mixgrid.step import Step
from mixgrid.store import Store
from mixgrid.training.batches import share_out

CELL = "nano:rq4.multi_task:1:0"
# 7 examples a batch: two processes get unequal shares; 40 tokens a row: unequal numbers of rows
UNEVEN = ("batch_size: 8", "batch_size: 7")
WAYS = {
    "two": TrainingRuntime(processes=2, row_tokens=40),
    "two sharded": TrainingRuntime(processes=2, row_tokens=40, sharding="full"),
}
PlanOf = Callable[..., Plan]
Make = Callable[..., Step]


class Stopped(Exception):
    """What stands for a kill in this process."""


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return Store(str(tmp_path_factory.mktemp("store")))


@pytest.fixture(scope="module")
def alone(store: Store, plan_of: PlanOf, make: Make) -> tuple[Record, dict[str, Any]]:
    """The record and weights of one process, the lean way."""
    return trained(store, plan_of, make, DEFAULT)


def trained(
    store: Store, plan_of: PlanOf, make: Make, runtime: TrainingRuntime, *changes: tuple[str, str]
) -> tuple[Record, dict[str, Any]]:
    plan = plan_of(UNEVEN, *changes, runtime=runtime)
    step = plan.chains[CELL][-1]
    store.remove_folder(step.folder)
    make(plan, step, store)
    record = store.find(step)
    assert record is not None
    return record, load_file(store.open(record).path("model.safetensors"))


@pytest.mark.parametrize("way", ["two", "two sharded"])
def test_stage_in_two_processes_has_the_weights_of_one(
    way: str, store: Store, plan_of: PlanOf, make: Make, alone: tuple[Record, dict[str, Any]]
) -> None:
    record, weights = trained(store, plan_of, make, WAYS[way])
    assert record.ledger["final_loss"] == pytest.approx(alone[0].ledger["final_loss"], rel=1e-5)
    counts = ("examples", "steps", "tokens", "response_tokens", "flops")
    assert [record.ledger[name] for name in counts] == [alone[0].ledger[name] for name in counts]
    assert weights.keys() == alone[1].keys()
    assert max(float((weights[n] - w).norm() / w.norm()) for n, w in alone[1].items()) <= 1e-5


def test_stage_in_half_precision_has_the_first_loss_of_one_process_with_sharded_weights(
    store: Store, plan_of: PlanOf, make: Make, alone: tuple[Record, dict[str, Any]]
) -> None:
    half = ("schedule: cosine}", "schedule: cosine, precision: bf16}")
    losses = []
    for runtime in (DEFAULT, WAYS["two sharded"]):
        record, _ = trained(store, plan_of, make, runtime, half)
        losses.append(read_table(store.open(record).path("loss.parquet"))["loss"].to_pylist())
    assert losses[1][0] == pytest.approx(losses[0][0], rel=1e-6)
    assert losses[1] == pytest.approx(losses[0], rel=2e-3)
    assert record.ledger["final_loss"] != alone[0].ledger["final_loss"]


def test_adapters_in_two_processes_that_shard_have_the_weights_of_one(
    store: Store, plan_of: PlanOf, make: Make
) -> None:
    adapter = ("schedule: cosine}", "schedule: cosine, adapter: {name: lora, rank: 4}}")
    (_, alone), (_, sharded) = (
        trained(store, plan_of, make, runtime, adapter) for runtime in (DEFAULT, WAYS["two sharded"])
    )
    assert sharded.keys() == alone.keys()
    assert max(float((sharded[n] - w).norm() / w.norm()) for n, w in alone.items()) <= 1e-5


def test_snapshot_of_one_process_is_taken_over_by_two_that_shard(
    store: Store, plan_of: PlanOf, alone: tuple[Record, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixgrid.training.loop.REPORT_EVERY_S", 0.0)

    def stop(share: float, text: str) -> None:
        if text.startswith("step") and share > 0.5:
            raise Stopped

    every = Interval(steps=5)
    plan = plan_of(UNEVEN, runtime=TrainingRuntime(snapshot_every=every))
    step = plan.chains[CELL][-1]
    store.remove_folder(step.folder)
    with pytest.raises(Stopped):
        execute(WorkOrder.of(step), store, stop)
    told: list[str] = []
    both = plan_of(UNEVEN, runtime=TrainingRuntime(processes=2, sharding="full", snapshot_every=every))
    execute(WorkOrder.of(both.chains[CELL][-1]), store, lambda _, text: told.append(text))
    weights = load_file(store.open(store.find(step)).path("model.safetensors"))  # type: ignore[arg-type]
    assert "goes on from the snapshot after step 15" in told
    assert max(float((weights[n] - w).norm() / w.norm()) for n, w in alone[1].items()) <= 1e-5


def test_loss_that_explodes_in_several_processes_says_what_to_change(store: Store, plan_of: PlanOf, make: Make) -> None:
    changes = ("peak_learning_rate: 2.0e-3", "peak_learning_rate: 1.0e+30"), ("schedule: cosine", "schedule: constant")
    with pytest.raises(StepError, match="lower peak_learning_rate"):
        trained(store, plan_of, make, WAYS["two"], *changes)


def test_damaged_input_of_several_processes_is_named_so_that_it_is_made_again(
    tmp_path: Path, plan_of: PlanOf, make: Make
) -> None:
    plan, store = plan_of(runtime=WAYS["two"]), Store(str(tmp_path))
    step = plan.chains[CELL][-1]
    for parent in step.parents():
        make(plan, parent, store)
    mixture = next(parent for parent in step.parents() if parent.kind == "mix")
    rows = next((tmp_path / mixture.folder).rglob("row.npy"))
    rows.write_bytes(bytes(len(rows.read_bytes())))
    with pytest.raises(DamagedArtifact) as raised:
        execute(WorkOrder.of(step), store, lambda *_: None)
    assert raised.value.folder == mixture.folder


def test_training_processes_end_with_the_one_that_started_them(tmp_path: Path, plan_of: PlanOf, make: Make) -> None:
    plan, store = plan_of(("epochs: 3", "epochs: 3000"), runtime=WAYS["two"]), Store(str(tmp_path))
    step = plan.chains[CELL][-1]
    for parent in step.parents():
        make(plan, parent, store)
    worker = subprocess.Popen(
        [sys.executable, "-m", "mixgrid.worker", store.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert worker.stdin
    assert worker.stdout
    worker.stdin.write(WorkOrder.of(step).model_dump_json() + "\n")
    worker.stdin.flush()
    while "step " not in worker.stdout.readline():
        assert worker.poll() is None
    family = psutil.Process(worker.pid).children(recursive=True)
    assert len(family) >= 3  # the launcher and two processes
    worker.send_signal(signal.SIGKILL)
    worker.communicate()
    deadline = time.monotonic() + 30
    while any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family):
        assert time.monotonic() < deadline, family
        time.sleep(0.1)


@given(lengths=st.lists(st.integers(1, 500), max_size=40), processes=st.integers(1, 8))
def test_shares_of_a_batch_are_all_of_it_and_even_but_for_one_example(lengths: list[int], processes: int) -> None:
    shares = share_out(lengths, processes=processes)
    assert sorted(i for share in shares for i in share) == list(range(len(lengths)))
    loads = [sum(lengths[i] for i in share) for share in shares]
    assert max(loads) - min(loads) <= max(lengths, default=0)
