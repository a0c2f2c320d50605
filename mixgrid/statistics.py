"""Intervals: how far a score could lie from the one a larger test, or another seed, would give.

    wilson_interval(81, 263)  ->  Interval(low=0.2553, high=0.3662)    # 81 of 263 right, at 95 %

Items and seeds are two sources of noise. `wilson_interval` and `ratio_interval` speak of the items of a test,
`mean_over_seeds` of repeated training; neither covers the other (Miller 2024, arXiv 2411.00640).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist, fmean, stdev


@dataclass(frozen=True)
class Interval:
    """A closed interval on the scale of the score it belongs to."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class SeedSummary:
    """One cell's score over its training seeds."""

    mean: float
    seeds: int
    lowest: float
    highest: float
    interval: Interval | None
    """Student's t interval of the mean over seeds; None below three seeds, where it says nothing useful."""


def wilson_interval(successes: int, n: int, *, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a rate; its end is exact when nothing, or everything, succeeded.

    Chosen over the normal interval, whose coverage at p = .03, n = 164 was measured as .866 and Wilson's as .968.
    """
    if n < 1:
        raise ValueError(f"n is {n}: a rate needs at least one item")
    if not 0 <= successes <= n:
        raise ValueError(f"successes is {successes}: it must lie in 0..{n}, the number of items")
    z = _normal_quantile(confidence)
    rate, spread = successes / n, z * z / n
    centre = (rate + spread / 2) / (1 + spread)
    half = z * math.sqrt(rate * (1 - rate) / n + spread / (4 * n)) / (1 + spread)
    return Interval(0.0 if successes == 0 else centre - half, 1.0 if successes == n else centre + half)


def ratio_interval(
    numerators: Sequence[float], denominators: Sequence[float], *, confidence: float = 0.95
) -> tuple[float, Interval]:
    """sum(numerators) / sum(denominators) and its normal interval over examples.

    For a response loss: nats and tokens, one of each an example. Tokens of one example are not independent, so
    the examples are the unit; the standard error is the linearised one of a ratio (Cochran 1977, section 6.4).
    """
    n, total = len(numerators), math.fsum(denominators)
    if n != len(denominators):
        raise ValueError(f"{n} numerators and {len(denominators)} denominators: give one of each an example")
    if n < 2:
        raise ValueError(f"{n} example(s): an interval of a ratio needs at least two")
    if total <= 0:
        raise ValueError(f"the denominators sum to {total}: the sum must be above 0")
    ratio = math.fsum(numerators) / total
    squares = math.fsum((x - ratio * y) ** 2 for x, y in zip(numerators, denominators, strict=True))
    half = _normal_quantile(confidence) * math.sqrt(squares * n / (n - 1)) / total
    return ratio, Interval(ratio - half, ratio + half)


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


def t_quantile(confidence: float, *, degrees: int) -> float:
    """The t with P(|T| <= t) = confidence for Student's T, by bisection; 4.303 for .95 and two degrees."""
    _check_confidence(confidence)
    if degrees < 1:
        raise ValueError(f"degrees is {degrees}: Student's t needs at least one degree of freedom")
    low, high = 0.0, 1.0
    while _t_within(high, degrees) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_within(middle, degrees) < confidence else (low, middle)
    return high


def _t_within(t: float, degrees: int) -> float:
    """P(|T| <= t): the finite sums of Abramowitz and Stegun 26.7.3 (odd degrees) and 26.7.4 (even)."""
    angle = math.atan(t / math.sqrt(degrees))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2 == 1
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(1 if odd else 0, degrees - 1, 2):
        total += term
        term *= cosine * cosine * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def _normal_quantile(confidence: float) -> float:
    _check_confidence(confidence)
    return NormalDist().inv_cdf((1 + confidence) / 2)


def _check_confidence(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: it must lie between 0 and 1, such as 0.95")
