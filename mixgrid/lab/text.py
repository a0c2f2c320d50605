"""Raw text to pretrain the lab's base models on: facts of the world, bare arithmetic, bare code.

    Aldor: the color of Aldor is teal. Aldor has the animal wolf. the craft of Aldor is glass.

The base learns from it what the sources take for granted, as LLaMA had read facts, sums and Python before it was
fine-tuned. No document is a question, a word problem or an instruction, so the base scores nothing on any benchmark.
"""

import random

from mixgrid.lab.world import VALUES, Fact, facts
from mixgrid.sources.lab_code import FILTERS, MAPS, REDUCTIONS
from mixgrid.sources.lab_math import Exercise, exercises, tell

_EXERCISES = exercises()
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
    """Bare chains of two steps, or stories that are worked out without having been asked."""
    if draw.random() < 0.3:
        return "\n".join(draw.choice(_EXERCISES).calculation for _ in range(2))
    return " ".join(_story(draw.choice(_EXERCISES), draw) for _ in range(2))


def _story(exercise: Exercise, draw: random.Random) -> str:
    """Half the stories stop after the first step."""
    told, calculation = tell(exercise, draw), exercise.calculation
    if draw.random() < 0.5:
        told, calculation = told.split(" and ")[0], calculation.split("\n")[0]
    return f"{told}. {calculation}\n"


def _code_document(draw: random.Random) -> str:
    """Expressions made of two parts, each under a comment: three parts, and functions, are left to the source."""
    return "\n".join(_commented_expression(draw) for _ in range(2))


def _commented_expression(draw: random.Random) -> str:
    reduction, map_, filter_ = draw.choice(REDUCTIONS), draw.choice(MAPS), draw.choice(FILTERS)
    return draw.choice(
        (
            f"# the {reduction.words} of the {map_.words}\n{reduction.code.format(f'[{map_.code} for x in xs]')}",
            f"# the {reduction.words} of the {filter_.words}\n{reduction.code.format(f'[x for x in xs if {filter_.code}]')}",
            f"# the {map_.words} of the {filter_.words}\n[{map_.code} for x in xs if {filter_.code}]",
        )
    )
