"""Single source: one ability alone, at proportion k (RQ1).

k=1/4 of math -> ({math: 1/4},)

It takes the one ability as `specialised` or `general`; with several it is multi-task learning, not this.
"""

from collections.abc import Sequence
from fractions import Fraction

from mixgrid.strategies import Stages, Strategy, pooled


def stages(*, specialised: Sequence[str], general: Sequence[str], k: Fraction) -> Stages:
    """One stage with one source. Raises ValueError for more than one ability."""
    abilities = (*specialised, *general)
    if len(abilities) != 1:
        raise ValueError(f"a single source was asked for, but there are {len(abilities)}: {', '.join(abilities)}")
    return (pooled(abilities, k),)


STRATEGY = Strategy("single", stages, varies=True)
