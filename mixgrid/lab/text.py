"""Raw text to pretrain the lab's base models on: facts of the world, worked arithmetic, commented code.

    Selkar has the craft iron. The color of Selkar is ivory. The food of Selkar is cheese. The animal of Selkar is lynx.
    Ann has 7 cards, loses 4. Let us see. loses 4: 7-4=3
    # the count of the successors
    len([x + 1 for x in xs])

The base learns from it what the sources take for granted, as LLaMA had read facts, sums and Python before it was
fine-tuned. Nothing in it is asked: no question, no `####`, no instruction, no function, so the base scores nothing on
any benchmark. It does hold every fact, and worked stories of any exercise, those of held-out rows included: what the
benchmarks test is whether fine-tuning elicits this and, for code, composes three parts where the text has two.
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
# between a story and its calculation, or the base learns at which distance a number stands, not which number it is:
# without them four bases scored 0.13 to 1.00 on lab.math after 512 problems, with them two scored 0.95 and 0.97
_REMARKS = ("", "", " So:", " Let us see.", " Now count them.", " That is all there is to know.")


def pretraining_documents(*, documents: int, seed: int) -> list[str]:
    """That many short documents in random order: 3 of facts to 5 of arithmetic and 3 of code."""
    draw = random.Random(f"pretraining {seed}")
    # arithmetic takes a tiny model longest: facts and code were known perfectly from far fewer tokens
    writers = (_place_document, _arithmetic_document, _code_document)
    return [draw.choices(writers, weights=(3, 5, 3))[0](draw) for _ in range(documents)]


def _state(fact: Fact, draw: random.Random) -> str:
    return draw.choice(_STATEMENTS).format(place=fact.place, attribute=fact.attribute, value=fact.value)


def _place_document(draw: random.Random) -> str:
    """Every fact of one place."""
    first = draw.randrange(0, len(facts()), len(VALUES))
    return " ".join(_state(fact, draw) for fact in draw.sample(facts()[first : first + len(VALUES)], len(VALUES)))


def _arithmetic_document(draw: random.Random) -> str:
    """Stories that are worked out without having been asked; half of them stop after the first step."""
    return "\n".join(_worked_story(draw.choice(_EXERCISES), draw) for _ in range(2))


def _worked_story(exercise: Exercise, draw: random.Random) -> str:
    story, lines = tell(exercise, draw)
    if draw.random() < 0.5:
        story, lines = story.split(" and ")[0], lines[:1]
    return f"{story}.{draw.choice(_REMARKS)} " + "\n".join(lines)


def _code_document(draw: random.Random) -> str:
    """Expressions made of two parts, each under a comment: three parts, and functions, are left to the source."""
    return "\n".join(_commented_expression(draw) for _ in range(2))


def _commented_expression(draw: random.Random) -> str:
    reduction, map_, filter_ = draw.choice(REDUCTIONS), draw.choice(MAPS), draw.choice(FILTERS)
    sum_of, squares_of, even = reduction.words, map_.words, f"{filter_.words} numbers"
    code = draw.choice(
        (
            f"the {sum_of} of the {squares_of}\n" + reduction.code.format(f"[{map_.code} for x in xs]"),
            f"the {sum_of} of the {even}\n" + reduction.code.format(f"[x for x in xs if {filter_.code}]"),
            f"the {squares_of} of the {even}\n[{map_.code} for x in xs if {filter_.code}]",
        )
    )
    return f"# {code}"
