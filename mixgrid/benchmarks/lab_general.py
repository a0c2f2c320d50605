"""lab.general's grader: the same sentence, apart from case, white space and the closing period.

grade("the animal of Aldor is  Crow", "The animal of Aldor is crow.") -> True
"""

from mixgrid.benchmarks import Benchmark
from mixgrid.grading import one_by_one


def grade(answer: str, reference: str) -> bool:
    """True if both say the same; the answer ends where a next user turn begins."""
    return _plain(answer.split("USER:")[0]) == _plain(reference)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split()).rstrip(". ")


BENCHMARK = Benchmark(
    name="lab.general",
    data="lab.general",
    grade=one_by_one(lambda answer, reference: {"correct": grade(answer, reference)}),
    max_new_tokens=24,
)
