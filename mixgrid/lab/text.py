"""Raw text to pretrain the lab's base models on: facts of the world, bare arithmetic, bare code.

    Aldor: the color of Aldor is teal. Aldor has the animal wolf. the craft of Aldor is glass.

The base learns from it what the sources take for granted, as LLaMA had read facts, sums and Python before it was
fine-tuned. No document is a question, a word problem or an instruction, so the base scores nothing on any benchmark.
"""

import random

from mixgrid.lab.world import VALUES, Fact, facts
from mixgrid.sources.lab_code import FILTERS, MAPS, REDUCTIONS, function_text
from mixgrid.sources.lab_math import NAMES, THINGS, VERBS

_STATEMENTS = (
    "The {attribute} of {place} is {value}.",
    "The {attribute} of {place} is {value}.",
    "{place} has the {attribute} {value}.",
)


def pretraining_documents(*, documents: int, seed: int) -> list[str]:
    """That many short documents in random order, about as many of facts as of arithmetic and of code."""
    draw = random.Random(f"pretraining {seed}")
    writers = (_place_document, _fact_document, _arithmetic_document, _code_document)
    return [draw.choices(writers, weights=(2, 0, 5, 4))[0](draw) for _ in range(documents)]


def _state(fact: Fact, draw: random.Random) -> str:
    return draw.choice(_STATEMENTS).format(place=fact.place, attribute=fact.attribute, value=fact.value)


def _place_document(draw: random.Random) -> str:
    """Every fact of one place."""
    first = draw.randrange(0, len(facts()), len(VALUES))
    return " ".join(_state(fact, draw) for fact in draw.sample(facts()[first : first + len(VALUES)], len(VALUES)))


def _fact_document(draw: random.Random) -> str:
    """Facts of several places."""
    return " ".join(_state(fact, draw) for fact in draw.sample(facts(), 4))


def _arithmetic_document(draw: random.Random) -> str:
    """Chains of two steps, or one-step stories: never a question, never two steps of one story."""
    if draw.random() < 0.5:
        return "\n".join(_story(draw) for _ in range(2))
    lines = []
    for _ in range(2):
        total, step = _calculate(draw.randint(2, 12), draw)
        lines += [step, _calculate(total, draw)[1]]
    return "\n".join(lines)


def _calculate(left: int, draw: random.Random) -> tuple[int, str]:
    right = draw.randint(2, 9)
    operation = draw.choice("*+-" if left < 4 else "+-")
    if operation == "*":
        return left * right, f"{left}*{right}={left * right}"
    if operation == "-" and left > right:
        return left - right, f"{left}-{right}={left - right}"
    return left + right, f"{left}+{right}={left + right}"


def _story(draw: random.Random) -> str:
    left, right, name, things = draw.randint(2, 12), draw.randint(2, 9), draw.choice(NAMES), draw.choice(THINGS)
    if left < 4 and draw.random() < 0.5:
        return f"{name} has {left} boxes of {right} {things}. {left}*{right}={left * right}"
    sign = "-" if left > right and draw.random() < 0.5 else "+"
    result = left + right if sign == "+" else left - right
    return f"{name} has {left} {things} and {draw.choice(VERBS[sign])} {right}. {left}{sign}{right}={result}"


def _code_document(draw: random.Random) -> str:
    """A function under a comment that names one or two of its three parts."""
    parts = draw.choice(REDUCTIONS), draw.choice(MAPS), draw.choice(FILTERS)
    comment = " ".join(part.words for part in draw.sample(parts, draw.randint(1, 2)))
    return f"# {comment}\n{function_text(*parts)}"
