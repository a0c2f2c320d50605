"""Keywords: which words and letters an answer holds, and how often.

    keywords:existence        {"keywords": ["river", "land"]}            both occur
    keywords:frequency        {"keyword": "war", "frequency": 3, ...}    at least, or less than, 3 times
    keywords:forbidden_words  {"forbidden_words": ["no"]}                not a word of the answer ("note" is allowed)
    keywords:letter_frequency {"letter": "q", "let_frequency": 4, ...}   any character, such as # or !

Case never counts. A keyword is literal text and may be part of a longer word ("war" occurs in "award"), as in the
official checks; only a forbidden word must stand alone.
"""

import re
from collections.abc import Sequence

from mixgrid.grading.instructions.rule import CHARACTER, COUNT, PHRASE, PHRASES, RELATION, Rule, holds


def has_keywords(answer: str, *, keywords: Sequence[str]) -> bool:
    """All keywords occur."""
    text = answer.casefold()
    return all(keyword.strip().casefold() in text for keyword in keywords)


def has_keyword_frequency(answer: str, *, keyword: str, frequency: int, relation: str) -> bool:
    """The keyword occurs often or seldom enough; occurrences do not overlap."""
    return holds(answer.casefold().count(keyword.strip().casefold()), relation, frequency)


def has_no_forbidden_word(answer: str, *, forbidden_words: Sequence[str]) -> bool:
    """No forbidden word occurs with neither a letter, a digit nor an underscore at its sides."""
    text = answer.casefold()
    return not any(_occurs_alone(word.strip().casefold(), text) for word in forbidden_words)


def has_letter_frequency(answer: str, *, letter: str, let_frequency: int, let_relation: str) -> bool:
    """The character occurs often or seldom enough."""
    return holds(answer.lower().count(letter.lower()), let_relation, let_frequency)


def _occurs_alone(word: str, text: str) -> bool:
    # `in` is many times as fast as a pattern, and most answers do not hold the word at all
    return word in text and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


RULES = (
    Rule("keywords:existence", has_keywords, {"keywords": PHRASES}),
    Rule("keywords:frequency", has_keyword_frequency, {"keyword": PHRASE, "frequency": COUNT, "relation": RELATION}),
    Rule("keywords:forbidden_words", has_no_forbidden_word, {"forbidden_words": PHRASES}),
    Rule(
        "keywords:letter_frequency",
        has_letter_frequency,
        {"letter": CHARACTER, "let_frequency": COUNT, "let_relation": RELATION},
    ),
)
