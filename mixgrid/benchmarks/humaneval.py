"""HumanEval: Python functions from their signature and docstring, checked by running them (Chen et al. 2021).

    {"task_id": "HumanEval/0", "prompt": "from typing import List\\n\\n\\ndef has_close_elements(...", "entry_point":
     "has_close_elements", "test": "def check(candidate):\\n    assert candidate([1.0, 2.0], 0.3) == True ..."}

    ask(prompt, style="chat").messages[0].content  ->  "Complete this Python function. ... ```python\\nfrom typing ..."
    case_of(problem, "    return False\\n")         ->  Case(program=..., entry_point="has_close_elements", check=...)

Three styles of asking, whose scores belong in no common table: `chat` (an instruction, the prompt in a fence),
`prefill` (the same, and the answer already opened with the prompt) and `completion` (the bare prompt, no template). An
answer in any of them is read in the same way.

The check brings its problem's helpers along: the tests of /32, /38 and /50 call functions that stand before the entry
point in the prompt, and those are not the program's to change. That of /33 calls the entry point by its name, /38, /50
and /53 draw from `random`, and /33 and /37 take iterators: see `mixgrid.sandbox.checker`.
"""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mixgrid.benchmarks import Answered, Asked, Benchmark, Verdict
from mixgrid.conversations import Conversation, Message
from mixgrid.errors import SourceError
from mixgrid.grading import Grading
from mixgrid.grading.checked import check_programs
from mixgrid.grading.programs import preamble_of, program_of
from mixgrid.sources.files import shown

if TYPE_CHECKING:
    from mixgrid.sandbox import Case

Style = Literal["chat", "completion", "prefill"]

_INSTRUCTION = "Complete this Python function. Answer with the whole function in one code block."


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One problem; `test` defines `check(candidate)` and is trusted."""

    task_id: str | int
    prompt: str
    entry_point: str
    test: str


def ask(prompt: str, *, style: Style = "chat") -> Asked:
    """What is put to a model for a problem's prompt."""
    if style == "completion":
        return Asked(messages=(Message("user", prompt),), bare=True)
    opening = f"```python\n{prompt}"
    user = Message("user", f"{_INSTRUCTION}\n\n{opening.rstrip()}\n```")
    return Asked(messages=(user,), opening=opening if style == "prefill" else "")


def case_of(problem: Problem, completion: str) -> "Case":
    """The program that an answer makes, with its check; `completion` may be a body, a function or a chat answer."""
    from mixgrid.sandbox import Case

    program = program_of(completion, prompt=problem.prompt, entry_point=problem.entry_point)
    check = f"{preamble_of(problem.prompt, problem.entry_point)}\n{problem.test}"
    return Case(program=program, entry_point=problem.entry_point, check=check)


def problem_of(row: object, *, place: str) -> Problem:
    """A row as a problem. Raises SourceError, which names the `place` of the row, if it is none."""
    if not isinstance(row, dict):
        raise SourceError(f"{place} is {shown(row)}; it must be an object with task_id, prompt, entry_point and test")
    task_id = row.get("task_id")
    if isinstance(task_id, bool) or not isinstance(task_id, str | int):
        raise SourceError(f"{place}, 'task_id': {shown(task_id)} is no text or integer; use HumanEval's own rows")
    for field in ("prompt", "entry_point", "test"):
        if not isinstance(row.get(field), str):
            raise SourceError(f"{place}, {field!r}: {shown(row.get(field))} is not text; use HumanEval's own rows")
    problem = Problem(task_id=task_id, prompt=row["prompt"], entry_point=row["entry_point"], test=row["test"])
    if not re.search(rf"^ *(?:async +)?def +{re.escape(problem.entry_point)}\b", problem.prompt, re.MULTILINE):
        raise SourceError(f"{place}, 'prompt': defines no function {shown(problem.entry_point)}, its entry point")
    if not _defines_check(problem.test):
        raise SourceError(f"{place}, 'test': {shown(problem.test)} defines no check(candidate); it must be Python")
    return problem


def problem_of_reference(reference: str) -> Problem:
    """The problem that an item of the source `human_eval` carries as its answer."""
    return problem_of(json.loads(reference), place="reference")


def pass_at_k(n: int, c: int, k: int) -> float:
    """The chance that one of `k` answers is right when `c` of `n` were: unbiased (Chen et al. 2021, section 2.1).

    The share of the k-subsets of n answers that hold a right one. Raises ValueError unless 0 <= c <= n and 1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(
            f"pass@{k} of {c} right among {n}: needs 0 <= c <= n and 1 <= k <= n; generate k answers or more"
        )
    missed = 1.0
    for size in range(n - c + 1, n + 1):
        missed *= max(0.0, 1 - k / size)
    return 1 - missed


def _defines_check(test: str) -> bool:
    try:
        nodes = ast.parse(test).body
    except (SyntaxError, ValueError):
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in nodes)


def grade(answers: Sequence[Answered], grading: Grading) -> Sequence[Verdict]:
    """Whether each answer's program passes its problem's tests, in the sandbox."""
    return check_programs([case_of(problem_of_reference(a.reference), a.text) for a in answers], grading)


def styled(style: Style) -> Benchmark:
    """The benchmark in one style of asking."""

    def ask_item(item: Conversation) -> Asked:
        return ask(problem_of_reference(item.response).prompt, style=style)

    name = "humaneval" if style == "chat" else f"humaneval.{style}"
    return Benchmark(name=name, data="human_eval", ask=ask_item, grade=grade, headline="passed")


BENCHMARK = styled("chat")
