"""What goes into a judging and what comes out of it.

ModelAnswer(111, ("The area is 3.", "The circumcircle has the area 4.9."))
Judgment(question_id=111, turn=1, repeat=0, score=9.0, reply="... Rating: [[9]]", prompt_name="single-math-v1", ...)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from mixgrid.judge.budget import NO_TOKENS, Spending, Tokens

Reason = Literal["no rating", "empty reply", "unreadable reply", "error", "budget", "no answer"]
"""Why a judgment has no score. "no rating": the judge was asked twice and gave none on the scale."""


@dataclass(frozen=True)
class ModelAnswer:
    """A model's answers to a question, one a turn."""

    question_id: int
    turns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Judgment:
    """One rating, or None with a reason to count by and a detail.

    `prompt` is the first request's user message, `reply` the last thing the judge said, `tokens` those of its replies
    whether paid for now or earlier, `answered_at` in seconds since 1970. `cut`: an answer was longer than the bound,
    and the rest of it not sent.
    """

    question_id: int
    turn: int
    repeat: int
    profile: str
    prompt_name: str = ""
    prompt: str = ""
    score: float | None = None
    reason: Reason | None = None
    detail: str = ""
    reply: str = ""
    tokens: Tokens = NO_TOKENS
    reasked: bool = False
    cut: bool = False
    answered_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Run:
    """All judgments that were asked for, by turn, answer and repeat, and what this run paid for."""

    judgments: Sequence[Judgment]
    spent: Spending

    @property
    def open(self) -> Sequence[Judgment]:
        """Those that a later run could still fill: the budget was spent, or the endpoint failed."""
        return [j for j in self.judgments if j.score is None and j.reason not in ("no rating", "no answer")]
