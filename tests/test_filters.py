"""Filters: what they find in data whose kind is known otherwise, and that every row is kept, held out or counted."""

import gzip
import hashlib
import json
import time
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.conversations import Conversation, Message, exchange, read_conversations
from mixgrid.errors import SourceError
from mixgrid.filters import FilterChoice, FilterSettings, load_filters, looks_of
from mixgrid.sources.files import read_rows
from mixgrid.sources.forms import Normalised, normalise
from mixgrid.sources.reading import Reading, hold_out, read_source, remove
from mixgrid.steps import Work
from mixgrid.steps.download import DownloadRuntime, DownloadSettings, make

CODE, MATH = (FilterChoice(name=name).pinned() for name in ("code", "math"))

READ_BY_HAND = {
    True: {5, 68, 87, 194, 203, 217, 218, 395, 501, 503, 593, 618, 620, 637, 814, 836, 906, 959, 992, 995, 1015, 1063,
           1095, 1110, 1161, 1163, 1169, 1207, 1231},
    False: {63, 105, 206, 215, 224, 267, 273, 437, 443, 445, 449, 456, 510, 563, 614, 667, 697, 714, 812, 821, 824, 865,
            981, 1022, 1118, 1126, 1164, 1173, 1192, 1199, 1223},
}  # fmt: skip
"""60 rows of general_chat.json, 30 that the filters remove and 30 that they keep: does it teach code or math?"""


def looks(conversation: Conversation) -> str:
    return " + ".join(looks_of([CODE.filter(), MATH.filter()], conversation)) or "neither"


def counted(path: Path, form: str) -> Counter[str]:
    found = (normalise(form, row, origin=n) for n, row in enumerate(read_rows(str(path))))
    return Counter(looks(row.conversation) for row in found if isinstance(row, Normalised))


@pytest.mark.parametrize(
    "text",
    [
        "Write a script of a sales call.",
        "What is the dress code for a wedding?",
        "Summarize https://example.org/2020/09/21/news.html for me.",
        "Extract all names and answer in JSON.",
        "I won 3 of 12 games between 2019/20 and 2021, at $5.50 each. Call 555-1234 on 12-11-2023.",
        "The program of the evening function: a choir, then the factors of our success.",
    ],
)
def test_general_text_with_words_or_numbers_of_code_and_math_looks_like_neither(text: str) -> None:
    assert looks(exchange(text, text)) == "neither"


def test_sign_in_a_later_turn_counts_and_is_said() -> None:
    turns = (Message("user", "Hi"), Message("assistant", "Hello!"), Message("user", "And?"))
    talk = Conversation((*turns, Message("assistant", "So 6 x 7 = 42.\n```python\nprint(42)\n```")))
    signs = looks_of([CODE.filter(), MATH.filter()], talk)
    assert {name: (sign.rule, sign.text) for name, sign in signs.items()} == {
        "code": ("fenced", "```python"), "math": ("sum", "6 x 7 = 4"),
    }  # fmt: skip


def test_filters_find_nearly_all_of_the_sources_that_teach_code_and_math(test_data: Path) -> None:
    alpaca = counted(test_data / "code_alpaca" / "new_codealpaca.json", "alpaca")
    gsm8k = counted(test_data / "gsm8k" / "test.jsonl", "query_response")
    training = counted(test_data / "gsm8k" / "train.jsonl", "query_response")
    assert (alpaca["code"] + alpaca["code + math"], alpaca.total()) == (4530, 4535)
    assert gsm8k == {"math": 1309, "neither": 10}
    assert training == {"math": 7394, "code + math": 5, "neither": 74}


def test_filters_agree_with_the_categories_of_mt_bench(test_data: Path) -> None:
    folder = test_data / "mt_bench"
    rows, answers = (
        [json.loads(line) for line in (folder / name).read_text(encoding="utf-8").splitlines()]
        for name in ("question.jsonl", "reference_answer_gpt-4.jsonl")
    )
    answered = {row["question_id"]: row["choices"][0]["turns"] for row in answers}
    found: dict[str, Counter[str]] = {row["category"]: Counter() for row in rows}
    for row in rows:
        replies = answered.get(row["question_id"], ["Yes.", "No."])
        talk = [[Message("user", q), Message("assistant", a)] for q, a in zip(row["turns"], replies, strict=True)]
        found[row["category"]][looks(Conversation((*talk[0], *talk[1])))] += 1
    assert found["coding"]["neither"] == 0
    assert found["math"]["neither"] == 2
    others = [category for category in found if category not in ("coding", "math")]
    assert sum(10 - found[category]["neither"] for category in others) == 3  # of 60


