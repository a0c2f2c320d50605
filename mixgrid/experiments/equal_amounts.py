"""Control for RQ2 (the paper's appendix H): as many examples of every source, instead of the same share of each.

At each k the mix has as many examples as RQ2's, divided evenly; a k at which the smallest source has too few is left
out.

    k=1/16 of 110,142 + 20,022 + 86,060 rows  ->  ({math: 4504/110142, code: 4504/20022, general: 4504/86060},)
"""

from collections.abc import Iterator
from fractions import Fraction

from mixgrid.experiments import Axes, Design, Experiment


def designs(axes: Axes) -> Iterator[Design]:
    """One design a k that the smallest source allows."""
    rows = {ability: axes.rows[ability] or 0 for ability in axes.abilities}
    for k in axes.proportions:
        each = sum(int(k * n) for n in rows.values()) // len(rows)
        if 0 < each <= min(rows.values()):
            yield Design(k=k, stages=({ability: Fraction(each, n) for ability, n in rows.items()},))


EXPERIMENT = Experiment("equal_amounts", designs, needs_both=False, needs_rows=True)
