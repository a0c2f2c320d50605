"""RQ1: how does each ability grow with the amount of its own data? Each source alone, at each k.

3 abilities x 5 proportions -> 15 designs such as ({math: 1/16},)
"""

from collections.abc import Iterator

from mixgrid.experiments import Axes, Design, Experiment
from mixgrid.strategies import pooled


def designs(axes: Axes) -> Iterator[Design]:
    """One design an ability and k."""
    for ability in axes.abilities:
        for k in axes.proportions:
            yield Design(k=k, stages=(pooled((ability,), k),), arm=ability)


EXPERIMENT = Experiment("rq1", designs, needs_both=False)
