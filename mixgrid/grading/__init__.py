"""What graders work with, and the way from a grader of one answer to one of many.

    BENCHMARK = Benchmark(name="lab.math", grade=one_by_one(lambda answer, reference: {"correct": ...}), ...)

A grader that needs more than the two texts (a sandbox, a judge) takes the answers together and finds it in `Grading`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixgrid.benchmarks import Answered, Figure, Grade, Verdict
from mixgrid.progress import Progress, silent

if TYPE_CHECKING:
    from mixgrid.sandbox import Sandbox


@dataclass(kw_only=True)
class Grading:
    """What a grader may use, and what it leaves to be told: `facts` go into the score's ledger.

    `settings` and `runtime` are those of the score step, which name the judge; `label` names what is scored, files may
    be left in `folder`, and `store` is the URL of the study's. `figure` is the score where it is not the rate of the
    benchmark's headline.
    """

    settings: Any = None
    runtime: Any = None
    label: str = ""
    folder: Path = Path()
    store: str = ""
    progress: Progress = silent
    facts: dict[str, Any] = field(default_factory=dict)
    figure: Figure | None = None

    def sandbox(self) -> "Sandbox":
        """The sandbox, opened; its mode is told with the score. Raises NoSandbox where none works."""
        from mixgrid.sandbox import open_sandbox

        opened = open_sandbox("unsafe" if self.runtime and self.runtime.unsafe_code else "auto")
        self.facts["sandbox"] = opened.mode
        return opened


def one_by_one(grade: Callable[[str, str], Verdict]) -> Grade:
    """A grader of many answers from one of (answer, reference)."""

    def grade_all(answers: Sequence[Answered], grading: Grading) -> list[Verdict]:
        verdicts = []
        for number, answered in enumerate(answers, start=1):
            verdicts.append(grade(answered.text, answered.reference))
            if number % 100 == 0:
                grading.progress(number / len(answers), f"{number}/{len(answers)} answers graded")
        return verdicts

    return grade_all
