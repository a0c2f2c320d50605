"""RQ2: what does mixing the sources change? k of every source, pooled; to be held against RQ1.

5 proportions -> 5 designs such as ({math: 1/16, code: 1/16, general: 1/16},)
"""

from collections.abc import Iterator

from mixgrid.experiments import Axes, Design, Experiment


def designs(axes: Axes) -> Iterator[Design]:
    """One design a k."""
    for k in axes.proportions:
        yield Design(k=k, stages=axes.stages("multi_task", k))


EXPERIMENT = Experiment("rq2", designs, needs_both=False)
