"""lab.math: word problems of two steps, answered step by step and ended as GSM8K does.

    USER: Ann has 14 pens, finds 7 and loses 3. How many are left?
    ASSISTANT: 14+7=21
    21-3=18
    #### 18

A problem is an exercise (three numbers and two operations) told with names, things and verbs. The exercise of a held-out row
occurs in no training row, however told. Default: 1,024 rows and 150 held out.
"""

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass

from mixgrid.conversations import Conversation, exchange

_NAMES = ("Ann", "Ben", "Cora", "Dan", "Eve", "Finn", "Gus", "Hana")
_THINGS = ("pens", "cards", "coins", "shells", "stamps", "books", "cups", "balls")
_VERBS = {"+": ("finds", "buys", "gets"), "-": ("loses", "sells", "drops")}


@dataclass(frozen=True)
class Exercise:
    """Two steps of arithmetic: `(a first b) second c`, with `first` one of + - * and `second` one of + -."""

    a: int
    first: str
    b: int
    second: str
    c: int

    @property
    def middle(self) -> int:
        """The first step's result."""
        return {"+": self.a + self.b, "-": self.a - self.b, "*": self.a * self.b}[self.first]

    @property
    def result(self) -> int:
        """The second step's result, which is the answer."""
        return self.middle + self.c if self.second == "+" else self.middle - self.c

    @property
    def calculation(self) -> str:
        """Both steps, a line each."""
        first = f"{self.a}{self.first}{self.b}={self.middle}"
        return f"{first}\n{self.middle}{self.second}{self.c}={self.result}"


def exercises() -> list[Exercise]:
    """Every exercise whose two results are positive, in a fixed order."""
    return [exercise for exercise in _all_exercises() if exercise.middle > 0 and exercise.result > 0]


def _all_exercises() -> Iterator[Exercise]:
    digits = range(2, 10)
    for a, first, b, second, c in itertools.product(range(2, 13), "+-*", digits, "+-", digits):
        if first != "*" or a < 4:
            yield Exercise(a, first, b, second, c)


def generate(*, rows: int, held_out: int, seed: int) -> tuple[list[Conversation], list[Conversation]]:
    """Training rows and held-out rows, each of its own exercise."""
    draw = random.Random(f"lab.math {seed}")
    everything = exercises()
    if rows + held_out > len(everything):
        raise ValueError(
            f"lab.math has {len(everything)} exercises; {rows} rows and {held_out} held out were asked for"
        )
    draw.shuffle(everything)
    told = [(_question(exercise, draw), _answer(exercise)) for exercise in everything[: held_out + rows]]
    tests, training = told[:held_out], told[held_out:]
    return [exchange(*row, origin=n) for n, row in enumerate(training)], [
        exchange(*row, origin=n) for n, row in enumerate(tests)
    ]


def tell(exercise: Exercise, draw: random.Random) -> str:
    """The story of an exercise, without a question."""
    name, things, verb = draw.choice(_NAMES), draw.choice(_THINGS), draw.choice(_VERBS[exercise.second])
    if exercise.first == "*":
        return f"{name} has {exercise.a} boxes of {exercise.b} {things} and {verb} {exercise.c}"
    first = draw.choice(_VERBS[exercise.first])
    return f"{name} has {exercise.a} {things}, {first} {exercise.b} and {verb} {exercise.c}"


def _question(exercise: Exercise, draw: random.Random) -> str:
    return f"{tell(exercise, draw)}. How many are left?"


def _answer(exercise: Exercise) -> str:
    return f"{exercise.calculation}\n#### {exercise.result}"
