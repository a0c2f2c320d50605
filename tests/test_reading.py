"""Reading a source: every row is used, held out or counted with its reason; nothing is on both sides."""

import hashlib
import json
import os
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.conversations import exchange, read_conversations
from mixgrid.errors import SourceError
from mixgrid.sources.reading import Reading, hold_out, read_source
from mixgrid.steps import Work
from mixgrid.steps.download import DownloadRuntime, DownloadSettings, download, make

prompts = st.lists(st.sampled_from([f"{n} + 1?" for n in range(12)]), min_size=1, max_size=30)


def reading_of(texts: Sequence[str]) -> Reading:
    return Reading(rows=[exchange(text, "2", origin=number) for number, text in enumerate(texts)])


def split(texts: Sequence[str], count: int) -> Reading | None:
    """The two sides, or None where nothing would be left to train on."""
    try:
        return hold_out(reading_of(texts), count, source="mine")
    except SourceError:
        return None


def write_rows(path: Path, rows: Sequence[Any]) -> DownloadSettings:
    """A JSON Lines file and the settings that pin it."""
    path.write_text("".join(json.dumps(row) + "\n" if not isinstance(row, str) else row + "\n" for row in rows))
    return DownloadSettings(source="mine", form="query_response", content=hashlib.sha256(path.read_bytes()).hexdigest())


def at(path: Path, rows: int | None = None) -> DownloadRuntime:
    return DownloadRuntime(locations=(str(path),), declared_rows=rows)


def row(number: int) -> dict[str, str]:
    return {"query": f"{number} + 1?", "response": str(number + 1)}


@given(prompts, st.integers(1, 30))
def test_hold_out_has_no_prompt_on_both_sides_and_loses_no_row(texts: list[str], count: int) -> None:
    found = split(texts, count)
    if found is None:
        return
    assert {r.prompt for r in found.rows} & {r.prompt for r in found.held_out} == set()
    assert sorted(r.origin for r in found.rows + found.held_out) == list(range(len(texts)))
    assert len(found.held_out) >= count
    assert found.rows


@given(prompts, st.integers(1, 30))
def test_hold_out_takes_no_prompt_more_than_needed(texts: list[str], count: int) -> None:
    found = split(texts, count)
    if found is not None:
        sizes = [[r.prompt for r in found.held_out].count(prompt) for prompt in {r.prompt for r in found.held_out}]
        assert len(found.held_out) - max(sizes) < count


@given(prompts, st.integers(1, 30), st.randoms(use_true_random=False))
def test_hold_out_of_shuffled_rows_takes_the_same_prompts(texts: list[str], count: int, order: random.Random) -> None:
    shuffled = list(texts)
    order.shuffle(shuffled)
    one, other = split(texts, count), split(shuffled, count)
    assert (one is None) == (other is None)
    if one and other:
        assert {r.prompt for r in one.held_out} == {r.prompt for r in other.held_out}


@given(prompts, st.integers(0, 30))
def test_hold_out_keeps_the_order_of_the_source_on_both_sides(texts: list[str], count: int) -> None:
    found = split(texts, count)
    for side in (found.rows, found.held_out) if found else ():
        assert [r.origin for r in side] == sorted(r.origin for r in side)


def test_hold_out_of_one_prompt_many_times_is_refused() -> None:
    with pytest.raises(SourceError, match="mine: held_out 1 leaves none of its 3 rows to train on; lower it"):
        hold_out(reading_of(["1 + 1?"] * 3), 1, source="mine")


def test_source_with_bad_rows_counts_each_with_its_reason(tmp_path: Path) -> None:
    bad = ["{", "[]", {"query": "1?"}, {"query": "", "response": "2"}, {"query": "1?", "response": " "}]
    settings = write_rows(tmp_path / "a.jsonl", [row(0), *bad, row(1), {"query": "2?"}])
    found = read_source(settings, at(tmp_path / "a.jsonl"))
    assert (found.read, [r.origin for r in found.rows]) == (8, [0, 6])
    assert dict(found.rejected) == {
        "not JSON": 1, "not an object": 1, "no 'response' field": 2, "empty user turn": 1, "empty assistant turn": 1,
    }  # fmt: skip
    assert [example["row"] for example in found.examples] == [1, 2, 3, 4, 5, 7]


@given(st.lists(st.sampled_from(["good", "cut", "empty", "list"]), min_size=1, max_size=40), st.integers(0, 10))
def test_source_of_any_rows_accounts_for_every_one(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], held_out: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    written = {"cut": '{"query": "1', "empty": {"query": " ", "response": "2"}, "list": "[1]"}
    pinned = write_rows(path, [written.get(kind, row(number)) for number, kind in enumerate(kinds)])
    try:
        found = read_source(pinned.model_copy(update={"held_out": held_out}), at(path))
    except SourceError:
        assert kinds.count("good") <= held_out
        return
    assert found.read == len(found.rows) + len(found.held_out) + sum(found.rejected.values()) == len(kinds)


