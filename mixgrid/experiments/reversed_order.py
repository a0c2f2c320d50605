"""Control for RQ4's sequential training: the order reversed. Is it the general ability that is kept, or what came last?

specialised=(code, math), general=(chat)  ->  ({chat: 1}, {math: 1}, {code: 1})

With several general abilities each has a stage of its own.
"""

from collections.abc import Iterator

from mixgrid.experiments import Axes, Design, Experiment
from mixgrid.strategies import FULL, pooled


def designs(axes: Axes) -> Iterator[Design]:
    """One design."""
    order = (*axes.specialised, *axes.general)
    yield Design(k=FULL, stages=tuple(pooled((ability,)) for ability in reversed(order)))


EXPERIMENT = Experiment("reversed_order", designs)
