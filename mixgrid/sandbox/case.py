"""A program, how it is checked, and what came of it.

Case(program="def add(a, b): return a + b", entry_point="add", check="def check(f): assert f(1, 2) == 3")
->  Verdict(outcome="passed", detail="")
"""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["passed", "failed", "timeout", "error"]
"""`failed`: an assertion did not hold, or a value could not be decoded. `error`: the program could not be loaded,
raised, or ended its process."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One program and its check.

    `program` is hostile source text that defines `entry_point`. `check` is trusted source that defines
    `check(candidate)`, as HumanEval's `test` does; it runs outside the box, and a global name that it uses without
    defining it is that function of the program. Code that must not be the program's to change (a helper of the prompt)
    belongs into `check`. `timeout_s` bounds loading and checking together, without start-up and without
    the time that a busy machine let it wait.
    """

    program: str
    entry_point: str
    check: str
    timeout_s: float = 5.0


@dataclass(frozen=True)
class Verdict:
    """What came of a case; `detail` is a builtin exception's name or a phrase of ours, never text from the box."""

    outcome: Outcome
    detail: str
