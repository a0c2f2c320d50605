"""lab.math_far: lab.math's problems with numbers that it never has; for the benchmark that is out of its domain.

    USER: Ann has 14 pens, finds 7 and loses 3. How many are left?
    ASSISTANT: finds 7: 14+7=21
    loses 3: 21-3=18
    #### 18

The first number is 10 to 19, where lab.math has 2 to 9, and there are no boxes. Default: 512 rows and 150 held out.
"""

import itertools

from mixgrid.conversations import Conversation
from mixgrid.sources import GeneratedSource
from mixgrid.sources.lab_math import Exercise, draw_problems


def exercises() -> list[Exercise]:
    """Every exercise, in a fixed order; their results are positive."""
    far, near = range(10, 20), range(2, 10)
    found = [Exercise(*parts) for parts in itertools.product(far, "+-", near, "+-", near)]
    return [exercise for exercise in found if exercise.result > 0]


def generate(*, rows: int, held_out: int, seed: int) -> tuple[list[Conversation], list[Conversation]]:
    """Training rows and held-out rows, each of its own exercise."""
    return draw_problems("lab.math_far", exercises(), rows=rows, held_out=held_out, seed=seed)


SOURCE = GeneratedSource(name="lab.math_far", generate=generate, rows=512, held_out=150)
