"""Length: sentences, words and paragraphs, and the first word of one paragraph.

    length_constraints:number_sentences           {"num_sentences": 5, "relation": "less than"}    at most 4
    length_constraints:number_words               {"num_words": 300, "relation": "at least"}       300 or more
    length_constraints:number_paragraphs          {"num_paragraphs": 3}     exactly 3, parted by two dividers ***
    length_constraints:nth_paragraph_first_word   {"num_paragraphs": 4, "nth_paragraph": 2, "first_word": "it"}
                                                                            exactly 4, parted by blank lines

A word is a run of letters, digits and underscores, so `don't` is two and `3.5` is two, as in the official checks.
"""

import re

from mixgrid.grading.instructions.rule import COUNT, PHRASE, POSITION, RELATION, Rule, holds
from mixgrid.grading.instructions.sentences import count_sentences

_WORD = re.compile(r"\w+")
_FIRST_WORD = re.compile(r"[\"'“”‘’«]*+([^\s.,?!:;\"'“”‘’»]++)")


def has_sentences(answer: str, *, num_sentences: int, relation: str) -> bool:
    """Few or many enough sentences."""
    return holds(count_sentences(answer), relation, num_sentences)


def has_words(answer: str, *, num_words: int, relation: str) -> bool:
    """Few or many enough words."""
    return holds(sum(1 for _ in _WORD.finditer(answer)), relation, num_words)


def has_divided_paragraphs(answer: str, *, num_paragraphs: int) -> bool:
    """Exactly so many paragraphs between dividers; a divider may open or end the answer, but none follows another."""
    parts = [part.strip() for part in answer.split("***")]
    return all(parts[1:-1]) and sum(map(bool, parts)) == num_paragraphs


def has_first_word(answer: str, *, num_paragraphs: int, nth_paragraph: int, first_word: str) -> bool:
    """Exactly so many paragraphs, and the nth (from 1) opens with the word, in any case and perhaps in quotes.

    Blank paragraphs count for nothing. The word ends at white space, a quote or one of `.,?!:;`.
    """
    paragraphs = [part.strip() for part in answer.split("\n\n") if part.strip()]
    if len(paragraphs) != num_paragraphs or nth_paragraph > num_paragraphs:
        return False
    opening = _FIRST_WORD.match(paragraphs[nth_paragraph - 1])
    return opening is not None and opening[1].casefold() == first_word.strip().casefold()


RULES = (
    Rule("length_constraints:number_sentences", has_sentences, {"num_sentences": COUNT, "relation": RELATION}),
    Rule("length_constraints:number_words", has_words, {"num_words": COUNT, "relation": RELATION}),
    Rule("length_constraints:number_paragraphs", has_divided_paragraphs, {"num_paragraphs": COUNT}),
    Rule(
        "length_constraints:nth_paragraph_first_word",
        has_first_word,
        {"num_paragraphs": COUNT, "nth_paragraph": POSITION, "first_word": PHRASE},
    ),
)
