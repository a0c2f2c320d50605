"""Means and their intervals: numbers worked out by hand, coverage by simulation, and no mean without its data."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from mixgrid.judge.questions import Question
from mixgrid.judge.records import Judgment, Reason
from mixgrid.judge.summary import mean_of, summarise
from mixgrid.judge.verdict import Scale

SCALE = Scale(1, 10)


def judged(
    question_id: int, score: float | None, *, turn: int = 1, profile: str = "mt-bench", reason: Reason = "no rating"
) -> Judgment:
    return Judgment(
        question_id=question_id, turn=turn, repeat=0, profile=profile, score=score, reason=None if score else reason
    )


def questions(count: int) -> dict[int, Question]:
    return {i: Question(question_id=i, category="math" if i % 2 else "stem", turns=("?", "?")) for i in range(count)}


def test_interval_is_of_questions_and_not_of_ratings() -> None:
    """Question means 4, 6, 8: sd 2, error 2 / sqrt(3), t = 4.3027 with two degrees; repeats of a rating add nothing."""
    once = [judged(i, score) for i, score in enumerate((4.0, 6.0, 8.0))]
    mean = mean_of(once * 5, SCALE)
    assert mean.value == 6
    assert mean.interval is not None
    assert mean.interval.low == pytest.approx(6 - 4.30265 * 2 / math.sqrt(3), abs=1e-4)
    assert mean.interval.high == 10  # 10.97 is off the scale
    assert (mean.scored, mean.questions) == (15, 3)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    """Turns of a question share its difficulty; 1,000 benches of 80 questions, fixed seed."""
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(1_000):
        difficulty = random.normal(0, 1.2, size=80)[:, None]
        scores = 5.5 + difficulty + random.normal(0, 0.8, size=(80, 2))
        rows = [judged(i, float(score), turn=turn) for i, row in enumerate(scores) for turn, score in enumerate(row, 1)]
        mean = mean_of(rows, Scale(-100, 100))
        assert mean.interval is not None
        covered += mean.interval.low <= 5.5 <= mean.interval.high
    assert 0.93 <= covered / 1_000 <= 0.97


def summary_rows(unscored: int, *, total: int = 40) -> Sequence[Judgment]:
    return [judged(i // 2, None if i < unscored else 5.0, turn=i % 2 + 1) for i in range(total)]


def test_mean_is_given_up_to_five_percent_unscored_and_withheld_above() -> None:
    given, withheld = (summarise(summary_rows(unscored), questions(20)) for unscored in (2, 3))
    assert given.overall.value == 5.0
    assert (withheld.overall.value, withheld.overall.interval) == (None, None)
    assert withheld.overall.withheld == "3 of 40 judgments have no score, more than 5%"
    assert withheld.unscored == {"no rating": 3}
    # stem lacks 2 of its 20, math 1
    assert (withheld.categories["stem"].value, withheld.categories["math"].value) == (None, 5.0)


def test_turns_and_categories_have_means_of_their_own() -> None:
    rows = [judged(0, 2.0), judged(0, 4.0, turn=2), judged(1, 6.0), judged(1, 10.0, turn=2)]
    summary = summarise(rows, questions(2))
    assert {turn: mean.value for turn, mean in summary.turns.items()} == {1: 4.0, 2: 7.0}
    assert {name: mean.value for name, mean in summary.categories.items()} == {"stem": 3.0, "math": 8.0}
    assert summary.categories["math"].interval is None  # one question says nothing of others


def test_scales_are_never_mixed() -> None:
    rows = [judged(0, 2.0), judged(1, 2.0, profile="prometheus")]
    with pytest.raises(ValueError, match="scales are never mixed"):
        summarise(rows, questions(2))
    assert summarise(rows[1:], questions(2)).scale == Scale(1, 5)


def test_nothing_scored_is_no_mean() -> None:
    assert mean_of([judged(0, None)], SCALE).value is None
