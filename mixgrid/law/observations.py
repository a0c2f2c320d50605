"""What a law is fitted to: one number a cell, the mean over its seeds, with how far noise could have moved it.

    observe(cells, measure, sizes)
        ->  Observations(labels=["math only, k = 1/4", ...], values=[0.63, ...], item_errors=[...], seeds=[3, ...])

Noise has two parts that are known: the items (their interval) and the training seeds (pooled over all cells that have
several, on the law's scale). What is left over, the law's own misfit, is found when it is fitted.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mixgrid.law.amounts import Amounts, amounts_of, matrix
from mixgrid.law.scale import Scale, scale_of
from mixgrid.result_cells import Cell, Measure
from mixgrid.statistics import SeedSummary, t_quantile

if TYPE_CHECKING:
    import numpy as np

SEED_ERROR = 0.15
"""On the law's scale (a sixth of a loss; 7 points of a rate of one half), where no cell has two seeds to measure it."""
_Z = 1.959964


@dataclass(frozen=True, kw_only=True)
class Observations:
    """Cells of one model and measure. Arrays have an entry a cell; errors are standard errors on the law's scale."""

    ability: str
    abilities: tuple[str, ...]
    scale: Scale
    labels: tuple[str, ...]
    amounts: "np.ndarray"
    values: "np.ndarray"
    bent: "np.ndarray"
    item_errors: "np.ndarray"
    seeds: "np.ndarray"
    seed_error: float
    seed_error_measured: bool

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def noise(self) -> "np.ndarray":
        """The standard error of each value: seeds and items together."""
        import numpy as np

        return np.sqrt(self.item_errors**2 + self.seed_error**2 / self.seeds)

    @property
    def unit(self) -> float:
        """The smallest amount of any ability in any cell."""
        positive = self.amounts[self.amounts > 0]
        return float(positive.min()) if len(positive) else 1.0

    def thinned(self, most: int) -> "Observations":
        """At most so many cells, spread evenly over the study's order."""
        import numpy as np

        kept = np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).round().astype(int))
        return self.without(~np.isin(np.arange(len(self)), kept))

    def without(self, left_out: "np.ndarray") -> "Observations":
        """The cells whose entry in `left_out` is False."""
        kept = ~left_out
        labels = tuple(label for label, keep in zip(self.labels, kept, strict=True) if keep)
        return Observations(
            ability=self.ability, abilities=self.abilities, scale=self.scale, labels=labels,
            amounts=self.amounts[kept], values=self.values[kept], bent=self.bent[kept],
            item_errors=self.item_errors[kept], seeds=self.seeds[kept], seed_error=self.seed_error,
            seed_error_measured=self.seed_error_measured,
        )  # fmt: skip


def observe(cells: Sequence[Cell], measure: Measure, *, sizes: Mapping[str, int]) -> Observations:
    """The observations of one model's cells; `sizes` are the training rows of each ability's source."""
    import numpy as np

    measured = [cell for cell in cells if measure in cell.values]
    values = [cell.values[measure] for cell in measured]
    means = np.array([value.summary.mean for value in values])
    known = [value.n for value in values if value.n is not None]
    scale = scale_of(means, lower_is_better=measure.lower_is_better, items=max(known, default=None))
    half = np.array([(v.items.high - v.items.low) / 2 if v.items else 0.0 for v in values])
    error, seen = _seed_error(measured, measure, scale)
    return Observations(
        ability=measure.ability,
        abilities=tuple(sizes),
        scale=scale,
        labels=tuple(
            cell.label if cell.strategy == "base" else f"{cell.label}: {cell.description}" for cell in measured
        ),
        amounts=matrix([cell_amounts(cell, sizes) for cell in measured], tuple(sizes)),
        values=means,
        bent=scale.bend(means),
        item_errors=half / _Z * scale.slope(means),
        seeds=np.array([float(value.summary.seeds) for value in values]),
        seed_error=error,
        seed_error_measured=seen,
    )


def cell_amounts(cell: Cell, sizes: Mapping[str, int]) -> Amounts:
    """The amounts of a cell of the report."""
    return amounts_of([dict(stage) for stage in cell.stages], sizes)


def _seed_error(cells: Sequence[Cell], measure: Measure, scale: Scale) -> tuple[float, bool]:
    """The standard deviation over seeds, pooled over cells with several; whether it was measured."""
    import numpy as np

    summaries = [cell.values[measure].summary for cell in cells]
    several = [summary for summary in summaries if summary.seeds > 1]
    degrees = sum(summary.seeds - 1 for summary in several)
    if degrees < 2:
        return SEED_ERROR, False
    slopes = scale.slope(np.array([summary.mean for summary in several]))
    squares = [(s.seeds - 1) * (_deviation(s) * slope) ** 2 for s, slope in zip(several, slopes, strict=True)]
    return float(np.sqrt(sum(squares) / degrees)), True


def _deviation(summary: SeedSummary) -> float:
    """The standard deviation of a cell's scores over its seeds."""
    if summary.interval is None:
        return (summary.highest - summary.lowest) / math.sqrt(2)
    half = (summary.interval.high - summary.interval.low) / 2
    return half * math.sqrt(summary.seeds) / t_quantile(0.95, degrees=summary.seeds - 1)
