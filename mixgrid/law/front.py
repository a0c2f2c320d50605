"""The trade-off of DMT: what the specialised abilities gain and the general ones pay as k grows.

fronts(headline, designs, sizes)
    -> [{"k": "1/64", "specialised": {"value": 0.24, "low": 0.2, "high": 0.3}, "general": {...}, "on_front": true}, ...]

A point is on the front if no other is expected to be at least as good on both sides and better on one (Pareto).
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mixgrid.law.amounts import amounts_of, matrix
from mixgrid.law.designs import Designs
from mixgrid.law.forecast import Forecast
from mixgrid.law.sampling import draw

if TYPE_CHECKING:
    import numpy as np

DRAWS = 1000


def fronts(headline: Mapping[str, Forecast], designs: Designs, sizes: Mapping[str, int]) -> list[dict[str, Any]]:
    """One point a k, from 0 (mixed sequential) up; none without a law on either side. Uses are between 0 and 1."""
    import numpy as np

    if not all(any(ability in headline for ability in side) for side in (designs.specialised, designs.general)):
        return []
    stages = [designs.stages("mixed_sequential", Fraction(1)), *(designs.stages("dmt", k) for k in designs.proportions)]
    amounts = matrix([amounts_of(s, sizes) for s in stages], tuple(sizes))
    sides = {}
    for name, members in (("specialised", designs.specialised), ("general", designs.general)):
        uses = [use(headline[ability], amounts, draws=DRAWS) for ability in members if ability in headline]
        sides[name] = np.mean(uses, axis=0)
    means = np.stack([draws.mean(axis=0) for draws in sides.values()], axis=1)
    kept = pareto(means)
    return [
        {"k": str(k), **{name: summary(draws[:, i]) for name, draws in sides.items()}, "on_front": kept[i]}
        for i, k in enumerate((Fraction(0), *designs.proportions))
    ]


def use(forecast: Forecast, amounts: "np.ndarray", *, draws: int) -> "np.ndarray":
    """Draws of what an ability is worth at each of `amounts`, from 0 to 1."""
    scale = forecast.observations.scale
    return scale.use(scale.unbend(draw(forecast, amounts, draws=draws)))


def summary(draws: "np.ndarray") -> dict[str, float]:
    """Mean and central 95 %."""
    import numpy as np

    low, high = np.quantile(draws, [0.025, 0.975])
    return {"value": round(float(draws.mean()), 4), "low": round(float(low), 4), "high": round(float(high), 4)}


def pareto(points: "np.ndarray") -> Sequence[bool]:
    """For each row, whether no other row is at least as high in every column and higher in one."""
    return [not any((other >= point).all() and (other > point).any() for other in points) for point in points]
