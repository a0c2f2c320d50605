"""lab.math_far: lab.math's grader on numbers that its source never has; out of domain for whoever trained on that.

grade("finds 7: 14+7=21\\nloses 3: 21-3=18\\n#### 18", "... #### 18") -> True
"""

from mixgrid.benchmarks import Benchmark
from mixgrid.benchmarks.lab_math import grade
from mixgrid.grading import one_by_one

BENCHMARK = Benchmark(
    name="lab.math_far",
    data="lab.math_far",
    grade=one_by_one(lambda answer, reference: {"correct": grade(answer, reference)}),
    max_new_tokens=40,
)
