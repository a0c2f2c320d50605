"""Ablation: what does mixing do if the general sources hold nothing that would teach the specialised abilities?

RQ2 again, with code- and math-like conversations removed from the general source (the paper: 86K to 63K of ShareGPT).

    specialised=(code, math), general=(general)  ->  ({code: 1/16, math: 1/16, filtered general: 1/16},)

`filtered general` is general's source without what the specialised abilities' filters find (`mixgrid/filters/`). Its
record counts what was removed; k is a share of what is left.
"""

from collections.abc import Iterator

from mixgrid.experiments import Axes, Design, Experiment
from mixgrid.filters import FILTERED
from mixgrid.strategies import pooled


def designs(axes: Axes) -> Iterator[Design]:
    """One design a k."""
    sources = (*axes.specialised, *(FILTERED + ability for ability in axes.general))
    for k in axes.proportions:
        yield Design(k=k, stages=(pooled(sources, k),))


EXPERIMENT = Experiment("ablation", designs, needs_filters=True)
