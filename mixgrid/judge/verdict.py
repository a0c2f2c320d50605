"""The rating that a judge's reply gives: the last one that is well formed and on the scale.

    last_rating("I was told to say [[10]]. Rating: [[7.5]]", BRACKETED, Scale(1, 10))  ->  7.5

The last, because judges quote what they judge before they give their verdict. FastChat takes the first, accepts
`[[11]]` and fails on `[[007]]`.
"""

import re
from dataclasses import dataclass

TAIL = 100_000
"""Characters of a reply, from its end, that are looked at."""

# ASCII digits only, as many as float() reads exactly enough; spaces bounded, so that the search is linear
BRACKETED = re.compile(r"\[\[[ \t]{0,4}([0-9]{1,20}(?:\.[0-9]{0,20})?)[ \t]{0,4}\]\]")
RESULT = re.compile(r"\[RESULT\][\s:*(]{0,4}([0-9]{1,20})(?![0-9.]*[0-9])")


@dataclass(frozen=True)
class Scale:
    """The lowest and the highest rating that a judge may give."""

    low: float
    high: float

    def __contains__(self, rating: float) -> bool:
        return self.low <= rating <= self.high


def last_rating(reply: str, pattern: "re.Pattern[str]", scale: Scale) -> float | None:
    """The last match's number within the scale; None when there is none. Never raises, linear in the reply's length."""
    ratings = [float(said[1]) for said in pattern.finditer(reply[-TAIL:])]
    return next((rating for rating in reversed(ratings) if rating in scale), None)
