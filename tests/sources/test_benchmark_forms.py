"""Rows of benchmarks become what is asked and what their graders need, or are rejected for the right reason."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from mixgrid.benchmarks import humaneval, mbpp
from mixgrid.conversations import Conversation, read_conversations, write_conversations
from mixgrid.grading.instructions import grade
from mixgrid.sources.files import read_rows
from mixgrid.sources.forms import Normalised, Rejection, detect_form, normalise

MATH = {"problem": "Compute $1+1$.", "level": "Level 1", "type": "Algebra", "solution": r"It is $\boxed{2}$."}
HUMAN_EVAL = {
    "task_id": "mine/0", "prompt": "def f(x):\n", "entry_point": "f", "canonical_solution": "    return x\n",
    "test": "def check(candidate):\n    assert candidate('é') == 'é'\n",
}  # fmt: skip
MBPP = {"task_id": 2, "text": "Write f.", "code": "def f(x): return x", "test_list": ["assert f(1) == 1"]}
IFEVAL = {
    "key": 1000, "prompt": "Name a river without commas.", "instruction_id_list": ["punctuation:no_comma"],
    "kwargs": [{"num_words": None, "relation": None}],
}  # fmt: skip
MT_BENCH = {"question_id": 81, "category": "math", "turns": ["What is 1 + 1?", "Double it."], "reference": ["2", "4"]}
ROWS: dict[str, dict[str, Any]] = {
    "math": MATH, "human_eval": HUMAN_EVAL, "mbpp": MBPP, "ifeval": IFEVAL, "mt_bench": MT_BENCH
}  # fmt: skip


def conversation_of(form: str, row: object) -> Conversation:
    result = normalise(form, row, origin=7)
    assert isinstance(result, Normalised), result
    assert (result.trims, result.conversation.origin) == ((), 7)
    return result.conversation


@pytest.mark.parametrize("form", ROWS)
def test_form_of_a_row_is_detected(form: str) -> None:
    assert detect_form(ROWS[form]) == form


def test_math_asks_the_problem_and_refers_to_the_solution() -> None:
    assert [m.content for m in conversation_of("math", MATH).messages] == [MATH["problem"], MATH["solution"]]


def test_human_eval_asks_the_bare_prompt_and_refers_to_the_problem() -> None:
    conversation = conversation_of("human_eval", HUMAN_EVAL)
    assert conversation.prompt == "def f(x):\n"
    assert conversation.response.startswith('{"entry_point":"f","prompt":"def f(x):\\n","task_id":"mine/0","test":')
    problem = humaneval.problem_of_reference(conversation.response)
    assert (problem.task_id, problem.test) == ("mine/0", HUMAN_EVAL["test"])


@pytest.mark.parametrize("row", [MBPP, {**MBPP, "text": None, "prompt": "Write f.", "test_imports": []}])
def test_mbpp_asks_the_text_with_its_tests(row: dict[str, Any]) -> None:
    conversation = conversation_of("mbpp", row)
    problem = mbpp.problem_of_reference(conversation.response)
    assert conversation.prompt == mbpp.prompt_of(problem)
    assert (problem.text, problem.entry_point, problem.tests) == ("Write f.", "f", ["assert f(1) == 1"])
    assert list(json.loads(conversation.response)) == sorted(json.loads(conversation.response))


def test_ifeval_refers_to_what_its_grader_reads_without_the_hub_s_nulls() -> None:
    conversation = conversation_of("ifeval", IFEVAL)
    assert conversation.response == (
        '{"instruction_id_list":["punctuation:no_comma"],"key":1000,"kwargs":[{}],'
        '"prompt":"Name a river without commas."}'
    )
    assert grade("The Nile.", conversation.response) == {"strict": True, "loose": True, "no_answer": False}
    assert grade("The Nile, say.", conversation.response)["strict"] is False


@pytest.mark.parametrize("reference", [["2", "4"], None])
def test_mt_bench_asks_two_turns_and_leaves_the_first_answer_empty(reference: list[str] | None, tmp_path: Path) -> None:
    conversation = conversation_of("mt_bench", MT_BENCH | {"reference": reference})
    roles = [(message.role, message.content) for message in conversation.messages[:-1]]
    assert roles == [("user", "What is 1 + 1?"), ("assistant", ""), ("user", "Double it.")]
    assert json.loads(conversation.response) == {"question_id": 81, "category": "math", "reference": reference}
    write_conversations(tmp_path / "rows.parquet", [conversation])
    assert read_conversations(tmp_path / "rows.parquet") == [conversation]


@pytest.mark.parametrize(
    ("form", "change", "reason"),
    [
        ("math", {"problem": None}, "no 'problem' field"),
        ("math", {"problem": 5}, "user turn is not text"),
        ("math", {"solution": "It is 2."}, r"no \boxed{} answer"),
        ("human_eval", {"prompt": None}, "no HumanEval problem"),
        ("human_eval", {"entry_point": "g"}, "no HumanEval problem"),
        ("human_eval", {"test": "check = 1"}, "no HumanEval problem"),
        ("human_eval", {"task_id": "half \ud83d"}, "text is not valid Unicode"),
        ("mbpp", {"text": 5}, "no MBPP problem that can be checked"),
        ("mbpp", {"test_list": []}, "no MBPP problem that can be checked"),
        ("mbpp", {"test_list": ["assert f(Pair(1, 2)) == 1"]}, "no MBPP problem that can be checked"),
        ("ifeval", {"kwargs": []}, "instructions and arguments do not pair"),
        ("ifeval", {"kwargs": [None]}, "instructions and arguments do not pair"),
        ("ifeval", {"kwargs": [{"num_words": float("nan")}]}, "no JSON value"),
        ("mt_bench", {"turns": []}, "no user turn"),
        ("mt_bench", {"turns": ["a", ""]}, "empty user turn"),
        ("mt_bench", {"turns": "a"}, "no user turn"),
        ("mt_bench", {"question_id": None}, "no 'question_id' field"),
    ],
)
def test_malformed_row_is_rejected_with_its_reason(form: str, change: dict[str, Any], reason: str) -> None:
    result = normalise(form, ROWS[form] | change, origin=7)
    assert isinstance(result, Rejection)
    assert (result.reason, result.origin) == (reason, 7)
    assert 0 < len(result.detail) < 400


@pytest.mark.parametrize(
    ("file", "form", "count"),
    [("human_eval/HumanEval.jsonl.gz", "human_eval", 164), ("mt_bench/question.jsonl", "mt_bench", 80)],
)
def test_real_file_is_accepted_in_whole(test_data: Path, file: str, form: str, count: int) -> None:
    rows = list(read_rows(str(test_data / file)))
    assert Counter(map(detect_form, rows)) == {form: count}
    conversations = [conversation_of(form, row) for row in rows]
    assert len({conversation.response for conversation in conversations}) == count
    assert {len(conversation.messages) for conversation in conversations} == ({4} if form == "mt_bench" else {2})
