"""How well a law foretells cells that it has not seen, against what anyone could say without one.

    validate(forecast)               one cell left out at a time
    validate_on(seen, held_out)      a part of the grid left out at once
        ->  Validation(cells=67, inside=0.94, errors={"law": 0.021, "mean": 0.29, "nearest": 0.06, ...})

The three naive baselines see the same other cells. "nearest" is the cell nearest in the log amounts of all abilities
and stages; "interpolation" is linear in log amounts between the two cells whose connecting line passes closest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixgrid.law.amounts import log_amounts
from mixgrid.law.forecast import Forecast, fit
from mixgrid.law.observations import Observations

if TYPE_CHECKING:
    import numpy as np

COMPARED = 100
"""Errors are compared on so many cells at most, spread evenly over the study's order."""
NEIGHBOURS = 100
"""Pairs to interpolate between are of so many nearest cells: all pairs of 1,000 would be half a million a cell."""
Baseline = Callable[[Observations, "np.ndarray"], float]


@dataclass(frozen=True, kw_only=True)
class Validation:
    """`inside`: the share of cells in the 95 % interval made without them. `errors`: mean absolute ones, in score."""

    cells: int
    inside: float
    errors: dict[str, float]

    @property
    def beats_all(self) -> bool:
        """The law's mean error is below every baseline's."""
        return all(self.errors["law"] < error for name, error in self.errors.items() if name in BASELINES)


def validate(forecast: Forecast) -> Validation:
    """Leave-one-out: every cell foretold from all the others by the law; up to `COMPARED` by the baselines too.

    The errors are of the same cells for all.
    """
    import numpy as np

    seen = forecast.observations
    unbend, count = seen.scale.unbend, len(seen)
    halves = np.array([forecast.width(leave=i) for i in range(count)]) * forecast.left_out_errors
    low, high = unbend(forecast.left_out - halves), unbend(forecast.left_out + halves)
    asked = np.unique(np.linspace(0, count - 1, min(count, COMPARED)).round().astype(int))
    said = {"law": unbend(forecast.left_out)[asked], "law without departures": unbend(forecast.left_out_curve)[asked]}
    for name, baseline in BASELINES.items():
        said[name] = np.array([_one_out(seen, int(i), baseline) for i in asked])
    return Validation(
        cells=count,
        inside=float(((low - 1e-9 <= seen.values) & (seen.values <= high + 1e-9)).mean()),
        errors={name: float(np.abs(values - seen.values[asked]).mean()) for name, values in said.items()},
    )


def validate_on(seen: Observations, held_out: "np.ndarray") -> Validation:
    """A law of the cells outside `held_out` (a boolean a cell) foretells those inside; the baselines likewise."""
    import numpy as np

    known = seen.without(held_out)
    forecast, asked = fit(known), seen.amounts[held_out]
    measured, expected = seen.values[held_out], forecast.at(asked)
    said: dict[str, np.ndarray] = {"law": seen.scale.unbend(expected.bent)}
    said["law without departures"] = seen.scale.unbend(forecast.curve.bent(asked))
    for name, baseline in BASELINES.items():
        said[name] = np.array([baseline(known, asked[[i]]) for i in range(len(asked))])
    intervals = forecast.intervals(expected, seeds=float(seen.seeds[held_out].min()))
    inside = [low - 1e-9 <= value <= high + 1e-9 for (_, low, high), value in zip(intervals, measured, strict=True)]
    errors = {name: float(np.abs(values - measured).mean()) for name, values in said.items()}
    return Validation(cells=len(asked), inside=float(np.mean(inside)), errors=errors)


def _one_out(seen: Observations, cell: int, baseline: Baseline) -> float:
    import numpy as np

    alone = np.arange(len(seen)) == cell
    return baseline(seen.without(alone), seen.amounts[alone])


def mean_of_all(seen: Observations, amounts: "np.ndarray") -> float:  # noqa: ARG001
    """The mean of all cells."""
    return float(seen.values.mean())


def nearest(seen: Observations, amounts: "np.ndarray") -> float:
    """The value of the nearest cell; the mean of equally near ones."""
    import numpy as np

    x, y = log_amounts(seen.amounts, seen.unit), log_amounts(amounts, seen.unit)
    distances = np.sqrt(((x - y) ** 2).sum(axis=1))
    return float(seen.values[distances <= distances.min() + 1e-9].mean())


def interpolation(seen: Observations, amounts: "np.ndarray") -> float:
    """Linear between two cells: the pair whose connecting line passes closest, and of those the shortest."""
    import numpy as np

    x, y = log_amounts(seen.amounts, seen.unit), log_amounts(amounts, seen.unit)[0]
    near = np.sort(np.argsort(((x - y) ** 2).sum(axis=1), kind="stable")[:NEIGHBOURS])
    x, values = x[near], seen.values[near]
    first, second = np.triu_indices(len(x), k=1)
    line = x[second] - x[first]
    lengths = (line**2).sum(axis=1)
    along = np.clip(((y - x[first]) * line).sum(axis=1) / np.maximum(lengths, 1e-12), 0, 1)
    away = np.sqrt(((x[first] + along[:, None] * line - y) ** 2).sum(axis=1))
    pair = np.lexsort((lengths, np.round(away, 6)))[0]
    start, end = values[first[pair]], values[second[pair]]
    return float(start + along[pair] * (end - start))


BASELINES: dict[str, Baseline] = {"mean": mean_of_all, "nearest": nearest, "interpolation": interpolation}
