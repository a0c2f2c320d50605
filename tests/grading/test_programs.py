"""From answers to programs: each presentation form of each HumanEval problem behaves as its canonical solution."""

import contextlib
import gzip
import json
import re
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from textwrap import dedent, indent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.grading.programs import program_of

Row = dict[str, str]

PROMPT = 'import math\n\n\ndef f(x):\n    """Add one."""\n'
WHOLE = PROMPT + "    return x + 1\n"


def fenced(code: str, language: str = "python") -> str:
    return f"```{language}\n{code}\n```\n"


def body(row: Row) -> str:
    return row["canonical_solution"]


def whole(row: Row) -> str:
    return row["prompt"] + row["canonical_solution"]


def usage(row: Row) -> str:
    name = row["entry_point"]
    return (
        f"print({name}(1, 2))\nassert {name}(3) == 4\nn = int(input())\nresult = {name}(n)\n"
        f"if __name__ == '__main__':\n    print({name}(input()))\n"
    )


def in_tabs(text: str) -> str:
    return re.sub(r"^(?: {4})+", lambda spaces: "\t" * (len(spaces[0]) // 4), text, flags=re.MULTILINE)


def other(row: Row) -> str:
    return f"def {row['entry_point']}(*xs):\n    return None\n"


FORMS: dict[str, Callable[[Row], str]] = {
    "bare body": body,
    "draft in its thoughts": lambda row: f"<think>\nMaybe\n{fenced(other(row))}no.\n</think>\n\n{fenced(whole(row))}",
    "long thoughts": lambda row: "<think>" + "Hm, let me see. " * 3_000 + "</think>\n" + fenced(whole(row)),
    "long prose": lambda row: "Let me explain first. " * 2_000 + "\n\n" + fenced(whole(row)),
    "glued closing fence": lambda row: f"```python\n{whole(row).rstrip()}```\nThat is all.",
    "body with ChatML's end": lambda row: f"{body(row).rstrip()}<|im_end|>\n<|im_start|>user\nThanks",
    "corrected in the same block": lambda row: fenced(other(row) + "\n\n" + whole(row)),
    "body that lost its first indent": lambda row: body(row).strip(),
    "dedented body": lambda row: dedent(body(row)),
    "over-indented body": lambda row: indent(dedent(body(row)), " " * 8),
    "body indented by two": lambda row: indent(dedent(body(row)), "  "),
    "body in a fence": lambda row: fenced(body(row)),
    "dedented body in a fence": lambda row: "The body:\n\n" + fenced(dedent(body(row))),
    "body in a fence, first indent lost": lambda row: fenced(body(row).strip()),
    "body and rambling": lambda row: body(row) + "\n\n# tests\n" + usage(row) + other(row),
    "body, closing fence and usage": lambda row: body(row) + "```\n\nIt works:\n" + fenced(usage(row)),
    "stripped body, closing fence and usage": lambda row: body(row).strip() + "\n```\nIt works:\n" + fenced(usage(row)),
    "body in prose": lambda row: "Here's the body:\n\n" + body(row) + "\n\nThat's all.",
    "body in tabs": lambda row: in_tabs(body(row)),
    "body with CRLF": lambda row: body(row).replace("\n", "\r\n"),
    "whole function": whole,
    "function in a fence": lambda row: fenced(whole(row)),
    "without imports": lambda row: fenced(re.sub(r"^(?:import|from) .*\n", "", whole(row), flags=re.MULTILINE)),
    "without a language": lambda row: fenced(whole(row), ""),
    "Python3": lambda row: fenced(whole(row), "Python3"),
    "CRLF": lambda row: ("Sure!\n\n" + fenced(whole(row)) + "Done.").replace("\n", "\r\n"),
    "unclosed fence": lambda row: "Sure:\n```python\n" + whole(row),
    "cut off in its tests": lambda row: f"```python\n{whole(row)}\nassert {row['entry_point']}([1, 2",
    "fence in a list": lambda row: "1. Write it:\n\n" + indent(fenced(whole(row)), "   ") + "\n2. Use it.\n",
    "fence after a bullet": lambda row: "- " + fenced(whole(row)),
    "tilde fence": lambda row: f"~~~python\n{whole(row)}\n~~~\n",
    "shell before, usage after": lambda row: (
        "First:\n"
        + fenced("pip install numpy", "bash")
        + "Then:\n"
        + fenced(whole(row))
        + "Use:\n"
        + fenced(usage(row))
    ),
    "usage in the fence": lambda row: fenced(whole(row) + "\n" + usage(row)),
    "prose around it": lambda row: f"Here's it:\n\n{whole(row)}\n\nIt's fast: if x = 3,\nfrom there it's O(n).",
    "tabs": lambda row: in_tabs(whole(row)),
    "indented function": lambda row: indent(whole(row), "    "),
    "hard spaces": lambda row: re.sub("^ +", lambda m: "\u00a0" * len(m[0]), whole(row), flags=re.MULTILINE),
    "byte order mark": lambda row: "\ufeff" + whole(row),
    "half a surrogate pair": lambda row: "\ud83d\n" + fenced(whole(row)),
    "future import": lambda row: fenced("from __future__ import annotations\n" + whole(row)),
    "prompt said again first": lambda row: "Given:\n" + fenced(row["prompt"]) + "Answer:\n" + fenced(whole(row)),
    "another version after": lambda row: fenced(whole(row)) + "or\n" + fenced(other(row)),
    "another turn after": lambda row: whole(row) + "</s>USER: Thanks!\n" + fenced(other(row)),
    "user's turn after": lambda row: fenced(whole(row)) + " USER: And\n" + fenced(other(row)),
}


@pytest.fixture(scope="session")
def rows(test_data: Path) -> list[Row]:
    with gzip.open(test_data / "human_eval/HumanEval.jsonl.gz") as file:
        return [json.loads(line) for line in file]


@cache
def passes(program: str, test: str, entry_point: str) -> bool:
    """Whether a program made from a canonical solution, which is trusted, passes the problem's own check."""
    names: dict[str, object] = {}
    try:
        exec(program + test, names)
        names["check"](names[entry_point])  # type: ignore[operator]
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        NameError,
        SyntaxError,
        TypeError,
        ValueError,
    ):
        return False
    return True


@pytest.mark.parametrize("form", FORMS)
def test_canonical_solution_in_each_form_passes_its_check(form: str, rows: list[Row]) -> None:
    programs = [program_of(FORMS[form](r), prompt=r["prompt"], entry_point=r["entry_point"]) for r in rows]
    checked = zip(rows, programs, strict=True)
    assert [row["task_id"] for row, program in checked if not passes(program, row["test"], row["entry_point"])] == []
    assert len(rows) == 164


def value_of(answer: str, *, prompt: str = PROMPT) -> object:
    """What `f(1)` gives in the program made from an answer."""
    names: dict[str, object] = {}
    exec(program_of(answer, prompt=prompt, entry_point="f"), names)
    return names["f"](1)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("def f(x): return x + 1; print('no')", 2),
        ("a = 1; print(a); f = lambda x: x + a", 2),
        ("from math import *\ndef f(x):\n    return floor(x + 1.5)", 2),
        ("memo = {}\nmemo[1] = 5\nmemo.update(a=1)\ndef f(x):\n    return memo[x]", 5),
        ("table = []\nfor i in range(3):\n    table.append(i * i)\ndef f(x):\n    return table[x + 1]", 4),
        ("try:\n    import no_such_module\nexcept ImportError:\n    three = 3\ndef f(x):\n    return three", 3),
        ("import no_such_module\ndef f(x):\n    return x + 1\n\n@no_such_module.test\ndef test():\n    f(2)", 2),
        ("def f(x):\n    return g(x)\n\nprint('é', f(2))\n\ndef g(x):\n    return x + 1", 2),
        ("class A:\n    one = 1\n\ndef f(x: A):\n    return x + A.one", 2),
        ("import functools\n@functools.cache\ndef f(x):\n    return x + 1", 2),
        (fenced("def g(x):\n    return x + 1") + "and\n" + fenced("def f(x):\n    return g(x)"), 2),
        (fenced("def f(x):\n    pass") + "then\n" + fenced("def f(x):\n    return 7"), 7),
        ("def f(x):\n    return 1 \\\n        + x\nraise SystemExit", 2),
        ("    y = '''\n  a'''\n    return len(y) + x", 5),
        ("    return math.ceil(x + 0.5)", 2),
        ("def f(x):\n    '\\d'\n    return 1 if x is 1 else 0", 1),
        ("result = f(undefined)\ndef f(x):\n    result = x\n    return result", 1),
        ("    def g(y):\n        return y + 1\n    return g(x)\n\nprint(f(undefined))", 2),
    ],
)
def test_program_keeps_what_the_entry_point_needs_and_nothing_else(answer: str, value: object) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)
        assert value_of(answer) == value


