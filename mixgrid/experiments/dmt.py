"""DMT: how much specialised data has to come back in stage 2? Dual-stage mixed fine-tuning at each k.

5 proportions -> 5 designs that share one stage 1 with each other and with mixed sequential training
"""

from collections.abc import Iterator

from mixgrid.experiments import Axes, Design, Experiment


def designs(axes: Axes) -> Iterator[Design]:
    """One design a k."""
    for k in axes.proportions:
        yield Design(k=k, stages=axes.stages("dmt", k))


EXPERIMENT = Experiment("dmt", designs)
