"""lab.math: word problems of two steps, answered step by step and ended as GSM8K does.

    USER: Ann has 8 pens, finds 7 and loses 3. How many are left?
    ASSISTANT: finds 7: 8+7=15
    loses 3: 15-3=12
    #### 12

A problem is an exercise (three numbers and two operations) told with names, things and verbs. The exercise of a
held-out row occurs in no training row, however told. Default: 512 rows and 150 held out.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mixgrid.conversations import Conversation, exchange
from mixgrid.sources import GeneratedSource

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


def exercises() -> list[Exercise]:
    """Every exercise whose two results are positive, in a fixed order."""
    return [exercise for exercise in _all_exercises() if exercise.middle > 0 and exercise.result > 0]


def _all_exercises() -> Iterator[Exercise]:
    digits = range(2, 10)
    for a, first, b, second, c in itertools.product(digits, "+-*", digits, "+-", digits):
        if first != "*" or a == 2:
            yield Exercise(a, first, b, second, c)


def generate(*, rows: int, held_out: int, seed: int) -> tuple[list[Conversation], list[Conversation]]:
    """Training rows and held-out rows, each of its own exercise."""
    return draw_problems("lab.math", exercises(), rows=rows, held_out=held_out, seed=seed)


def draw_problems(
    source: str, everything: Sequence[Exercise], *, rows: int, held_out: int, seed: int
) -> tuple[list[Conversation], list[Conversation]]:
    """Training rows and held-out rows of the source of this name, each of its own exercise of `everything`."""
    draw = random.Random(f"{source} {seed}")
    if rows + held_out > len(everything):
        largest = max(0, len(everything) - held_out)
        raise ValueError(f"{source} has {largest} training rows beside {held_out} held out; {rows} were asked for")
    chosen = [_problem(exercise, draw) for exercise in draw.sample(everything, held_out + rows)]
    return _conversations(chosen[held_out:]), _conversations(chosen[:held_out])


def tell(exercise: Exercise, draw: random.Random) -> tuple[str, list[str]]:
    """A story of an exercise, without a question, and its calculation, a line a step."""
    name, things = draw.choice(_NAMES), draw.choice(_THINGS)
    first = draw.choice(_VERBS[exercise.first]) if exercise.first in _VERBS else "boxes of"
    second = draw.choice([verb for verb in _VERBS[exercise.second] if verb != first])
    if exercise.first == "*":
        story = f"{name} has {exercise.a} boxes of {exercise.b} {things}"
    else:
        story = f"{name} has {exercise.a} {things}, {first} {exercise.b}"
    return f"{story} and {second} {exercise.c}", [
        f"{first} {exercise.b}: {exercise.a}{exercise.first}{exercise.b}={exercise.middle}",
        f"{second} {exercise.c}: {exercise.middle}{exercise.second}{exercise.c}={exercise.result}",
    ]


def _problem(exercise: Exercise, draw: random.Random) -> tuple[str, str]:
    story, lines = tell(exercise, draw)
    return f"{story}. How many are left?", "\n".join([*lines, f"#### {exercise.result}"])


def _conversations(problems: list[tuple[str, str]]) -> list[Conversation]:
    return [exchange(question, answer, origin=number) for number, (question, answer) in enumerate(problems)]


SOURCE = GeneratedSource(name="lab.math", generate=generate, rows=512, held_out=150)
