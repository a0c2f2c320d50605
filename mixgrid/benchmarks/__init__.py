"""Benchmarks: prompts and a grader for an ability.

    load_benchmarks()["gsm8k"]  -> Benchmark(data="gsm8k_test", grade=..., headline="strict", max_new_tokens=512)

A benchmark with a grader lets the checkpoint answer prompts and grades the answers; `headline` names the verdict that
is the score. One without measures the loss of held-out responses of an ability's own source.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixgrid.conversations import Conversation, Message
from mixgrid.registry import load_folder

if TYPE_CHECKING:
    from mixgrid.grading import Grading

Verdict = Mapping[str, bool | int | float | str | None]
"""What a grader says of one answer: booleans become rates, text and numbers are kept with the item."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """An answer and the item it answers. `turns` has a text a user turn: one, but for a conversation."""

    item: Conversation
    turns: tuple[str, ...]

    @property
    def text(self) -> str:
        """The last turn's answer."""
        return self.turns[-1]

    @property
    def reference(self) -> str:
        """What the item's last assistant turn says: an answer, or JSON of what the grader needs."""
        return self.item.response


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is put to a model: turns of a conversation, which the checkpoint's template renders.

    `opening` is the beginning of the answer, put into the model's mouth. `bare`: the text alone, without a template.
    `more` are later user turns, asked once the turns before are answered.
    """

    messages: tuple[Message, ...]
    opening: str = ""
    bare: bool = False
    more: tuple[Message, ...] = ()
    temperature: float = 0.0


def ask_last_turn(item: Conversation) -> Asked:
    """All turns but the last answer."""
    return Asked(messages=item.messages[:-1])


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A score with its 95 % interval; `n` is the number of independent items."""

    score: float
    n: int
    low: float
    high: float


def rate_of(headline: str, verdicts: Sequence[Verdict]) -> Figure:
    """The share of verdicts in which `headline` holds, with Wilson's interval."""
    from mixgrid.statistics import wilson_interval

    right, n = sum(bool(verdict[headline]) for verdict in verdicts), len(verdicts)
    interval = wilson_interval(right, n)
    return Figure(score=right / n, n=n, low=interval.low, high=interval.high)


Grade = Callable[[Sequence[Answered], "Grading"], Sequence[Verdict]]


@dataclass(frozen=True, kw_only=True)
class Benchmark:
    """Prompts and a grader.

    `data` names the source whose rows are asked: its held-out rows where it has some, else all. None is the
    ability's own source. `grade` gives a verdict an answer, in their order; `grader_version` goes up when it changes.
    `judged`: a judge model gives ratings, and a study has to name one.
    """

    name: str
    data: str | None
    grade: Grade | None
    ask: Callable[[Conversation], Asked] = ask_last_turn
    grader_version: int = 1
    headline: str = "correct"
    max_new_tokens: int = 512
    higher_is_better: bool = True
    judged: bool = False

    @property
    def generates(self) -> bool:
        """Whether answers are generated; the other kind measures a loss."""
        return self.grade is not None


def load_benchmarks() -> dict[str, Benchmark]:
    """All benchmarks by name."""
    return load_folder("mixgrid.benchmarks", "BENCHMARK")
