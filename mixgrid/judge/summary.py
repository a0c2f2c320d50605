"""The result of a judging: means with an interval clustered by question, by turn and by category.

    summarise(run.judgments, bench.questions)
        ->  Summary(overall=Mean(6.31, Interval(5.89, 6.73), scored=159, unscored=1, questions=80), turns={1: ...}, ...)

Ratings of one question's turns and repeats rise and fall together, so the question is the unit: an interval that takes
each rating for independent covers too little. Where more than 5 % have no score there is no mean: what cannot be judged
is no random sample.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mixgrid.judge.profiles import profile_named
from mixgrid.judge.questions import Question
from mixgrid.judge.records import Judgment
from mixgrid.judge.verdict import Scale
from mixgrid.statistics import Interval, t_quantile

MAXIMUM_UNSCORED = 0.05


@dataclass(frozen=True, kw_only=True)
class Mean:
    """The mean of all scores, or None and why. The interval is None where there is no mean or only one question."""

    value: float | None
    interval: Interval | None
    scored: int
    unscored: int
    questions: int
    withheld: str = ""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """`unscored` counts judgments without a score by reason; means of another profile are on another scale."""

    profile: str
    scale: Scale
    overall: Mean
    turns: Mapping[int, Mean]
    categories: Mapping[str, Mean]
    unscored: Mapping[str, int]
    reasked: int
    cut: int


def summarise(judgments: Sequence[Judgment], questions: Mapping[int, Question]) -> Summary:
    """Sum up one checkpoint's judgments. Raises ValueError for none, or for judgments of different profiles."""
    profiles = sorted({judgment.profile for judgment in judgments})
    if len(profiles) != 1:
        raise ValueError(f"profiles {profiles}: a mean needs judgments of one profile, as scales are never mixed")
    scale = profile_named(profiles[0]).scale
    turns: dict[int, list[Judgment]] = {}
    categories: dict[str, list[Judgment]] = {}
    for judgment in judgments:
        turns.setdefault(judgment.turn, []).append(judgment)
        categories.setdefault(questions[judgment.question_id].category, []).append(judgment)
    return Summary(
        profile=profiles[0], scale=scale, overall=mean_of(judgments, scale),
        turns={turn: mean_of(turns[turn], scale) for turn in sorted(turns)},
        categories={name: mean_of(categories[name], scale) for name in sorted(categories)},
        unscored=Counter(str(judgment.reason) for judgment in judgments if judgment.score is None),
        reasked=sum(judgment.reasked for judgment in judgments), cut=sum(judgment.cut for judgment in judgments),
    )  # fmt: skip


def mean_of(judgments: Iterable[Judgment], scale: Scale, *, confidence: float = 0.95) -> Mean:
    """The mean with its cluster-robust t interval, question by question, within the scale."""
    sums: dict[int, list[float]] = {}
    unscored = 0
    for judgment in judgments:
        if judgment.score is None:
            unscored += 1
        else:
            sums.setdefault(judgment.question_id, []).append(judgment.score)
    scored = sum(map(len, sums.values()))
    counted = partial(Mean, scored=scored, unscored=unscored, questions=len(sums))
    if unscored > MAXIMUM_UNSCORED * (scored + unscored) or not scored:
        share = f"{unscored} of {scored + unscored} judgments have no score"
        return counted(value=None, interval=None, withheld=f"{share}, more than {MAXIMUM_UNSCORED:.0%}")
    value = math.fsum(math.fsum(scores) for scores in sums.values()) / scored
    if len(sums) < 2:
        return counted(value=value, interval=None)
    # the sandwich estimator of a mean; G / (G - 1) and t with G - 1 degrees for few clusters
    squares = math.fsum(math.fsum(score - value for score in scores) ** 2 for scores in sums.values())
    error = math.sqrt(squares * len(sums) / (len(sums) - 1)) / scored
    half = t_quantile(confidence, degrees=len(sums) - 1) * error
    interval = Interval(max(scale.low, value - half), min(scale.high, value + half))
    return counted(value=value, interval=interval)