def test_filters_agree_with_a_sample_that_was_read_by_hand(test_data: Path) -> None:
    rows = json.loads((test_data / "sharegpt" / "general_chat.json").read_text(encoding="utf-8"))
    seen = {True: 0, False: 0}
    for origin in READ_BY_HAND[True] | READ_BY_HAND[False]:
        row = normalise("sharegpt", rows[origin], origin=origin)
        assert isinstance(row, Normalised)
        seen[(looks(row.conversation) != "neither") == (origin in READ_BY_HAND[True])] += 1
    assert seen == {True: 57, False: 3}  # two removed and one kept that should not be


def test_download_of_a_filtered_source_counts_what_it_removed(test_data: Path, tmp_path: Path) -> None:
    path = test_data / "sharegpt" / "general_chat.json"
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    settings = DownloadSettings(source="chat", form="sharegpt", content=content, held_out=100, without=(CODE, MATH))
    work = Work(
        settings=settings, runtime=DownloadRuntime(locations=(str(path),)), inputs={}, folder=tmp_path, progress=print
    )
    ledger = make(work)
    assert ledger["removed"] == {"code": 75, "code + math": 11, "math": 81}
    assert ledger["read"] == 1298 == ledger["rows"] + ledger["held_out"] + sum(ledger["removed"].values())
    first = ledger["removed_examples"][0]
    assert first == {"row": 5, "looks": {"math": {"rule": "request", "text": "triangle"}}}
    assert {looks(row) for row in read_conversations(tmp_path / "rows.parquet")} == {"neither"}


prompts = st.lists(st.sampled_from([f"{n}, then what is {n} + 1?" for n in range(6)] + list("abcdef")), min_size=1)


def reading_of(texts: list[str]) -> Reading:
    return Reading(rows=[exchange(text, "2", origin=number) for number, text in enumerate(texts)])


@given(prompts, st.integers(1, 8))
def test_filtered_source_trains_on_no_row_that_the_whole_one_holds_out(texts: list[str], count: int) -> None:
    try:
        whole = hold_out(reading_of(texts), count, source="mine")
        less = hold_out(remove(reading_of(texts), [MATH], source="mine"), count, source="mine")
    except SourceError:
        return
    assert {r.origin for r in less.rows} <= {r.origin for r in whole.rows}
    assert len(less.rows) + len(less.held_out) + less.removed.total() == len(texts)
    assert {looks(r) for r in less.rows + less.held_out} == {"neither"}


def test_generated_source_loses_look_alikes_on_both_sides_and_says_if_none_stay() -> None:
    facts = FilterSettings(name="animals", patterns=(r"\banimal\b",))
    plain = DownloadSettings(source="lab.general", rows=200, held_out=50)
    whole = read_source(plain, DownloadRuntime())
    less = read_source(plain.model_copy(update={"without": (facts,)}), DownloadRuntime())
    told = [r for r in whole.rows + whole.held_out if "animal" in r.prompt + r.response]
    assert less.removed == {"animals": len(told)}
    assert [r.origin for r in less.rows] == [r.origin for r in whole.rows if "animal" not in r.prompt + r.response]
    with pytest.raises(SourceError, match=r"lab.math: every row looks like math; change `without`"):
        read_source(DownloadSettings(source="lab.math", rows=20, without=(MATH,)), DownloadRuntime())


def test_no_text_makes_a_rule_slow() -> None:
    hostile = [
        "1 " * 30_000,
        "x = " * 20_000,
        "a b " * 20_000,
        "9" * 60_000,
        "(" * 60_000,
        "```" * 20_000,
        "-1" * 30_000,
    ]
    hostile += ["calculate " * 8_000, "write a " * 10_000, "SELECT " * 9_000, "\n\t" * 30_000, "$$" * 30_000]
    started = time.process_time()
    for text in hostile:
        looks_of(list(load_filters().values()), exchange(text, text))
    assert time.process_time() - started < 20  # 2 s when written; a rule that goes back and forth takes hours


def test_human_eval_prompts_look_like_code(test_data: Path) -> None:
    with gzip.open(test_data / "human_eval" / "HumanEval.jsonl.gz", "rt", encoding="utf-8") as file:
        prompts_ = [json.loads(line)["prompt"] for line in file]
    assert all("code" in looks(exchange(prompt, "Yes.")) for prompt in prompts_)
