"""RQ4: which strategy keeps all abilities? Each source alone, multi-task, sequential, mixed sequential; all in full.

3 abilities -> 6 designs. Dual-stage mixed fine-tuning is an experiment of its own, `dmt`.
"""

from collections.abc import Iterator

from mixgrid.experiments import Axes, Design, Experiment
from mixgrid.strategies import FULL, pooled


def designs(axes: Axes) -> Iterator[Design]:
    """One design an ability, then one a strategy."""
    for ability in axes.abilities:
        yield Design(k=FULL, stages=(pooled((ability,)),), arm=ability)
    for strategy in ("multi_task", "sequential", "mixed_sequential"):
        yield Design(k=FULL, stages=axes.stages(strategy), arm=strategy)


EXPERIMENT = Experiment("rq4", designs)
