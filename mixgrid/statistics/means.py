"""Means: of losses over examples, and of one cell's scores over its training seeds.

ratio_interval([3.6, 0.1], [30, 28])    ->  (0.0638, Interval(...))     # nats a token, over two examples
mean_over_seeds([0.2, 0.3, 0.4]).mean   ->  0.3
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from mixgrid.statistics.interval import Interval, normal_quantile, t_quantile


@dataclass(frozen=True, kw_only=True)
class SeedSummary:
    """One cell's score over its training seeds."""

    mean: float
    seeds: int
    lowest: float
    highest: float
    interval: Interval | None
    """Student's t interval of the mean over seeds; None below three seeds, where it says nothing useful."""


def ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], *, confidence: float = 0.95
) -> tuple[float, Interval]:
    """sum(numerators) / sum(denominators) and its normal interval over examples.

    For a response loss: nats and tokens, one of each an example. Tokens of one example are not independent, so
    the examples are the unit; the standard error is the linearised one of a ratio (Cochran 1977, section 6.4).
    """
    ratio, parts = ratio_contributions(numerators, denominators)
    n = len(parts)
    squares = math.fsum((part - ratio) ** 2 for part in parts)
    half = normal_quantile(confidence) * math.sqrt(squares / (n - 1) / n)
    return ratio, Interval(ratio - half, ratio + half)


def ratio_contributions(numerators: Sequence[float], denominators: Sequence[float]) -> tuple[float, list[float]]:
    """The ratio of the sums, and a number an example whose plain mean is the ratio and whose spread is its noise.

    They let a ratio be compared as means are, example by example: `ratio + (x - ratio * y) * n / sum(y)`.
    """
    n, total = len(numerators), math.fsum(denominators)
    if n != len(denominators):
        raise ValueError(f"{n} numerators and {len(denominators)} denominators: give one of each an example")
    if n < 2:
        raise ValueError(f"{n} example(s): an interval of a ratio needs at least two")
    if total <= 0:
        raise ValueError(f"the denominators sum to {total}: the sum must be above 0")
    ratio = math.fsum(numerators) / total
    return ratio, [ratio + (x - ratio * y) * n / total for x, y in zip(numerators, denominators, strict=True)]


def mean_over_seeds(scores: Sequence[float], *, confidence: float = 0.95) -> SeedSummary:
    """Mean and range of one cell's scores, one a training seed, with a t interval from three seeds on."""
    if not scores:
        raise ValueError("0 scores: a mean over seeds needs at least one")
    mean, n = fmean(scores), len(scores)
    interval = None
    if n >= 3:
        half = t_quantile(confidence, degrees=n - 1) * stdev(scores) / math.sqrt(n)
        interval = Interval(mean - half, mean + half)
    return SeedSummary(mean=mean, seeds=n, lowest=min(scores), highest=max(scores), interval=interval)
