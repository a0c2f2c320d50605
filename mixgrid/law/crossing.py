"""Where mixing the sources stops to help an ability and begins to hurt it (or the other way about).

crossing(forecast, sizes)
    ->  {"examples": 61, "low": 20, "high": 240, "chance": 0.93, "better_below": "mixed"}

Single source and mixture are compared at the same proportion of every source. The interval is that of the crossing in
many draws of what the law leaves open; `chance` is the share of draws that cross this way round within the amounts that
were run: where two curves lie on one another, half of the crossings go either way and the chance is small.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mixgrid.law.forecast import Forecast
from mixgrid.law.sampling import draw

if TYPE_CHECKING:
    import numpy as np

DRAWS = 1000
_POINTS = 41


def crossing(forecast: Forecast, sizes: Mapping[str, int]) -> dict[str, Any]:
    """Where mixed and single source change places, in examples of the ability's own source."""
    import numpy as np

    seen = forecast.observations
    own, count = seen.abilities.index(seen.ability), len(seen.abilities)
    alone = (seen.amounts > 0).sum(axis=1) == 1
    amounts = seen.amounts[alone & (seen.amounts[:, own] > 0), own]
    pooled = (seen.amounts[:, :count] > 0).all(axis=1) & (seen.amounts[:, count:] == 0).all(axis=1)
    if count < 2 or len(amounts) < 2 or pooled.sum() < 2:
        return {"chance": None, "reason": "needs two cells with this source alone and two with all sources mixed"}
    grid = np.geomspace(amounts.min(), amounts.max(), _POINTS)
    full = np.array([sizes[ability] for ability in seen.abilities], dtype=float)
    mixed, single = np.zeros((_POINTS, 2 * count)), np.zeros((_POINTS, 2 * count))
    mixed[:, :count] = np.outer(grid / full[own], full)
    single[:, own] = grid
    draws = draw(forecast, np.concatenate([mixed, single]), draws=DRAWS)
    gain = (draws[:, :_POINTS] - draws[:, _POINTS:]) * (-1 if seen.scale.lower_is_better else 1)
    return _summary(gain, np.log(grid))


def _summary(gain: "np.ndarray", log_amounts: "np.ndarray") -> dict[str, Any]:
    import numpy as np

    changes = [change for row in gain if (change := parting(row, log_amounts)) is not None]
    mixed_first = 2 * sum(first for _, first in changes) > len(changes)
    places = [place for place, first in changes if first == mixed_first]
    start, end = (float((gain[:, i] > 0).mean()) for i in (0, -1))
    ends = {"mixed_better_at_least_data": round(start, 3), "mixed_better_at_most_data": round(end, 3)}
    if not places:
        return {"chance": 0.0, **ends}
    low, middle, high = np.exp(np.quantile(places, [0.025, 0.5, 0.975]))
    return {
        "chance": round(len(places) / len(gain), 3),
        "examples": round(float(middle), 1), "low": round(float(low), 1), "high": round(float(high), 1),
        "better_below": "mixed" if mixed_first else "single", **ends,
    }  # fmt: skip


def parting(gain: "np.ndarray", places: "np.ndarray") -> tuple[float, bool] | None:
    """The place that best parts what is above 0 from what is below, and whether it is above before; None if one side
    of the best parting is empty.

    Best is where the sum of the gains before, minus that of those after, is farthest from 0: small wiggles about 0
    move it little, while the last change of sign follows each of them.
    """
    import numpy as np

    before = np.concatenate([[0.0], np.cumsum(gain)])
    parted = 2 * before - before[-1]  # gains before minus gains after, with 0, 1, ... of them before
    first = int(np.abs(parted).argmax())
    if first in (0, len(gain)):
        return None
    return float(places[first - 1] + places[first]) / 2, bool(parted[first] > 0)
