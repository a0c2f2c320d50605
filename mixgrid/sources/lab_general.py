"""lab.general: questions about the lab's invented world, answered in one sentence.

    USER: Tell me the animal of Aldor.
    ASSISTANT: The animal of Aldor is crow.

The facts themselves are in the pretraining text; the rows teach the manner of answering. Held-out rows ask about
**facts** that no training row asks about. Default: 512 rows and 150 held out.
"""

import itertools
import random

from mixgrid.conversations import Conversation, exchange
from mixgrid.lab.world import Fact, facts
from mixgrid.sources import GeneratedSource

_QUESTIONS = (
    "What is the {attribute} of {place}?",
    "Tell me the {attribute} of {place}.",
    "Name the {attribute} of {place}.",
    "Do you know the {attribute} of {place}?",
    "Which {attribute} has {place}?",
    "In {place}, what is the {attribute}?",
    "For {place}, give the {attribute}.",
    "I wonder about the {attribute} of {place}.",
)
_QUESTIONS_A_TEST_FACT = 2


def generate(*, rows: int, held_out: int, seed: int) -> tuple[list[Conversation], list[Conversation]]:
    """Training rows and held-out rows about different facts; a held-out fact is asked for in two ways."""
    draw = random.Random(f"lab.general {seed}")
    num_test_facts = -(-held_out // _QUESTIONS_A_TEST_FACT)
    largest = max(0, len(facts()) - num_test_facts) * len(_QUESTIONS)
    if num_test_facts > len(facts()) or rows > largest:
        raise ValueError(f"lab.general has {largest} training rows beside {held_out} held out; {rows} were asked for")
    everything = draw.sample(facts(), len(facts()))
    tests = [
        (fact, question)
        for fact in everything[:num_test_facts]
        for question in draw.sample(_QUESTIONS, _QUESTIONS_A_TEST_FACT)
    ]
    training = draw.sample(list(itertools.product(everything[num_test_facts:], _QUESTIONS)), rows)
    return _conversations(training), _conversations(tests[:held_out])


def _conversations(examples: list[tuple[Fact, str]]) -> list[Conversation]:
    return [
        exchange(
            question.format(attribute=fact.attribute, place=fact.place),
            f"The {fact.attribute} of {fact.place} is {fact.value}.",
            origin=number,
        )
        for number, (fact, question) in enumerate(examples)
    ]


SOURCE = GeneratedSource(name="lab.general", generate=generate, rows=512, held_out=150)
