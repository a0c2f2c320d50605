"""Purity: how much points of one group lie among their own, told by the groups of their nearest neighbours.

    purity([[1, 2], [0, 2], [1, 0]], groups=[0, 0, 1])    ->  value 2/3: 0 and 1 have each other first, 2 has 1
    purity_difference(after, before, groups=groups)       ->  (0.21, Interval(0.15, 0.27))     # the same points

A point's purity is the share of its nearest others that are of its group; that of many points is their mean. Points
are each other's neighbours and so no independent draws: the noise is the delete-one jackknife's, within groups, which
leaves a point out as one that looks and as one that is seen. It is rather too large than too small (Efron and Stein
1981). The interval is Wilson's for as many points as would have that noise if they were independent.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from mixgrid.statistics.interval import Interval
from mixgrid.statistics.rates import wilson_interval

Neighbours = Sequence[Sequence[int]]
"""For each point the numbers of its nearest others, nearest first; the last counts only where one is left out."""


class Purity(NamedTuple):
    """A share from 0 to 1 of `n` points; `chance` is what it would be if groups were drawn by lot."""

    value: float
    interval: Interval
    n: int
    chance: float


class _Jackknife(NamedTuple):
    """A purity, and what it is without each of the points (an array)."""

    value: float
    without: Any


def purity(neighbours: Neighbours, *, groups: Sequence[int], of: int | None = None) -> Purity:
    """The purity of all points, or of the group `of`. Every group needs two points."""
    found = _leave_out(neighbours, groups, of)
    sizes = {group: groups.count(group) for group in groups}
    counted = {of: sizes[of]} if of is not None else sizes
    n = sum(counted.values())
    variance = _covariance(found, found, groups)
    certain = variance == 0 or found.value in (0.0, 1.0)
    effective = n if certain else max(1.0, found.value * (1 - found.value) / variance)
    chance = sum(size * (size - 1) for size in counted.values()) / n / (len(groups) - 1)
    return Purity(found.value, wilson_interval(found.value * effective, effective), n, chance)


def purity_difference(
    first: Neighbours, second: Neighbours, *, groups: Sequence[int], of: int | None = None
) -> tuple[float, Interval]:
    """First minus second purity of the same points in two spaces: Newcombe's square-and-add (1998, method 10).

    What the two have in common is taken off by the jackknife's correlation.
    """
    one, other = _leave_out(first, groups, of), _leave_out(second, groups, of)
    spread = math.sqrt(_covariance(one, one, groups) * _covariance(other, other, groups))
    correlation = _covariance(one, other, groups) / spread if spread else 0.0
    p, q = (purity(neighbours, groups=groups, of=of) for neighbours in (first, second))
    low = _joined(p.value - p.interval.low, q.interval.high - q.value, correlation)
    high = _joined(p.interval.high - p.value, q.value - q.interval.low, correlation)
    difference = p.value - q.value
    return difference, Interval(difference - low, difference + high)


def nearest(points: Any, count: int) -> Any:
    """Each point's `count` nearest others by Euclid's distance, of equals the first: points (N, D) -> (N, count)."""
    import numpy as np

    points = np.asarray(points, dtype=np.float64)
    squares = (points**2).sum(axis=1)
    distances = squares[:, None] + squares[None, :] - 2 * points @ points.T
    np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :count]


def _leave_out(neighbours: Neighbours, groups: Sequence[int], of: int | None) -> _Jackknife:
    """Where a neighbour is left out, the next one is seen in its place."""
    import numpy as np

    nearest_NC, group_N = np.asarray(neighbours), np.asarray(groups)
    count = nearest_NC.shape[1] - 1
    same_NC = (group_N[nearest_NC] == group_N[:, None]).astype(float)
    looks_N = (group_N == of).astype(float) if of is not None else np.ones(len(group_N))
    share_N = looks_N * same_NC[:, :count].mean(axis=1)
    gained_NC = looks_N[:, None] * (same_NC[:, count:] - same_NC[:, :count]) / count
    seen_N = np.bincount(nearest_NC[:, :count].ravel(), weights=gained_NC.ravel(), minlength=len(group_N))
    total, n = share_N.sum(), looks_N.sum()
    return _Jackknife(float(total / n), (total - share_N + seen_N) / (n - looks_N))


def _covariance(one: _Jackknife, other: _Jackknife, groups: Sequence[int]) -> float:
    """Of two purities of the same points; of one with itself its variance."""
    import numpy as np

    total, group_N = 0.0, np.asarray(groups)
    for group in np.unique(group_N):
        a, b = (j.without[group_N == group] for j in (one, other))
        total += (len(a) - 1) / len(a) * float(((a - a.mean()) * (b - b.mean())).sum())
    return total


def _joined(one: float, other: float, correlation: float) -> float:
    return math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))
