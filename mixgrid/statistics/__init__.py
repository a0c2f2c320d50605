"""Intervals, tests and power: how far a score, or a difference, could lie from the one a larger test would give.

    wilson_interval(81, 263)                 ->  Interval(low=0.2553, high=0.3662)    # 81 of 263 right, at 95 %
    paired_difference([1, 1, 0], [1, 0, 0])  ->  (0.333, Interval(...), p=1.0)       # the same items, exact McNemar
    contrast([Sample(...), Sample(...)])     ->  Contrast(value=.12, ...)            # items and seeds, two levels
    holm([.01, .04, .03])                    ->  [.03, .06, .06]
    purity([[1, 2], ...], groups=[0, 0, 1])  ->  Purity(value=.67, ...)          # of nearest neighbours

Items and seeds are two sources of noise, and neither covers the other (Miller 2024, arXiv 2411.00640). SciPy is
imported where it is used, so that a plan, which knows of scores, loads none of it.
"""

from mixgrid.statistics.families import holm
from mixgrid.statistics.interval import Interval, normal_quantile, t_quantile
from mixgrid.statistics.levels import Contrast, Sample, contrast
from mixgrid.statistics.means import SeedSummary, mean_over_seeds, ratio_contributions, ratio_interval
from mixgrid.statistics.neighbours import Purity, nearest, purity, purity_difference
from mixgrid.statistics.paired import PairedDifference, paired_difference
from mixgrid.statistics.power import detectable_difference, items_needed
from mixgrid.statistics.rates import rate_difference, wilson_interval

__all__ = [
    "Contrast", "Interval", "PairedDifference", "Purity", "Sample", "SeedSummary", "contrast", "detectable_difference",
    "holm", "items_needed", "mean_over_seeds", "nearest", "normal_quantile", "paired_difference", "purity",
    "purity_difference", "rate_difference", "ratio_contributions", "ratio_interval", "t_quantile", "wilson_interval",
]  # fmt: skip
