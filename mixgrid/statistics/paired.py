"""The difference of two scores on the same items, where what is easy for one is easy for the other.

    paired_difference([1, 1, 1, 0, ...], [1, 0, 0, 0, ...])
        ->  PairedDifference(difference=0.2, interval=Interval(0.05, 0.33), p=0.013)

Right and wrong: exact McNemar for p, Bonett and Price for the interval. Other scores: a paired bootstrap over items.
"""

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from mixgrid.statistics.interval import Interval, check_confidence, normal_quantile

DRAWS = 4000


class PairedDifference(NamedTuple):
    """First minus second, its interval, and the two-sided p of no difference."""

    difference: float
    interval: Interval
    p: float


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95, seed: int = 0
) -> PairedDifference:
    """Compare scores of one item each, in one order. Booleans, or zeros and ones, are taken for right and wrong.

    The bootstrap is BCa over items (Efron 1987) with `seed`; its p is the share of draws on the other side of 0, twice.
    """
    check_confidence(confidence)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} scores: both need one for each of the same items")
    if len(first) < 2:
        raise ValueError(f"{len(first)} item(s): a paired difference needs at least two")
    if {*map(float, first), *map(float, second)} <= {0.0, 1.0}:
        only_first = sum(a > b for a, b in zip(first, second, strict=True))
        only_second = sum(a < b for a, b in zip(first, second, strict=True))
        return _of_counts(only_first, only_second, len(first), confidence)
    return _bootstrapped([a - b for a, b in zip(first, second, strict=True)], confidence, seed)


def _of_counts(only_first: int, only_second: int, n: int, confidence: float) -> PairedDifference:
    """Bonett and Price 2012: as if one more item had gone each way."""
    from scipy.stats import binomtest

    one, other = (only_first + 1) / (n + 2), (only_second + 1) / (n + 2)
    half = normal_quantile(confidence) * math.sqrt((one + other - (one - other) ** 2) / (n + 2))
    interval = Interval(max(-1.0, one - other - half), min(1.0, one - other + half))
    unequal = only_first + only_second
    p = float(binomtest(only_first, unequal).pvalue) if unequal else 1.0
    return PairedDifference((only_first - only_second) / n, interval, p)


def _bootstrapped(differences: Sequence[float], confidence: float, seed: int) -> PairedDifference:
    import numpy as np
    from scipy.stats import bootstrap

    mean = fmean(differences)
    if min(differences) == max(differences):  # nothing varies: no draw differs from another
        return PairedDifference(mean, Interval(mean, mean), 1.0 if mean == 0 else 0.0)
    drawn = bootstrap(
        (np.asarray(differences),), np.mean, n_resamples=DRAWS, batch=200, confidence_level=confidence, rng=seed
    )
    below = (np.sum(drawn.bootstrap_distribution <= 0) + 1) / (DRAWS + 1)
    above = (np.sum(drawn.bootstrap_distribution >= 0) + 1) / (DRAWS + 1)
    low, high = drawn.confidence_interval
    return PairedDifference(mean, Interval(float(low), float(high)), float(min(1.0, 2 * min(below, above))))
