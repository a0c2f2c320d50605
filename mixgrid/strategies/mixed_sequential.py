"""Mixed sequential training: all specialised sources together, then the general ones.

specialised=(code, math) -> ({code: 1, math: 1}, {general: 1})
"""

from collections.abc import Sequence
from fractions import Fraction

from mixgrid.strategies import Stages, Strategy, pooled


def stages(*, specialised: Sequence[str], general: Sequence[str], k: Fraction) -> Stages:  # noqa: ARG001
    """Two stages; k plays no part."""
    return (pooled(specialised), pooled(general))


STRATEGY = Strategy("mixed_sequential", stages, varies=False)
