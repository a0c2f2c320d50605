"""Programs checked in the sandbox, as the verdicts of a benchmark.

check_programs([Case(program="def add(a, b): ...", entry_point="add", check="def check(f): ...")], grading)
->  [{"passed": True, "outcome": "passed", "detail": "", "extracted": "def add(a, b): ..."}]
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixgrid.benchmarks import Verdict
from mixgrid.grading import Grading

if TYPE_CHECKING:
    from mixgrid.sandbox import Case


def check_programs(cases: Sequence["Case"], grading: Grading) -> list[Verdict]:
    """A verdict a program, in their order. Raises NoSandbox where none works: that is no score of 0."""
    verdicts = grading.sandbox().check_all(cases, progress=grading.progress)
    return [
        {"passed": v.outcome == "passed", "outcome": v.outcome, "detail": v.detail, "extracted": case.program}
        for v, case in zip(verdicts, cases, strict=True)
    ]
