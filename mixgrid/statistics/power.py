"""Power: which difference a study could have seen.

    detectable_difference(0.03)            ->  0.084     # a standard error of 3 points sees differences of 8.4 points
    items_needed(0.03, n=164, difference=0.02)  ->  2897      # so many items would see 2 points, all else equal

"Seen" means: the 95 % interval leaves out 0 in four of five repetitions.
"""

import math

from mixgrid.statistics.interval import normal_quantile, t_quantile

POWER = 0.8


def detectable_difference(
    error: float, *, degrees: float = math.inf, power: float = POWER, confidence: float = 0.95
) -> float:
    """The true difference that a test with this standard error finds with this probability."""
    if not 0.5 <= power < 1:
        raise ValueError(f"power is {power}: it must lie in 0.5..1, such as 0.8")
    beyond = normal_quantile(2 * power - 1) if power > 0.5 else 0.0
    return (t_quantile(confidence, degrees=degrees) + beyond) * error


def items_needed(error: float, *, n: int, difference: float, power: float = POWER) -> int:
    """How many items would see `difference`, where `n` gave this standard error and seeds add nothing to it."""
    if difference <= 0:
        raise ValueError(f"difference is {difference}: it must be above 0, on the scale of the score")
    return math.ceil(n * (detectable_difference(error, power=power) / difference) ** 2)
