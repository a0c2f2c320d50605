"""lab.code: instructions for one-line Python functions over a list of integers.

    USER: Write a function for the sum of the squares of the even numbers.
    ASSISTANT: def f(xs):
        return sum([x * x for x in xs if x % 2 == 0])

A function is a reduction, a map and a filter. Held-out rows ask for **combinations** of the three that no training row
asks for, in any wording: a model must have learned the parts. Default: 512 rows and 150 held out.
"""

import itertools
import random
from dataclasses import dataclass

from mixgrid.conversations import Conversation, exchange
from mixgrid.sources import GeneratedSource


@dataclass(frozen=True)
class Part:
    """One part of a function: how the instruction says it, and its code."""

    words: str
    code: str


REDUCTIONS = (
    Part("sum", "sum({})"),
    Part("maximum", "max({}, default=0)"),
    Part("minimum", "min({}, default=0)"),
    Part("count", "len({})"),
    Part("order", "sorted({})"),
    Part("set", "set({})"),
    Part("tuple", "tuple({})"),
    Part("list", "list({})"),
)
MAPS = (
    Part("doubles", "x * 2"),
    Part("triples", "x * 3"),
    Part("squares", "x * x"),
    Part("negatives", "-x"),
    Part("successors", "x + 1"),
    Part("predecessors", "x - 1"),
    Part("halves", "x // 2"),
    Part("sizes", "abs(x)"),
)
FILTERS = (
    Part("even", "x % 2 == 0"),
    Part("odd", "x % 2 == 1"),
    Part("positive", "x > 0"),
    Part("negative", "x < 0"),
    Part("large", "x > 9"),
    Part("small", "x < 9"),
    Part("nonzero", "x != 0"),
    Part("threefold", "x % 3 == 0"),
)
_INSTRUCTIONS = (
    "Write a function for the {0} of the {1} of the {2} numbers.",
    "Code the {0} of the {1} of the {2} numbers.",
    "Return the {0} of the {1} of the {2} numbers.",
    "I need the {0} of the {1} of the {2} numbers.",
)


def function_text(reduction: Part, map_: Part, filter_: Part) -> str:
    """Python source of the function `f` that the three parts make."""
    return f"def f(xs):\n    return {reduction.code.format(f'[{map_.code} for x in xs if {filter_.code}]')}"


def generate(*, rows: int, held_out: int, seed: int) -> tuple[list[Conversation], list[Conversation]]:
    """Training rows and held-out rows; the latter's combinations occur in no training row, one row for each."""
    draw = random.Random(f"lab.code {seed}")
    combinations = list(itertools.product(REDUCTIONS, MAPS, FILTERS))
    if held_out >= len(combinations) or rows > (len(combinations) - held_out) * len(_INSTRUCTIONS):
        largest = max(0, len(combinations) - held_out) * len(_INSTRUCTIONS)
        raise ValueError(f"lab.code has {largest} training rows beside {held_out} held out; {rows} were asked for")
    draw.shuffle(combinations)
    tests = [(parts, draw.choice(_INSTRUCTIONS)) for parts in combinations[:held_out]]
    training = draw.sample(list(itertools.product(combinations[held_out:], _INSTRUCTIONS)), rows)
    return _conversations(training), _conversations(tests)


def _conversations(examples: list[tuple[tuple[Part, Part, Part], str]]) -> list[Conversation]:
    return [
        exchange(instruction.format(*(part.words for part in parts)), function_text(*parts), origin=number)
        for number, (parts, instruction) in enumerate(examples)
    ]


SOURCE = GeneratedSource(name="lab.code", generate=generate, rows=512, held_out=150)