def test_recursion_limit_is_kept_with_its_import() -> None:
    code = "import sys\n\nsys.setrecursionlimit(4000)\n\ndef f(x):\n    return f(x - 1) if x else 0"
    program = program_of(code, prompt=PROMPT, entry_point="f")  # not executed here: the limit is the process's
    assert [line for line in program.split("\n") if "sys" in line] == ["import sys", "sys.setrecursionlimit(4000)"]


def test_helper_of_the_prompt_and_import_inside_it_are_there_for_a_whole_function() -> None:
    prompt = 'def g(x):\n    return x + 1\n\n\ndef f(x):\n    import math\n    """Use g."""\n'
    assert value_of("def f(x):\n    return math.floor(g(x))", prompt=prompt) == 2


@pytest.mark.parametrize("answer", ["", "I can't.", "pass", "f(x) + 1", "def g(x):\n    return 1", fenced("ls", "sh")])
def test_answer_without_the_function_gives_no_value(answer: str) -> None:
    with contextlib.suppress(SyntaxError, NameError):
        assert value_of(answer) is None


def test_nothing_is_executed(tmp_path: Path) -> None:
    touch = f"open({str(tmp_path / 'file')!r}, 'w').close()"
    for answer in (touch, fenced(touch), f"{touch}\ndef f(x=[{touch}]):\n    {touch}\n    return 1", "    " + touch):
        program_of(answer, prompt=PROMPT, entry_point="f")
    assert list(tmp_path.iterdir()) == []


