"""RQ3: is it the ratio between sources that matters, or the amount of each?

    a: full general + k specialised    ({general: 1, math: k, code: k},)
    b: full specialised + k general    ({math: 1, code: 1, general: k},)
    c: 1/64 general + k specialised    ({general: 1/64, math: k, code: k},)

Many of these are one training under two names (a and b at k=1 are multi-task learning); the plan runs it once.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction

from mixgrid.experiments import Axes, Design, Experiment
from mixgrid.strategies import FULL, Stage, pooled

LITTLE_GENERAL = Fraction(1, 64)
"""The small constant amount of general data in arm c (paper, section 3.4)."""


def designs(axes: Axes) -> Iterator[Design]:
    """Three designs a k."""
    mixtures: dict[str, Callable[[Fraction], Stage]] = {
        "a": lambda k: {**pooled(axes.general), **pooled(axes.specialised, k)},
        "b": lambda k: {**pooled(axes.general, k), **pooled(axes.specialised, FULL)},
        "c": lambda k: {**pooled(axes.general, LITTLE_GENERAL), **pooled(axes.specialised, k)},
    }
    for arm, mixture in mixtures.items():
        for k in axes.proportions:
            yield Design(k=k, stages=(mixture(k),), arm=arm)


EXPERIMENT = Experiment("rq3", designs)
