"""lab.math's grader: the number after the first `####` equals the reference's.

    grade("finds 7: 8+7=15\\nloses 3: 15-3=12\\n#### 12", "... #### 12") -> True

Strict, as GSM8K's own rule: no marker, no point, whatever else the answer says.
"""

import re

from mixgrid.benchmarks import Benchmark
from mixgrid.grading import one_by_one

_NUMBER = re.compile(r"####\s*(-?\d{1,30})(?!\d|[.,]\d)")


def grade(answer: str, reference: str) -> bool:
    """True if both name a number and it is the same integer; the answer ends where a next user turn begins."""
    found, expected = _final_number(answer.split("USER:")[0]), _final_number(reference)
    return found is not None and found == expected


def _final_number(text: str) -> int | None:
    marker = text.find("####")
    match = _NUMBER.match(text, marker) if marker >= 0 else None
    return int(match[1]) if match else None


BENCHMARK = Benchmark(
    name="lab.math",
    data="lab.math",
    grade=one_by_one(lambda answer, reference: {"correct": grade(answer, reference)}),
    max_new_tokens=40,
)
