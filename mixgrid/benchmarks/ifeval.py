"""IFEval: do answers follow instructions that a program can check (Zhou et al. 2023, arXiv 2311.07911)?

    "Name a river. Do not use any commas."    ->  {"strict": True, "loose": True, "no_answer": False}

A general ability without a judge. Strict is the score; loose forgives a greeting and markdown. Beside a score stand its
floors: what silence and an echo of the prompt would have got.
"""

from collections.abc import Sequence

from mixgrid.benchmarks import Answered, Benchmark, Verdict
from mixgrid.grading import Grading, one_by_one
from mixgrid.grading.instructions import floors, grade


def _grade(answers: Sequence[Answered], grading: Grading) -> Sequence[Verdict]:
    grading.facts["floors"] = floors([answered.reference for answered in answers])
    return one_by_one(grade)(answers, grading)


BENCHMARK = Benchmark(name="ifeval", data="ifeval", grade=_grade, headline="strict", max_new_tokens=1024)