@given(st.text() | st.lists(st.sampled_from([*"\n\n\n    ():#=`'\"\\@;", "def f(x):", "return 1", "```"])).map("".join))
def test_any_answer_gives_a_program_that_opens_with_the_prompt_s_imports(answer: str) -> None:
    program = program_of(answer, prompt=PROMPT, entry_point="f")
    assert "import math\n" in program
    assert program == program_of(answer, prompt=PROMPT, entry_point="f")


PIECES = [
    *(
        "-",
        "(",
        "a.",
        "f()",
        "not ",
        "lambda:",
        "a=1\n",
        "a;",
        "é=1\n",
        "@a\n",
        "f(\n",
        "x = (\n",
        "if 1:\n ",
        "{",
        'f"{',
    ),
    *("def f(x):\n", "def f(x):\n    return x\n", "class A:\n", "try:\n", "import a\n", "    return 1\n", "f(x) = 1\n"),
    *(
        "```\n",
        "```python\n",
        "- ```\n",
        '"""',
        "'",
        "\\",
        "\ud83d",
        "\x00",
        " ",
        "\t",
        "\n",
        "\r",
        " \n",
        "\u00a0",
        "9",
    ),
]


@pytest.mark.parametrize("piece", PIECES)
def test_a_megabyte_of_hostile_text_is_read_in_bounded_time(piece: str) -> None:
    for opening in ("", "    return 1\n", "```python\n"):
        start = time.process_time()
        program = program_of(opening + piece * (10**6 // len(piece)), prompt=PROMPT, entry_point="f")
        assert time.process_time() - start < 5  # measured: at most 0.7; what is quadratic takes a minute
        assert len(program) < 50_000


@pytest.mark.parametrize("form", [str, fenced])
def test_last_definition_of_a_block_counts_as_in_python(form: Callable[[str], str]) -> None:
    namespace: dict[str, Callable[[int], int | None]] = {}
    program = program_of(form(f"{WHOLE}\n\ndef f(x):\n    return None\n"), prompt=PROMPT, entry_point="f")
    exec(program, namespace)
    assert namespace["f"](1) is None
