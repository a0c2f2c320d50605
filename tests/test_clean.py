"""Cleaning: what no study needs goes, what runs or may still be asked for stays, and nothing has to be made again."""

import json
import os
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.command_line import main
from mixgrid.cells import Selection
from mixgrid.clean import (
    ANSWERS,
    ATTEMPTS,
    CHECKPOINTS,
    LEFT_OVER,
    NO_STUDY,
    SNAPSHOTS,
    UPLOADS,
    Keep,
    find_garbage,
    remove,
)
from mixgrid.file_lock import hold
from mixgrid.identity import Settings
from mixgrid.lease import Lease, lease_path
from mixgrid.live import LiveRun
from mixgrid.plan import Plan, make_plan
from mixgrid.step import Step
from mixgrid.store import Store
from mixgrid.study_file import parse_study

STUDY = """\
name: small
abilities:
  math: {source: {name: lab.math, rows: 48, held_out: 12}, benchmarks: [lab.math]}
  general: {source: {name: lab.general, rows: 48, held_out: 12}, benchmarks: [lab.general]}
specialised: [math]
models: [lab.small]
proportions: [1, 1/4]
experiments: [dmt]
recipe: {epochs: 1, batch_size: 16, peak_learning_rate: 2.0e-3, warmup_ratio: 0.03, schedule: cosine}
"""


class Number(Settings):
    number: int


STRAY = Step(kind="sft", settings=Number(number=1), label="stray", title="a step of no study")


def plan_of(store: Store) -> Plan:
    plan = make_plan(parse_study(STUDY, path=Path("small.yaml")), selection=Selection(), lock={}, store=store)
    plan.look_up(store)
    return plan


def make(store: Store, *steps: Step) -> None:
    """Artifacts of 10 bytes; nothing here reads them."""
    for step in steps:
        with store.attempt(step) as attempt:
            (attempt.folder / "file").write_bytes(b"0123456789")
            attempt.commit(ledger={"rows": 36, "parameters": 1})


def make_all(store: Store) -> Plan:
    make(store, *plan_of(store).steps.values())
    return plan_of(store)


def put(store: Store, *paths: str) -> None:
    for path in paths:
        store.write_atomically(path, b"0123456789")


def garbage(store: Store, *, keep: Keep = "all", older_than_s: float = 0) -> dict[str, str]:
    """Path -> reason of all that would go."""
    found = find_garbage([plan_of(store)], store, keep=keep, older_than_s=older_than_s)
    return {item.path: item.reason for item in found.found}


def clean(store: Store, *, keep: Keep) -> None:
    found = find_garbage([plan_of(store)], store, keep=keep, older_than_s=0)
    assert len(list(remove(found.found, store))) == len(found.found)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"))


