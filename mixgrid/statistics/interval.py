"""An interval, and the quantiles that its width is made of.

t_quantile(0.95, degrees=2)  ->  4.303    # of Student's t, two-sided
"""

import math
from dataclasses import dataclass
from statistics import NormalDist


@dataclass(frozen=True)
class Interval:
    """A closed interval on the scale of the score it belongs to."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def normal_quantile(confidence: float) -> float:
    """The z with P(|Z| <= z) = confidence; 1.960 for .95."""
    check_confidence(confidence)
    return NormalDist().inv_cdf((1 + confidence) / 2)


def t_quantile(confidence: float, *, degrees: float) -> float:
    """The t with P(|T| <= t) = confidence for Student's T; `degrees` may be a fraction or infinite."""
    check_confidence(confidence)
    if not degrees > 0:
        raise ValueError(f"degrees is {degrees}: Student's t needs more than 0 degrees of freedom, such as n - 1")
    from scipy.special import stdtrit

    return normal_quantile(confidence) if math.isinf(degrees) else float(stdtrit(degrees, (1 + confidence) / 2))


def t_probability(statistic: float, *, degrees: float) -> float:
    """P(|T| >= |statistic|): the two-sided p of a t statistic."""
    from scipy.special import stdtr

    if math.isinf(degrees):
        return 2 * NormalDist().cdf(-abs(statistic))
    return float(2 * stdtr(degrees, -abs(statistic)))


def check_confidence(confidence: float) -> None:
    """Raise ValueError for what is no confidence, such as 95."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: it must lie between 0 and 1, such as 0.95")
