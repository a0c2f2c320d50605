"""Dual-stage mixed fine-tuning (DMT): specialise first, then mix a little back.

Stage 1 trains on every specialised source; stage 2 on the general sources plus a fraction k of stage 1's, so that
specialised abilities are not forgotten (Dong et al. 2023, section 4).

    k=1/256 -> ({math: 1, code: 1}, {general: 1, math: 1/256, code: 1/256})
"""

from collections.abc import Sequence
from fractions import Fraction

from mixgrid.strategies import Stages, Strategy, pooled


def stages(*, specialised: Sequence[str], general: Sequence[str], k: Fraction) -> Stages:
    """Two stages, the first the same for every k."""
    return (pooled(specialised), {**pooled(general), **pooled(specialised, k)})


STRATEGY = Strategy("dmt", stages, varies=True)
