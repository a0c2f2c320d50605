"""MBPP: short Python programs from a sentence and three asserts (Austin et al. 2021, google-research/mbpp).

    {"task_id": 2, "text": "Write a function to find the shared elements from the given two lists.", "code": ...,
     "test_list": ["assert similar_elements((3, 4),(5, 4)) == (4,)", ...], "test_setup_code": ""}

    prompt_of(problem)   ->  "Write a function to ... The code must pass these tests: ..."
    case_of(problem, answer).check  ->  "def check(candidate):\\n    assert similar_elements((3, 4), (5, 4)) == (4,)"

The sanitized rows have `prompt` for `text` and `test_imports` for `test_setup_code`. The asserts name the function, so
they are part of the prompt. Asserts and set-up run outside the box. A problem whose tests build objects of the
answer's own classes (`max_chain_length([Pair(5, 24)], 1)`) cannot be checked from there: its row is refused.
`challenge_test_list` is not asked.
"""

import ast
import builtins
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixgrid.benchmarks import Answered, Benchmark, Verdict
from mixgrid.errors import SourceError
from mixgrid.grading import Grading
from mixgrid.grading.checked import check_programs
from mixgrid.grading.code_blocks import UNREADABLE, Statement, statement_of
from mixgrid.grading.programs import program_of
from mixgrid.sources.files import shown

if TYPE_CHECKING:
    from mixgrid.sandbox import Case


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem. `tests` call `entry_point` by its name; `setup` runs before them."""

    task_id: int
    text: str
    entry_point: str
    tests: Sequence[str]
    setup: str = ""


def prompt_of(problem: Problem) -> str:
    """The user turn: the text with the tests to pass."""
    tests = "\n".join(problem.tests)
    return f"{problem.text.strip()}\n\nThe code must pass these tests:\n\n```python\n{tests}\n```"


def case_of(problem: Problem, answer: str) -> "Case":
    """The program that an answer makes, with its check."""
    from mixgrid.sandbox import Case

    called = {node.func.id for test in problem.tests for node in _calls(test) if isinstance(node.func, ast.Name)}
    program = program_of(answer, prompt="", entry_point=problem.entry_point, helpers=called)
    body = "\n".join(f"    {ast.unparse(node)}" for node in ast.parse("\n".join(problem.tests)).body)
    check = f"{problem.setup}\n\n\ndef check(candidate):\n{body}\n"
    return Case(program=program, entry_point=problem.entry_point, check=check)


def problem_of(row: object, *, place: str) -> Problem:
    """A row of either published form as a problem. Raises SourceError, which names the `place` of the row."""
    if not isinstance(row, dict):
        raise SourceError(f"{place} is {shown(row)}; it must be one of MBPP's own rows")
    text = row.get("text") or row.get("prompt")
    if not isinstance(text, str):
        raise SourceError(f"{place}, 'text' or 'prompt': {shown(text)} is not text; use MBPP's own rows")
    task_id, tests = row.get("task_id"), row.get("test_list")
    if not isinstance(task_id, int) or isinstance(task_id, bool):
        raise SourceError(f"{place}, 'task_id': {shown(task_id)} is not an integer; use MBPP's own rows")
    if not (isinstance(tests, list) and tests and all(isinstance(test, str) for test in tests)):
        raise SourceError(f"{place}, 'test_list': {shown(tests)} is not a list of asserts; use MBPP's own rows")
    try:
        setup = _setup(row, tests)
        entry_point = _entry_point(tests, setup, str(row.get("code") or ""))
    except UNREADABLE as error:
        raise SourceError(f"{place}, tests: {shown(tests)} cannot be used ({error}); leave the row out") from error
    return Problem(task_id=task_id, text=text, entry_point=entry_point, tests=tests, setup=setup)


def problem_of_reference(reference: str) -> Problem:
    """The problem that an item of the source `mbpp` carries as its answer."""
    return Problem(**json.loads(reference))


def _entry_point(tests: Sequence[str], setup: str, code: str) -> str:
    """The function that all asserts call and only the answer defines. Raises ValueError if there is not just one."""
    defined = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
    known = set(dir(builtins)).union(*(statement.binds for statement in _statements(setup)))
    called = [{node.func.id for node in _calls(test) if isinstance(node.func, ast.Name)} - known for test in tests]
    shared = set.intersection(*called)
    found = sorted(shared) if len(shared) == 1 else [name for name in defined if name in shared][-1:]
    if not found:
        raise ValueError(f"they call {', '.join(sorted(set().union(*called))) or 'nothing'}, not one function")
    used = set().union(*(s.reads for source in (setup, *tests) for s in _statements(source)))
    if strange := used - known - {found[0], *defined}:
        raise ValueError(f"they need {', '.join(sorted(strange))} of the answer")
    return found[0]


def _setup(row: Mapping[str, object], tests: Sequence[str]) -> str:
    """The row's set-up, with the standard modules that its tests use without importing them, such as `math`."""
    imports = row.get("test_imports")
    lines = [row.get("test_setup_code") or "", *(imports if isinstance(imports, list) else [])]
    used = set().union(*(statement.reads for test in tests for statement in _statements(test)))
    lines += [f"import {name}" for name in sorted(used & set(sys.stdlib_module_names))]
    return "\n".join(str(line).strip() for line in lines).strip()


def _calls(test: str) -> list[ast.Call]:
    return [node for node in ast.walk(ast.parse(test)) if isinstance(node, ast.Call)]


def _statements(source: str) -> list[Statement]:
    return [statement_of(node, source.split("\n")) for node in ast.parse(source).body]


def grade(answers: Sequence[Answered], grading: Grading) -> Sequence[Verdict]:
    """Whether each answer's program passes its problem's tests, in the sandbox."""
    return check_programs([case_of(problem_of_reference(a.reference), a.text) for a in answers], grading)


BENCHMARK = Benchmark(name="mbpp", data="mbpp", grade=grade, headline="passed")
