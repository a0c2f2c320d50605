"""Differences of cells with items and seeds as two levels of noise.

    contrast([Sample(weight=1, cell="dmt", measure="math", scores=[.74, .75, .74], items=[...], ...),
              Sample(weight=-1, cell="multi-task", measure="math", scores=[.81, .75, .78], items=[...], ...)])
        ->  Contrast(value=-.037, low=-.11, high=.04, n=150, seeds=3, ...)

A contrast is a weighted sum of cells' scores, such as one minus another, or one minus .85 of another. All cells of a
measure answer the same items, so its items vary together; each cell's seeds vary by themselves.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, variance
from typing import NamedTuple

from mixgrid.statistics.interval import Interval, normal_quantile, t_probability, t_quantile


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One cell's scores for one measure, one a seed, as far as its noise is known, and its weight in a contrast.

    `items` has a mapping a seed, from item to a number whose mean over items is the score. Without it `interval`, the
    95 % item interval of the mean score, stands in; without both the contrast has no interval.
    """

    weight: float
    cell: Hashable
    measure: Hashable
    scores: Sequence[float]
    items: Sequence[Mapping[int, float]] | None = None
    interval: Interval | None = None
    n: int | None = None
    is_rate: bool = True


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A weighted sum of scores. `low_error` and `high_error` are standard errors, downwards and upwards.

    `centre` is the middle of its interval: for rates a little nearer to 0 than `value`, as one more item had gone each
    way (Bonett and Price 2012), so that nothing is certain where all items agree. `seeds` is the smallest number a
    cell has: at 1 the noise of training is not covered.
    """

    value: float
    centre: float
    low_error: float
    high_error: float
    degrees: float
    n: int | None
    seeds: int
    paired: bool

    def interval(self, confidence: float = 0.95) -> Interval:
        """Student's t interval on Satterthwaite's degrees of freedom."""
        t = t_quantile(confidence, degrees=self.degrees)
        return Interval(self.centre - t * self.low_error, self.centre + t * self.high_error)

    @property
    def p(self) -> float:
        """Two-sided, of the null hypothesis 0: below .05 exactly when the 95 % interval leaves out 0."""
        error = self.low_error if self.centre > 0 else self.high_error
        if error == 0:
            return 1.0 if self.centre == 0 else 0.0
        return t_probability(self.centre / error, degrees=self.degrees)


class _Spread(NamedTuple):
    """One source of noise: variances downwards and upwards."""

    low: float
    high: float
    degrees: float


def contrast(samples: Sequence[Sample]) -> Contrast | None:
    """The weighted sum with both levels of noise; None where some item noise is unknown. Cells are taken as trained
    independently; what an item owes to one seed alone is counted once."""
    value = math.fsum(s.weight * fmean(s.scores) for s in samples)
    centre, spreads, paired = value, [], True
    interactions: list[float] = []
    for group in _grouped(samples, lambda s: s.measure):
        if (shared := _shared_items(group)) is not None:
            shift, spread, interaction = _over_items(group, shared)
            centre += shift
            spreads.append(spread)
            interactions.append(interaction)
        elif all(sample.interval is not None for sample in group):
            spreads.append(_unpaired(group))
            paired = False
        else:
            return None
    by_cell = _grouped(samples, lambda s: s.cell)
    seeds = [noise for noise in map(_over_seeds, by_cell) if noise is not None]
    counted_twice = min(sum(interactions), sum(s.low for s in seeds), sum(s.low for s in spreads))
    spreads += seeds
    low, high = (max(0.0, sum(side) - counted_twice) for side in zip(*((s.low, s.high) for s in spreads), strict=True))
    sizes = {sample.n for sample in samples}
    return Contrast(
        value=value, centre=centre, low_error=math.sqrt(low), high_error=math.sqrt(high), degrees=_degrees(spreads),
        n=sizes.pop() if len(sizes) == 1 else None, seeds=min(len(s.scores) for s in samples), paired=paired,
    )  # fmt: skip


def _shared_items(group: Sequence[Sample]) -> list[int] | None:
    """The items that all seeds of all cells answered; None where some are not kept or differ."""
    answered = [seed.keys() for sample in group for seed in sample.items or ()]
    if any(sample.items is None for sample in group) or any(items != answered[0] for items in answered):
        return None
    return list(answered[0]) if len(answered[0]) > 1 else None


def _over_items(group: Sequence[Sample], shared: Sequence[int]) -> tuple[float, _Spread, float]:
    """How far the centre moves, the items' variance of the weighted sum, and the part of it that seeds have too."""
    import numpy as np

    sums, interaction = np.zeros(len(shared)), 0.0
    for sample in group:
        answers = np.array([[seed[item] for item in shared] for seed in sample.items or ()])
        sums += sample.weight * answers.mean(axis=0)
        if (seeds := len(answers)) > 1:
            left = answers - answers.mean(axis=0) - answers.mean(axis=1, keepdims=True) + answers.mean()
            square = float((left**2).sum()) / (seeds - 1) / (len(shared) - 1)
            interaction += sample.weight**2 * square / seeds / len(shared)
    mean = sums.mean()
    if all(sample.is_rate for sample in group):
        most = sum(abs(sample.weight) for sample in group) / 2
        sums = np.append(sums, [most, -most])
    error = float(sums.var(ddof=1)) / len(sums)
    return float(sums.mean() - mean), _Spread(error, error, len(sums) - 1), interaction


def _unpaired(group: Sequence[Sample]) -> _Spread:
    """Each cell's own interval, squared and added (Zou and Donner 2008, which is Newcombe's for two rates)."""
    low = high = 0.0
    for sample in group:
        assert sample.interval is not None
        mean = fmean(sample.scores)
        ends = (sample.weight * (sample.interval.low - mean), sample.weight * (sample.interval.high - mean))
        low, high = low + min(ends) ** 2, high + max(ends) ** 2
    z = normal_quantile(0.95)
    return _Spread(low / z**2, high / z**2, math.inf)


def _over_seeds(group: Sequence[Sample]) -> _Spread | None:
    """What another set of seeds would do to one cell's part of the sum; None for one seed, where nobody knows."""
    seeds = len(group[0].scores)
    if seeds < 2:
        return None
    parts = [math.fsum(sample.weight * sample.scores[i] for sample in group) for i in range(seeds)]
    error = variance(parts) / seeds
    return _Spread(error, error, seeds - 1)


def _degrees(spreads: Sequence[_Spread]) -> float:
    """Satterthwaite's degrees of freedom of the sum."""
    sizes = [((s.low + s.high) / 2, s.degrees) for s in spreads]
    below = math.fsum(size**2 / degrees for size, degrees in sizes)
    return math.fsum(size for size, _ in sizes) ** 2 / below if below > 0 else math.inf


def _grouped(samples: Iterable[Sample], name: Callable[[Sample], Hashable]) -> Iterable[list[Sample]]:
    groups: defaultdict[Hashable, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[name(sample)].append(sample)
    return groups.values()
