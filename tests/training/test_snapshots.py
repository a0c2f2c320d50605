"""Resuming inside a stage: wherever it was stopped, and whatever was damaged, the end is the same to the byte."""

import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mixgrid.errors import StepError, StoreAway, StoreError
from mixgrid.execute import WorkOrder, execute
from mixgrid.models import save_tokenizer, train_tokenizer
from mixgrid.plan import Plan
from mixgrid.progress import silent
from mixgrid.runtime import Interval, TrainingRuntime
from mixgrid.step import Step
from mixgrid.steps.base import BaseRuntime, BaseSettings, Pretraining, base
from mixgrid.steps.sft import training_key
from mixgrid.steps.tokenizer import LabText
from mixgrid.store import Store
from mixgrid.training.curve import Curve
from mixgrid.training.engine import State
from mixgrid.training.snapshots import Snapshots, SnapshotStep
from mixgrid.training.writing import writing

CELL = "nano:rq4.multi_task:1:0"
EVERY_3 = TrainingRuntime(snapshot_every=Interval(steps=3), patience_s=0)
QUARTERS = ("proportions: [1]", "proportions: [1]\nevaluate_at: [1/4, 1/2]")
PlanOf = Callable[..., Plan]
Make = Callable[..., Step]


class Stopped(Exception):
    """What stands for a kill in this process."""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf, make: Make) -> Path:
    """A store with everything but the last stage."""
    folder = tmp_path_factory.mktemp("prepared")
    plan = plan_of()
    for parent in plan.chains[CELL][-1].parents():
        make(plan, parent, Store(str(folder)))
    return folder


@pytest.fixture
def store(prepared: Path, tmp_path: Path) -> Store:
    return copy_of(prepared, tmp_path / "store")


def copy_of(folder: Path, target: Path) -> Store:
    subprocess.run(["cp", "-r", folder, target], check=True)
    return Store(str(target))


def last(plan_of: PlanOf, *changes: tuple[str, str], runtime: TrainingRuntime = EVERY_3) -> Step:
    return plan_of(*changes, runtime=runtime).chains[CELL][-1]


def files(store: Store, step: Step) -> dict[str, str]:
    """Name -> SHA-256 of what a finished step left."""
    record = store.find(step)
    assert record is not None
    return {name: entry.sha256 for name, entry in record.files.items()}


def train(store: Store, step: Step, *, stop_at: int | None = None, steps: int = 30) -> bool:
    """Make the step, stopped when `stop_at` steps are done; whether it was finished."""

    def progress(share: float, text: str) -> None:
        if text.startswith("step") and stop_at is not None and share >= stop_at / steps:
            raise Stopped

    try:
        execute(WorkOrder.of(step), store, progress)
    except Stopped:
        return False
    return True


def parts(plan: Plan) -> list[Step]:
    """The checkpoints on the way to the final one, and it, in order."""
    chain = [plan.chains[CELL][-1]]
    while chain[0].key in plan.after:
        chain.insert(0, plan.steps[plan.after[chain[0].key]])
    return chain


def kept(store: Store) -> list[int]:
    """After which steps there are snapshots."""
    return [record.ledger["step"] for record in store.records("snapshot")]


@pytest.fixture(scope="module")
def undisturbed(prepared: Path, tmp_path_factory: pytest.TempPathFactory, plan_of: PlanOf) -> dict[str, str]:
    store = copy_of(prepared, tmp_path_factory.mktemp("undisturbed") / "store")
    step = last(plan_of)
    assert train(store, step)
    return files(store, step)


@pytest.fixture(autouse=True)
def every_step_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixgrid.training.loop.REPORT_EVERY_S", 0.0)


