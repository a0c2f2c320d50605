r"""GSM8K: grade-school word problems whose answers close with `####` and a number (openai/grade-school-math).

    grade("48/2 = <<48/2=24>>24 in May.\n24 + 48 = 72\n#### 72", "... #### 72")
    ->  Verdict(strict=True, flexible=True, no_answer=False)

The strict rule is the one of `eval.py` in OFA-Sys/gsm8k-ScRel (4d88932): the first `####` with a number right after it,
and a difference under 1e-4. It is extended to forms that say the same number (`#### $18`, `####18`, `#### **18**`,
`#### 1/2`, a unicode minus) and narrowed where that rule reads a number that was not said (`#### 3,4` as 34). The
flexible rule also takes an answer phrase or `\boxed{}`, else the last number; what is strictly right is right flexibly,
so the difference between the two rates is format alone.

Numbers are exact rationals, of at most `LONGEST_NUMBER` characters. No pattern backtracks over more than a few
characters and the flexible rule reads only the `TAIL`: 1 MB of hostile text takes 2 to 9 ms, at worst 55.
"""

import re
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import chain

from mixgrid.benchmarks import Benchmark
from mixgrid.benchmarks import Verdict as Named
from mixgrid.errors import SourceError
from mixgrid.grading import one_by_one
from mixgrid.grading.turns import own_turn

TOLERANCE = Fraction(1, 10_000)
LONGEST_NUMBER = 64
TAIL = 20_000  # characters that the flexible rule reads, from the end; 512 tokens are about 2,000

# A mark that is never closed ends with its line, or where `####` begins.
_CALCULATOR_MARK = re.compile(r"<<(?:[^>\n#]|>(?!>))*+(?:>>)?+")

_ASCII = (
    dict.fromkeys("−–‐‑﹣－", "-")
    | dict(zip("＋＄．，％⁄∕／０１２３４５６７８９", "+$.,%///0123456789", strict=True))
    | {"½": " 1/2", "¼": " 1/4", "¾": " 3/4", "⅓": " 1/3", "⅔": " 2/3"}
)

# A run is all that touches: `1.2.3`, `3,4` and `1e999999999` are matched whole, and then found to be no number.
_RUN = r"(?:(?<![0-9.])\.)?[0-9][0-9.,]*+"
_BODY = rf"{_RUN}(?:[ \t]{{0,4}}/[ \t]{{0,4}}[-+]?{_RUN})*+(?:[eE][-+]?[0-9][0-9.,]*+)?+"
_MONEY = r"[$€£¥₹\\]{0,2}"
_ANY_NUMBER = re.compile(rf"(?:(?<![\w)\].])[-+])?{_MONEY}{_BODY}")
_SAID = rf"(?:\\boxed|[\s:=*_~`$€£¥₹(\[{{\\]){{0,32}}+(?P<number>[-+]?[ \t]{{0,4}}{_MONEY}[ \t]{{0,4}}{_BODY})"
_STRICT = re.compile(rf"####(?<!#####)#*+{_SAID}")  # opens with a literal, which the engine finds fast
_PHRASE = re.compile(rf"(?:(?i:\banswer)[\s*_]{{0,4}}(?i:is\b|[:=])|\\boxed(?=\{{)){_SAID}")

# `1 234` and `1 1/2` are two numbers, and neither was said alone.
_TWO_NUMBERS = re.compile(r"(?<=[0-9])[ \t\u00a0\u2009\u202f]{1,4}[0-9]")
# `the answer is 3 * 6 = 18`: the last number is meant.
_SUM = re.compile(r"[ \t]{0,4}[-+*×÷x][ \t]{0,4}[$(]?[0-9]")
_PLAIN = re.compile(r"(?:[0-9]++|[1-9][0-9]{0,2}(?:,[0-9]{3})++)(?:\.[0-9]++)?|\.[0-9]++")


@dataclass(frozen=True)
class Verdict:
    """How an answer was graded; `no_answer` when neither rule finds a number in it."""

    strict: bool
    flexible: bool
    no_answer: bool


def grade(answer: str, reference: str) -> Verdict:
    """Compare an answer with GSM8K's own `answer` (or RFT's `response`), which ends in `#### 72`.

    Raises SourceError for a reference without a number after `####`: that is the data's fault, not the answer's.
    """
    expected = extract_strict(reference)
    if expected is None:
        raise SourceError(f"reference {reference[-60:]!r} does not end in '#### NUMBER'; use GSM8K's own answer field")
    strict, flexible = extract_strict(answer), extract_flexible(answer)
    return Verdict(_same(strict, expected), _same(flexible, expected), no_answer=flexible is None)


def extract_strict(answer: str) -> Fraction | None:
    """The number right after the first `####` that has one; None if it is malformed or there is none."""
    return _after_marker(_readable(answer))


def extract_flexible(answer: str) -> Fraction | None:
    """The strict number if there is one; else that of the last answer phrase or `\\boxed{}`; else the last number."""
    text = _readable(answer)
    if (number := _after_marker(text)) is not None:
        return number
    tail = text if len(text) <= TAIL else text[-TAIL:].lstrip("0123456789.,/")  # never half a number
    phrased = [said["number"] for said in _PHRASE.finditer(tail) if not _SUM.match(tail, said.end())]
    anywhere = [said[0] for said in _ANY_NUMBER.finditer(tail)]
    candidates = chain(reversed(phrased), reversed(anywhere))
    return next((value for said in candidates if (value := _parse(said)) is not None), None)


def _readable(answer: str) -> str:
    """The answer's own turn, without calculator marks, its digits and signs in ASCII."""
    turn = own_turn(answer)
    if "<<" in turn:
        turn = _CALCULATOR_MARK.sub(" ", turn)
    if not turn.isascii():
        for letter, plain in _ASCII.items():  # ten times as fast as str.translate on long foreign text
            turn = turn.replace(letter, plain)
    return turn


def _after_marker(text: str) -> Fraction | None:
    said = _STRICT.search(text)
    if said is None or _TWO_NUMBERS.match(text, said.end()):
        return None
    return _parse(said["number"])


def _parse(said: str) -> Fraction | None:
    """`-$1,234.50` or `1/2` as a number; None for what only looks like one (`3,4`, `1.2.3`, `1e9`, `18/0`)."""
    if len(said) > LONGEST_NUMBER:
        return None
    sign = -1 if said.lstrip().startswith("-") else 1
    parts = [part.strip(" \t").rstrip(".,") for part in said.lstrip("-+$€£¥₹\\ \t").split("/")]
    if len(parts) > 2 or not all(_PLAIN.fullmatch(part) for part in parts):
        return None
    numerator, denominator = (Fraction(part.replace(",", "")) for part in (*parts, "1")[:2])
    return sign * numerator / denominator if denominator else None


def _same(value: Fraction | None, expected: Fraction) -> bool:
    return value is not None and abs(value - expected) < TOLERANCE


def _grade_by_name(answer: str, reference: str) -> Named:
    number = extract_flexible(answer)
    return asdict(grade(answer, reference)) | {"extracted": None if number is None else str(number)}


BENCHMARK = Benchmark(name="gsm8k", data="gsm8k_test", grade=one_by_one(_grade_by_name), headline="strict")