@pytest.fixture(params=["local", "s3"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    server = request.getfixturevalue("s3_server") if request.param == "s3" else str(tmp_path)
    return Store(f"{server}/{tmp_path.name}")


def test_clean_of_a_finished_study_finds_nothing(any_store: Store) -> None:
    make_all(any_store)
    put(any_store, "judge-cache/3f/3fa9.json", "locks/small.lock", "reports/small.html")
    assert garbage(any_store) == {}


def test_clean_removes_what_no_study_needs_and_nothing_else(any_store: Store) -> None:
    plan = make_all(any_store)
    make(any_store, STRAY)
    damaged = plan.scores[0].folder
    put(
        any_store,
        f"{damaged}/attempt-dead/file",
        f"{damaged}/attempt-dead/deep/file",
        "answering/0123456789abcdef/a.jsonl",
    )
    assert garbage(any_store) == {
        STRAY.folder: NO_STUDY, f"{damaged}/attempt-dead": ATTEMPTS, "answering/0123456789abcdef": ANSWERS
    }  # fmt: skip
    clean(any_store, keep="all")
    assert garbage(any_store) == {}
    assert any_store.objects(STRAY.folder) == {}
    assert len(plan_of(any_store).found) == len(plan.steps)


def test_clean_counts_bytes_by_hand(store: Store) -> None:
    make_all(store)
    put(store, f"{STRAY.folder}/attempt-a/x", f"{STRAY.folder}/attempt-b/y", "snapshot/0-00000009-1/attempt-c/z")
    found = find_garbage([plan_of(store)], store, older_than_s=0).found
    assert [(item.path, item.size) for item in found] == [(STRAY.folder, 20), ("snapshot/0-00000009-1", 10)]


def test_clean_leaves_snapshots_and_answers_of_steps_that_are_still_to_run(store: Store) -> None:
    plan = plan_of(store)
    training = next(step for step in plan.steps.values() if step.kind == "sft")
    answer = next(step for step in plan.steps.values() if step.kind == "answer")
    label, answers = f"{training.key[:16]}-00000009", f"answering/{answer.key[:16]}"
    snapshot = Step(kind="snapshot", settings=Number(number=9), label=label, title="a snapshot")
    make(store, snapshot)
    put(store, f"{answers}/a.jsonl")
    assert garbage(store) == {}
    make_all(store)
    assert garbage(store) == {snapshot.folder: SNAPSHOTS, answers: ANSWERS}


def test_clean_keeps_final_checkpoints_or_only_needed_ones(store: Store) -> None:
    plan = make_all(store)
    chains = plan.chains.values()
    first = {chain[0].folder for chain in chains} - {chain[-1].folder for chain in chains}
    assert len(first) == 1  # math alone: the first stage of DMT at both k, where no cell ends
    assert garbage(store, keep="final") == dict.fromkeys(first, CHECKPOINTS)
    everything = {step.folder for step in plan.steps.values() if step.kind in ("base", "sft")}
    assert garbage(store, keep="needed") == dict.fromkeys(everything, CHECKPOINTS)


def test_clean_of_checkpoints_keeps_those_that_a_missing_step_reads(store: Store) -> None:
    plan = make_all(store)
    answer = next(step for step in plan.steps.values() if step.kind == "answer" and "base" not in step.folder)
    (score,) = (s for s in plan.scores if answer in s.parents())
    for step in (answer, score):
        store.retire(step.folder)
    read = {parent.folder for parent in answer.parents()}
    gone = garbage(store, keep="needed")
    assert CHECKPOINTS in gone.values()
    assert not read & set(gone)


@settings(max_examples=25)
@given(st.sets(st.integers(0, 200)), st.sampled_from(["all", "final", "needed"]))
def test_clean_never_gives_a_run_more_to_do(absent: set[int], keep: Keep) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(folder)
        steps = list(plan_of(store).steps.values())
        make(store, *(step for i, step in enumerate(steps) if i not in absent))
        before = set(plan_of(store).missing())
        clean(store, keep=keep)
        assert set(plan_of(store).missing()) == before


def test_clean_leaves_what_is_young(store: Store) -> None:
    make_all(store)
    put(store, f"{STRAY.folder}/attempt-a/file")
    found = find_garbage([plan_of(store)], store, older_than_s=3600)
    assert (found.found, [item.path for item in found.young]) == ([], [STRAY.folder])
    two_hours_ago = found.young[0].modified - 7200
    os.utime(Path(store.root) / STRAY.folder / "attempt-a/file", (two_hours_ago, two_hours_ago))
    assert list(garbage(store, older_than_s=3600)) == [STRAY.folder]


def test_clean_leaves_what_a_live_run_is_making(store: Store) -> None:
    put(store, f"{STRAY.folder}/attempt-a/file")
    live = LiveRun(store, "other")
    live.running.add(STRAY.folder)
    live.tell(now=True)
    assert garbage(store) == {}
    live.tell(ended=True)
    assert garbage(store) == {STRAY.folder: NO_STUDY}


def leave_lease(store: Store, key: str, *, silent_s: float, lease_s: float = 180) -> str:
    """What a killed holder leaves, `silent_s` after its last renewal; the path."""
    path = lease_path(key)
    store.write_atomically(path, json.dumps({"holder": "dead", "lease_s": lease_s}).encode())
    then = time.time() - silent_s
    os.utime(Path(store.root) / path, (then, then))
    return path


def test_clean_takes_leases_that_killed_holders_left_of_steps_that_are_finished_or_of_no_study(store: Store) -> None:
    plan = make_all(store)
    step, lost = plan.scores[0], plan.aggregate
    store.remove_folder(lost.folder)
    gone = [leave_lease(store, key, silent_s=400) for key in (step.key, STRAY.key)]
    leave_lease(store, lost.key, silent_s=400)
    assert garbage(store) == dict.fromkeys(gone, LEFT_OVER)
    clean(store, keep="all")
    assert list(store.objects("leases")) == [f"{lost.key}.json"]


def test_clean_leaves_a_lease_that_was_renewed_within_twice_its_length(store: Store) -> None:
    make_all(store)
    path = leave_lease(store, STRAY.key, silent_s=300)
    assert garbage(store) == {}
    assert leave_lease(store, STRAY.key, silent_s=300, lease_s=60) == path
    assert garbage(store) == {path: LEFT_OVER}


def test_clean_leaves_what_a_step_whose_grid_is_gone_is_making(any_store: Store) -> None:
    put(any_store, f"{STRAY.folder}/attempt-a/file")
    with Lease(any_store, STRAY.key, lease_s=30, lost=lambda: None):
        found = find_garbage([plan_of(any_store)], any_store, older_than_s=0)
        assert (found.found, [item.path for item in found.in_use]) == ([], [lease_path(STRAY.key), STRAY.folder])
    assert garbage(any_store) == {STRAY.folder: NO_STUDY}


def test_clean_leaves_what_is_locked(store: Store) -> None:
    put(store, f"{STRAY.folder}/attempt-a/file")
    found = find_garbage([plan_of(store)], store, older_than_s=0).found
    with hold(Path(store.root) / STRAY.folder / ".lock"):  # type: ignore[union-attr]
        assert list(remove(found, store)) == []
    assert len(list(remove(found, store))) == 1
    assert store.objects(STRAY.folder) == {}


def test_clean_finds_uploads_that_were_never_finished(s3_server: str) -> None:
    store = Store(f"{s3_server}/uploads")
    store.fs.call_s3("create_multipart_upload", Bucket="bucket", Key="uploads/sft/x/attempt-a/model.safetensors")
    assert garbage(store) == {"sft/x/attempt-a/model.safetensors": UPLOADS}
    clean(store, keep="all")
    assert garbage(store) == {}


def test_clean_command_is_a_dry_run_unless_told(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(STUDY)
    make_all(store)
    put(store, f"{STRAY.folder}/attempt-a/file")
    arguments = ["clean", str(tmp_path / "small.yaml"), "--store", store.url, "--older-than", "0"]
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"     10 B  {STRAY.folder}  {NO_STUDY}\n"
    assert list(store.objects(STRAY.folder))
    assert main([*arguments, "--yes"]) == 0
    assert store.objects(STRAY.folder) == {}
    assert "removed 1 of them, 10 B" in capsys.readouterr().err


def test_clean_command_refuses_to_lose_a_study_that_was_not_named(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "small.yaml").write_text(STUDY)
    put(store, f"{STRAY.folder}/attempt-a/file")
    LiveRun(store, "other").tell(ended=True)
    arguments = ["clean", str(tmp_path / "small.yaml"), "--store", store.url, "--older-than", "0", "--yes"]
    assert main(arguments) == 2
    assert "studies were run there that are not given: other" in capsys.readouterr().err
    assert list(store.objects(STRAY.folder))
    assert main([*arguments, "--forget", "other"]) == 0
    assert list(store.objects("")) == []
