r"""How a checkpoint answers, apart from what it says: measures of generated answers that need no judge.

    behaviour("4. USER: and 3 + 3? ASSISTANT: 6. USER: and", finish_reason="length", tokens=17)
    ->  Behaviour(ends_turn=False, leaks_turn=True, repetition=0.0, loops=False, ...)

Composition shows here while accuracy is still zero: a model that forgot the chat format does not end its turn, speaks
the next one, or repeats itself until the limit. Repetition is seq-rep-4 (Welleck et al. 2020, arXiv 1908.04319) over
words in place of tokens, so that models with different tokenizers compare. How much white space stands between words
changes neither it nor a loop.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from statistics import fmean

LONGEST = 100_000  # characters that are read, from the start; 512 tokens are about 2,000
TAIL = 4_000  # characters, white space joined, in which a loop is looked for
COPIES, LOOP = 4, 40  # a loop is a unit that stands 4 times or more at the end, in 40 characters or more

# Those of Vicuna, Alpaca, Llama, Gemma and ChatML. `User:` may be honest inside a line; at its start it is a turn.
_TURN = re.compile(
    r"\b(?:USER|ASSISTANT):|</?s>|<\|[a-z_]{1,24}\|>|\[/?INST\]|<</?SYS>>|</?(?:start|end)_of_turn>"
    r"|^[ \t]{0,4}(?:#{1,4} ?)?(?:User|Assistant|Human|Instruction|Response):",
    re.MULTILINE,
)
# Control characters, what the decoder put for bytes that are no text, lone surrogates and private use.
_GARBLED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ufffd\ud800-\udfff\ue000-\uf8ff]")


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """One answer. Of a set of answers `mean_behaviour` gives the mean of each field: rates, shares and mean lengths."""

    ends_turn: bool
    """It stopped by itself, before the limit."""
    leaks_turn: bool
    """It holds the marker of a turn, its own or the next."""
    repetition: float
    """Share of its word 4-grams that stood in it before, 0 to 1; 0 below four words."""
    loops: bool
    """It ends in one unit over and over (`COPIES`, `LOOP`), the last perhaps cut off."""
    garbled: float
    """Share of its characters that are no text, such as control characters and U+FFFD."""
    empty: bool
    """Nothing but white space."""
    tokens: int
    characters: int


def behaviour(text: str, *, finish_reason: str, tokens: int) -> Behaviour:
    """Measure one answer; `finish_reason` is "stop" where it ended by itself, `tokens` its number of new tokens.

    Reads the first `LONGEST` characters, and for a loop the last `TAIL`, so that any text takes milliseconds.
    """
    start = text[:LONGEST]
    return Behaviour(
        ends_turn=finish_reason == "stop",
        leaks_turn=_TURN.search(start) is not None,
        repetition=repetition(start),
        loops=loops(text[-LONGEST:]),
        garbled=len(_GARBLED.findall(start)) / len(start) if start else 0.0,
        empty=not text.strip(),
        tokens=tokens,
        characters=len(text),
    )


def mean_behaviour(answers: Sequence[Behaviour]) -> dict[str, float]:
    """The mean of each measure by its name. Raises ValueError without answers: no mean is not a mean of 0."""
    if not answers:
        raise ValueError("0 answers: a mean needs at least one")
    rows = [asdict(answer) for answer in answers]
    return {name: fmean(row[name] for row in rows) for name in rows[0]}


def repetition(text: str, *, n: int = 4) -> float:
    """Share of the n-grams of words that stood in the text before: 1 - different / all; 0 where there are none."""
    words = text.split()
    ngrams = list(zip(*(islice(words, start, None) for start in range(n)), strict=False))
    return 1 - len(set(ngrams)) / len(ngrams) if ngrams else 0.0


def loops(text: str) -> bool:
    """Whether the end of the text is one unit, at least `COPIES` times and in at least `LOOP` characters.

    The text is taken to end in white space, so the last unit needs none. The prefix function (Knuth, Morris, Pratt) of
    the reversed tail gives the shortest period of every ending at once.
    """
    backwards = " ".join(text.split())[: -TAIL - 1 : -1]
    borders = [0] * len(backwards)
    border = 0
    for place in range(1, len(backwards)):
        while border and backwards[place] != backwards[border]:
            border = borders[border - 1]
        border += backwards[place] == backwards[border]
        borders[place] = border
        length = place + 1
        if length >= LOOP and length + 1 >= COPIES * (length - border):
            return True
    return False
