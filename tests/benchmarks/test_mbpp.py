"""MBPP: which function the tests ask for, and what passes them; rows are written by hand in the published forms."""

from typing import Any

import pytest

from mixgrid.benchmarks.mbpp import case_of, problem_of, prompt_of
from mixgrid.errors import SourceError
from mixgrid.sandbox import Sandbox, open_sandbox


def row(code: str, *tests: str, **more: object) -> dict[str, Any]:
    return {"task_id": 1, "text": "Write a function.", "code": code, "test_list": list(tests), **more}


# name: (row, its entry point, a wrong answer)
ROWS: dict[str, tuple[dict[str, Any], str, str]] = {
    "plain values": (
        row("def add(a, b):\n    return a + b", "assert add(1, 2) == 3", "assert add('a','b') == 'ab'"),
        "add", "def add(a, b):\n    return 3",
    ),
    "tuples": (
        row("def swap(t):\n    return t[::-1]", "assert swap((1, 2)) == (2, 1)", "assert swap(()) == ()"),
        "swap", "def swap(t):\n    return list(t[::-1])",
    ),
    "set() around the call": (
        row("def both(a, b):\n    return list({*a} & {*b})", "assert set(both((1, 2, 3), (3, 2))) == set((2, 3))"),
        "both", "def both(a, b):\n    return list(a)",
    ),
    "sorted() with a key": (
        row("def parts(xs):\n    return xs", "assert sorted(parts(['bb', 'a']), key=len) == ['a', 'bb']"),
        "parts", "def parts(xs):\n    return xs[:1]",
    ),
    "math.isclose without an import": (
        row("def root(x):\n    return x ** 0.5", "assert math.isclose(root(2), 1.41421, rel_tol=0.001)"),
        "root", "def root(x):\n    return x",
    ),
    "math in the set-up": (
        row("import math\ndef area(r):\n    return math.pi * r * r", "assert math.isclose(area(1), math.pi)",
            test_setup_code="import math"),
        "area", "def area(r):\n    return 3 * r * r",
    ),
    "sanitized imports": (
        row("def log(x):\n    return 0.0", "assert math.floor(log(1)) == 0", text=None, prompt="Write log.",
            test_imports=["import math"]),
        "log", "def log(x):\n    return 7.5",
    ),
    "nested calls of a helper": (
        row("def enc(x):\n    return x + 1\ndef dec(x):\n    return x - 1", "assert dec(enc(5)) == 5",
            "assert dec(2) == 1"),
        "dec", "def enc(x):\n    return x\ndef dec(x):\n    return x",
    ),
    "recursion through the result": (
        row("def inc(x):\n    return x + 1", "assert inc(inc(inc(1))) == 4"),
        "inc", "def inc(x):\n    return x",
    ),
    "set-up data": (
        row("def total(xs):\n    return sum(xs)", "assert total(data) == 6", test_setup_code="data = [1, 2, 3]"),
        "total", "def total(xs):\n    return 0",
    ),
    "a dictionary and keywords": (
        row("def count(xs, *, start=0):\n    return {x: xs.count(x) + start for x in xs}",
            "assert count(['a', 'a'], start=1) == {'a': 3}", "assert not count([])"),
        "count", "def count(xs, *, start=0):\n    return {x: 2 for x in xs}",
    ),
    "text over lines": (
        row("def join(xs):\n    return '\\n'.join(xs)", "assert join(['a', 'b']) == '''a\nb'''"),
        "join", "def join(xs):\n    return 'ab'",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def sandbox() -> Sandbox:
    """Without walls, which these programs do not need: it works on every machine."""
    return open_sandbox("unsafe")


@pytest.mark.parametrize("name", ROWS)
def test_reference_code_passes_and_a_wrong_answer_fails(name: str, sandbox: Sandbox) -> None:
    given, entry_point, wrong = ROWS[name]
    problem = problem_of(given, place="row 0")
    fenced = f"Here it is:\n\n```python\n{given['code']}\n```\nUse it as above."
    verdicts = sandbox.check_all([case_of(problem, answer) for answer in (given["code"], fenced, wrong, "I can't.")])
    assert problem.entry_point == entry_point
    assert [verdict.outcome for verdict in verdicts] == ["passed", "passed", "failed", "error"]


def test_prompt_is_the_text_with_the_tests_to_pass() -> None:
    problem = problem_of(ROWS["plain values"][0], place="row 0")
    assert prompt_of(problem) == (
        "Write a function.\n\nThe code must pass these tests:\n\n"
        "```python\nassert add(1, 2) == 3\nassert add('a','b') == 'ab'\n```"
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ([], r"row 3 is \[\]"),
        (row("", "assert f(1) == 1", text=None), "row 3, 'text' or 'prompt': None is not text"),
        (row("", "assert f(1) == 1", task_id="a"), "row 3, 'task_id': 'a' is not an integer"),
        (row(""), r"row 3, 'test_list': \[\] is not a list of asserts"),
        (row("", "assert f(1) =="), "row 3, tests: .* cannot be used"),
        (row("", "assert 1 == 1"), "they call nothing, not one function"),
        (row("", "assert f(1) == 1", "assert g(1) == 1"), "they call f, g, not one function"),
        (row("class P: 0\ndef f(p): return 1", "assert f(P()) == 1"), "they need P of the answer"),
        (row("def f(p): return 1", "assert f(root) == 1", test_setup_code="root = Node(1)"), "they need Node"),
    ],
)
def test_row_that_cannot_be_checked_is_refused_with_its_place(given: object, message: str) -> None:
    with pytest.raises(SourceError, match=message):
        problem_of(given, place="row 3")