@settings(max_examples=5, deadline=None)
@given(stops=st.lists(st.integers(1, 29), min_size=1, max_size=3))
def test_training_stopped_at_any_steps_ends_with_the_same_bytes(
    stops: list[int], prepared: Path, undisturbed: dict[str, str], plan_of: PlanOf,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:  # fmt: skip
    store, step = copy_of(prepared, tmp_path_factory.mktemp("stopped") / "store"), last(plan_of)
    for stop in stops:
        train(store, step, stop_at=stop)
    train(store, step)
    assert files(store, step) == undisturbed
    assert store.names("snapshot") == []


def test_training_keeps_its_newest_two_snapshots_until_it_is_finished(store: Store, plan_of: PlanOf) -> None:
    train(store, last(plan_of), stop_at=17)
    assert kept(store) == [12, 15]


def test_training_goes_on_from_where_the_snapshot_was_taken(store: Store, plan_of: PlanOf) -> None:
    train(store, last(plan_of), stop_at=17)
    told: list[str] = []
    execute(WorkOrder.of(last(plan_of)), store, lambda _, text: told.append(text))
    assert told[1] == "goes on from the snapshot after step 15"
    assert told[2].startswith("step 16/30")


def test_damaged_snapshot_is_reported_and_an_older_one_used(
    store: Store, undisturbed: dict[str, str], plan_of: PlanOf
) -> None:
    train(store, last(plan_of), stop_at=17)
    newest = Path(store.root) / "snapshot" / store.names("snapshot")[-1]
    state = next(newest.rglob("*.distcp"))
    state.write_bytes(bytes(len(state.read_bytes())))
    warnings, told = [], []
    again = Store(store.url, warn=warnings.append)
    execute(WorkOrder.of(last(plan_of)), again, lambda _, text: told.append(text))
    assert "(SHA-256 differs); an older snapshot is used" in warnings[0]
    assert told[1] == "goes on from the snapshot after step 12"
    assert files(again, last(plan_of)) == undisturbed


def test_general_engine_stopped_and_resumed_ends_with_the_same_bytes(store: Store, plan_of: PlanOf) -> None:
    change = ("schedule: cosine}", "schedule: cosine, adapter: {name: lora, rank: 4, dropout: 0.2}}")
    step = last(plan_of, change)
    train(store, step, stop_at=11)
    train(store, step, stop_at=23)
    train(store, step)
    resumed = files(store, step)
    store.remove_folder(step.folder)
    train(store, step)
    assert files(store, step) == resumed


def test_checkpoints_on_the_way_leave_the_final_one_as_it_is(
    store: Store, undisturbed: dict[str, str], plan_of: PlanOf
) -> None:
    quarter, half, final = parts(plan_of(QUARTERS))
    told: list[str] = []
    for step in (quarter, half, final):
        execute(WorkOrder.of(step), store, lambda _, text: told.append(text))
    assert [text for text in told if "snapshot" in text] == [
        f"goes on from the snapshot after step {n}" for n in (8, 15)
    ]
    assert files(store, final) == undisturbed
    curves = [pd.read_parquet(store.open(store.find(s)).path("loss.parquet")) for s in (half, final)]  # type: ignore[arg-type]
    pd.testing.assert_frame_equal(curves[0], curves[1][:15])
    assert store.names("snapshot") == []


def test_part_that_is_asked_for_later_keeps_its_own_snapshots_beside_those_of_the_whole(
    store: Store, undisturbed: dict[str, str], plan_of: PlanOf
) -> None:
    train(store, last(plan_of), stop_at=29)
    _, half, final = parts(plan_of(QUARTERS, runtime=EVERY_3))
    train(store, half, stop_at=14)
    assert kept(store) == [9, 12, 24, 27]
    told: list[str] = []
    for step in (half, final):
        execute(WorkOrder.of(step), store, lambda _, text: told.append(text))
    assert [text for text in told if "snapshot" in text] == [
        f"goes on from the snapshot after step {n}" for n in (12, 27)
    ]
    assert files(store, final) == undisturbed
    assert store.names("snapshot") == []


def test_parts_that_are_made_after_the_whole_are_not_trained_twice_and_leave_one_snapshot(
    store: Store, plan_of: PlanOf
) -> None:
    quarter, half, final = parts(plan_of(QUARTERS, runtime=EVERY_3))
    told: list[str] = []
    for step in (final, quarter, half):
        execute(WorkOrder.of(step), store, lambda _, text: told.append(text))
    assert [text for text in told if "snapshot" in text] == ["goes on from the snapshot after step 8"]
    assert (kept(store), len(store.names("snapshot"))) == ([15], 1)


def unfinished(store: Store, step: SnapshotStep) -> None:
    """What a process leaves that is killed while it writes a snapshot."""
    store.write_atomically(f"{step.folder}/attempt-dead/state/.metadata", b"half")


def test_snapshots_that_kills_left_unfinished_cost_no_other_one_and_go(store: Store, plan_of: PlanOf) -> None:
    step = last(plan_of)
    for number in (27, 20):
        unfinished(store, SnapshotStep(training=training_key(WorkOrder.of(step)), step=number))
    train(store, step, stop_at=8)
    assert kept(store) == [3, 6]
    assert len(store.names("snapshot")) == 2


class Toy:
    """An engine with one weight."""

    device, main, updates, row_tokens, estimated_bytes = torch.device("cpu"), True, 1, 1, 0

    def __init__(self) -> None:
        self.weight = torch.zeros(1)

    def state(self) -> State:
        return {"weights": {"w": self.weight}}

    def accumulate(self, batch: Any, *, step: int) -> float:
        raise NotImplementedError

    def update(self, *, rate: float) -> None:
        raise NotImplementedError

    def write_back(self) -> None:
        raise NotImplementedError

    def load(self, state: State, *, updates: int) -> None:
        raise NotImplementedError


STEPS = st.sets(st.integers(1, 12), max_size=5)


@settings(max_examples=25)
@given(whole=STEPS, torn=STEPS, saved=st.integers(1, 12))
def test_saving_keeps_what_it_wrote_the_one_before_it_and_all_beyond(
    whole: set[int], torn: set[int], saved: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        for number in whole:
            with store.attempt(SnapshotStep(training="t" * 64, step=number)) as attempt:
                (attempt.folder / "curve.json").write_text("{}")
                attempt.commit(ledger={"step": number, "updates": 1})
        for number in torn - whole:
            unfinished(store, SnapshotStep(training="t" * 64, step=number))
        snapshots = Snapshots(store, training="t" * 64, runtime=EVERY_3)
        snapshots.restore(Toy(), most=0)
        snapshots.save(Toy(), Curve(loss=[1.0] * saved))
        before = max((n for n in whole if n < saved), default=saved)
        assert kept(store) == sorted({before, saved} | {n for n in whole if n > saved})
        assert len(store.names("snapshot")) == len(kept(store))


def test_pretraining_takes_the_runtime_files_snapshots(store: Store, plan_of: PlanOf) -> None:
    plan = plan_of(runtime=EVERY_3)
    model = plan.bases["nano"]
    assert isinstance(model.settings, BaseSettings)
    assert isinstance(model.runtime, BaseRuntime)
    pretraining = Pretraining(
        text=LabText(documents=20), steps=30, batch_size=4, sequence_length=32, peak_learning_rate=1e-2,
        warmup_ratio=0.1, adam_beta2=0.98,
    )  # fmt: skip
    tokenizer = next(step for step in plan.steps.values() if step.kind == "tokenizer")
    settings = model.settings.model_copy(update={"pretraining": pretraining})
    step = base(settings, tokenizer=tokenizer, label="nano", runtime=model.runtime)
    train(store, step, stop_at=17)
    assert kept(store) == [12, 15]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """The system refuses to write files beyond `size` bytes, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_snapshot_that_does_not_fit_is_a_clear_error_and_earlier_ones_are_kept(
    store: Store, undisturbed: dict[str, str], plan_of: PlanOf
) -> None:
    train(store, last(plan_of), stop_at=8)
    with largest_file(50_000), pytest.raises(StepError, match=r"snapshot cannot be written.*mend the store"):
        train(store, last(plan_of))
    assert kept(store) == [3, 6]
    train(store, last(plan_of))
    assert files(store, last(plan_of)) == undisturbed


@pytest.mark.parametrize("largest", [50_000, 1_000], ids=["weights", "loss curve"])
def test_checkpoint_that_does_not_fit_is_a_clear_error(largest: int, store: Store, plan_of: PlanOf) -> None:
    message = r"the checkpoint cannot be written to .*(os error|Errno) .*There is no snapshot yet: free space or mend"
    with largest_file(largest), pytest.raises(StepError, match=message):
        train(store, last(plan_of, runtime=TrainingRuntime(patience_s=0)))


def test_tokenizer_that_does_not_fit_is_a_clear_error(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(iter(["12 apples"]), vocabulary_size=300)
    refused = pytest.raises(StoreError, match=r"the checkpoint cannot be written to .*File too large")
    with largest_file(1_000), refused, writing("the checkpoint", tmp_path):
        save_tokenizer(tmp_path, tokenizer)


def test_object_that_does_not_fit_into_the_store_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    with largest_file(10), pytest.raises(StoreError, match=r"cannot write a/record.json: .*free space"):
        Store(str(tmp_path)).write_atomically("a/record.json", bytes(11))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixgrid.training.writing.FIRST_PAUSE_S", 0.01)


@pytest.mark.usefixtures("impatient")
def test_checkpoint_that_does_not_fit_is_written_once_it_does(
    store: Store, undisturbed: dict[str, str], plan_of: PlanOf
) -> None:
    told: list[str] = []

    def progress(_: float, text: str) -> None:
        if "trying again" in text:
            told.append(text)
            make_room()

    step = last(plan_of, runtime=TrainingRuntime(patience_s=60))
    with largest_file(50_000):
        execute(WorkOrder.of(step), store, progress)
    assert len(told) == 1
    assert files(store, step) == undisturbed


def make_room() -> None:
    """This process and those it started may write large files again."""
    for process in (psutil.Process(), *psutil.Process().children(recursive=True)):
        hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (hard, hard))


def test_snapshot_of_two_processes_that_does_not_fit_is_written_once_it_does(
    store: Store, plan_of: PlanOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    told: list[str] = []

    def progress(_: float, text: str) -> None:
        told.append(text)
        if "trying again" in text:
            make_room()

    step = last(plan_of, runtime=TrainingRuntime(processes=2, snapshot_every=Interval(steps=20), patience_s=60))
    with largest_file(100_000):
        execute(WorkOrder.of(step), store, progress)
    again = [text for text in told if "trying again" in text]
    assert re.search("a snapshot cannot be written to .*File too large", again[0])
    assert store.find(step) is not None
    assert list(temporary.iterdir()) == []


def test_store_that_goes_away_is_a_clear_error_and_nothing_is_lost(
    own_s3_server: Any, undisturbed: dict[str, str], plan_of: PlanOf, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXGRID_STORE_PATIENCE_S", "0")
    store, step = Store(f"{own_s3_server.url}/study"), last(plan_of)
    for parent in step.parents():
        make(plan_of(), parent, store)

    def vanish(_: float, text: str) -> None:
        if text.startswith("step 8/"):
            own_s3_server.kill()

    with pytest.raises(StoreAway, match=r"cannot write snapshot/.*are kept: free space or mend the store"):
        execute(WorkOrder.of(step), store, vanish)
    own_s3_server.start()
    told: list[str] = []
    execute(WorkOrder.of(step), store, lambda _, text: told.append(text))
    assert told[1] == "goes on from the snapshot after step 6"
    assert files(store, step) == undisturbed


def test_training_killed_with_minus_nine_ends_with_the_same_bytes(
    store: Store, undisturbed: dict[str, str], plan_of: PlanOf
) -> None:
    step = last(plan_of)
    for kill_after in np.random.default_rng(0).integers(2, 25, size=2):
        worker = Worker(store)
        worker.order(step)
        while worker.steps_done() < kill_after:
            pass
        worker.kill()
        assert store.find(step) is None
    execute(WorkOrder.of(step), store, silent)
    assert files(store, step) == undisturbed


class Worker:
    """A real worker process, asked for one step."""

    def __init__(self, store: Store) -> None:
        self.process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-c", SLOW_WORKER, store.url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def order(self, step: Step) -> None:
        assert self.process.stdin
        self.process.stdin.write(WorkOrder.of(step).model_dump_json() + "\n")
        self.process.stdin.flush()

    def steps_done(self) -> int:
        assert self.process.stdout
        found = re.search(r"step (\d+)/", self.process.stdout.readline())
        return int(found.group(1)) if found else 0

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


SLOW_WORKER = """
import sys, mixgrid.worker as worker, mixgrid.training.loop as loop
loop.REPORT_EVERY_S = worker.PROGRESS_EVERY_S = 0.0
worker.main(sys.argv[1])
"""
