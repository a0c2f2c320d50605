r"""MATH: competition problems whose solutions box their answer (Hendrycks et al. 2021, hendrycks/math).

    {"problem": "Compute $\\dbinom{8}{4}$.", "level": "Level 2", "type": "Counting", "solution": "... $\boxed{70}$."}

    grade("... so it is $\\boxed{70}$.", solution)  ->  {"correct": True, "no_answer": False}

The answer is what the last \boxed{} holds. Models that were tuned on other data do not box, so `#### 70` and "the
answer is 70" are read too, in that order. `mixgrid.grading.math_answers` says what is the same answer.
"""

import re

from mixgrid.benchmarks import Benchmark, Verdict
from mixgrid.errors import SourceError
from mixgrid.grading import one_by_one
from mixgrid.grading.math_answers import extract_boxed, same_answer
from mixgrid.grading.math_text import LONGEST
from mixgrid.grading.turns import own_turn
from mixgrid.sources.files import shown

TAIL = 20_000  # characters that are read, from the end; 512 tokens are about 2,000

_SAID = (
    re.compile(r"####"),
    re.compile(r"(?i:\banswer)[ \t*]{0,4}(?i:is\b|[:=])[ \t*:]{0,4}"),
)
_FORMULA = re.compile(r"\$\$?([^$]+)\$|\\\((.+?)\\\)|\\\[(.+?)\\\]")
_SENTENCE_END = re.compile(r"[.;!?](?:\s|$)")


def grade(answer: str, reference: str) -> dict[str, bool]:
    """`correct`, and `no_answer` if none is found in the answer; `reference` is MATH's own `solution`.

    Raises SourceError for a solution that boxes nothing: that is the data's fault, not the answer's.
    """
    expected = extract_boxed(reference)
    if expected is None:
        raise SourceError(f"solution {shown(reference[-60:])} has no \\boxed{{}} answer; use MATH's own solution")
    said = extract_answer(answer)
    return {"correct": said is not None and same_answer(said, expected), "no_answer": said is None}


def extract_answer(answer: str) -> str | None:
    """The boxed answer; else what follows the last `####`; else what follows the last "answer is"."""
    text = own_turn(answer)[-TAIL:]
    if boxed := extract_boxed(text):
        return boxed
    for pattern in _SAID:
        for opening in reversed(list(pattern.finditer(text))):
            if found := _bare(text[opening.end() : opening.end() + LONGEST].partition("\n")[0]):
                return found
    return None


def _bare(said: str) -> str | None:
    """The formula that the rest of a line opens with, or the rest up to the sentence's end."""
    formula = _FORMULA.match(said.strip())
    text = next(filter(None, formula.groups()), "") if formula else _SENTENCE_END.split(said, maxsplit=1)[0]
    return text.strip(" \t*$") or None


def _with_extracted(answer: str, reference: str) -> Verdict:
    return grade(answer, reference) | {"extracted": extract_answer(answer)}


BENCHMARK = Benchmark(
    name="hendrycks_math", data="hendrycks_math", grade=one_by_one(_with_extracted), max_new_tokens=1024
)
