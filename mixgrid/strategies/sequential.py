"""Sequential training: each specialised source in the study's order, the general ones last.

specialised=(code, math) -> ({code: 1}, {math: 1}, {general: 1})
"""

from collections.abc import Sequence
from fractions import Fraction

from mixgrid.strategies import Stages, Strategy, pooled


def stages(*, specialised: Sequence[str], general: Sequence[str], k: Fraction) -> Stages:  # noqa: ARG001
    """One stage a specialised source, then one with the general ones; k plays no part."""
    return (*(pooled((ability,)) for ability in specialised), pooled(general))


STRATEGY = Strategy("sequential", stages, varies=False)
