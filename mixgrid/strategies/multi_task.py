"""Multi-task learning: k of every source, pooled and shuffled (RQ2; k=1 is the paper's multi-task row).

k=1/4 -> ({math: 1/4, code: 1/4, general: 1/4},)
"""

from collections.abc import Sequence
from fractions import Fraction

from mixgrid.strategies import Stages, Strategy, pooled


def stages(*, specialised: Sequence[str], general: Sequence[str], k: Fraction) -> Stages:
    """One stage with k of everything."""
    return (pooled((*specialised, *general), k),)


STRATEGY = Strategy("multi_task", stages, varies=True)