def test_source_with_another_number_of_rows_than_declared_says_what_to_write(tmp_path: Path) -> None:
    settings = write_rows(tmp_path / "a.jsonl", [row(0), row(1), "{"])
    with pytest.raises(SourceError, match="mine: 3 rows found, 2 declared; if this data is meant, write `rows: 3`"):
        read_source(settings, at(tmp_path / "a.jsonl", rows=2))
    assert read_source(settings, at(tmp_path / "a.jsonl", rows=3)).read == 3


def test_source_that_changed_after_planning_is_refused(tmp_path: Path) -> None:
    settings = write_rows(tmp_path / "a.jsonl", [row(0)])
    write_rows(tmp_path / "a.jsonl", [row(1)])
    with pytest.raises(SourceError, match=r"a\.jsonl has changed since it was planned .*run again"):
        read_source(settings, at(tmp_path / "a.jsonl"))


def test_source_without_one_good_row_is_refused_with_reasons_and_the_form(tmp_path: Path) -> None:
    settings = write_rows(tmp_path / "a.jsonl", [{"query": "1?"}, {"query": "2?"}, "{"])
    with pytest.raises(SourceError, match=r"no usable row among 3 .*no 'response' field \(2\), not JSON \(1\)"):
        read_source(settings, at(tmp_path / "a.jsonl"))


def test_source_in_several_files_numbers_rows_through(tmp_path: Path) -> None:
    hashes = [str(write_rows(tmp_path / name, [row(n)]).content) for n, name in enumerate(["b.jsonl", "a.jsonl"])]
    content = hashlib.sha256("\n".join(hashes).encode()).hexdigest()
    settings = DownloadSettings(source="mine", form="query_response", content=content)
    found = read_source(settings, DownloadRuntime(locations=(str(tmp_path / "b.jsonl"), str(tmp_path / "a.jsonl"))))
    assert [(r.origin, r.prompt) for r in found.rows] == [(0, "0 + 1?"), (1, "1 + 1?")]


def test_download_step_leaves_both_sides_and_a_ledger_that_adds_up(tmp_path: Path) -> None:
    settings = write_rows(tmp_path / "a.jsonl", [*map(row, range(10)), "{"]).model_copy(update={"held_out": 3})
    ledger = make(Work(settings=settings, inputs={}, folder=tmp_path, runtime=at(tmp_path / "a.jsonl")))
    sides = [read_conversations(tmp_path / f"{side}.parquet") for side in ("rows", "held_out")]
    assert [len(side) for side in sides] == [7, 3] == [ledger["rows"], ledger["held_out"]]
    assert sum(ledger["rejected"].values()) + 10 == ledger["read"] == 11
    assert {c.response for side in sides for c in side} == {str(number + 1) for number in range(10)}


def test_download_key_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    def key(name: str, rows: Sequence[Any], declared: int | None = None) -> str:
        return download(write_rows(tmp_path / name, rows), at(tmp_path / name, declared)).key

    assert key("a.jsonl", [row(0)]) == key("b.jsonl", [row(0)], declared=1) != key("a.jsonl", [row(1)])


HUB = """
import json, sys
from mixgrid.errors import SourceError
from mixgrid.sources import HubDataset
from mixgrid.sources.reading import hub_rows
found = []
for dataset in json.loads(sys.argv[1]):
    try:
        found.append(list(hub_rows(HubDataset(**dataset))))
    except SourceError as error:
        found.append(str(error))
print(json.dumps(found))
"""


def test_hub_dataset_gives_the_rows_of_its_split_or_a_remedy(tmp_path_factory: pytest.TempPathFactory) -> None:
    repo = tmp_path_factory.mktemp("hub")  # not tmp_path: `datasets` reads "test" in a folder's name as the split
    for split_name, rows in (("train", [row(0), row(1)]), ("test", [row(2)])):
        write_rows(repo / f"{split_name}.jsonl", rows)
    asked = [{"repo": str(repo)}, {"repo": str(repo), "split": "test"}, {"repo": "nobody/nothing", "revision": "abc"}]
    # a fresh process: `datasets` reads its variables when it is imported
    environment = {**os.environ, "HF_HOME": str(repo / "home"), "HF_DATASETS_OFFLINE": "1", "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-W", "ignore", "-c", HUB, json.dumps(asked)]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    train, test, message = json.loads(ended.stdout)
    assert (train, test) == ([row(0), row(1)], [row(2)])
    assert message.startswith("hub dataset nobody/nothing (split train, revision abc): ")
    assert message.endswith("or give a local copy with `path`")
