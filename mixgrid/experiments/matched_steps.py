"""Control for RQ2: is it the other sources that help at little data, or only the updates that they bring along?

Fixed epochs give k of three sources three times the optimiser steps of k of one. Here each source alone trains for as
many steps as the mix at the same k does, to be held against that mix.

    k=1/16 of 3 x 1000 rows, batches of 16, 3 epochs  ->  ({math: 1/16},) for 36 steps instead of 12; the mix as it is

Where the study's recipe has a budget, steps are the same already, and these are RQ1's and RQ2's cells.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from mixgrid.experiments import Axes, Design, Experiment
from mixgrid.strategies import pooled


def designs(axes: Axes) -> Iterator[Design]:
    """For each k one design an ability, then the mix."""
    for k in axes.proportions:
        recipe = _budget_of_mix(axes, k)
        for ability in axes.abilities:
            yield Design(k=k, stages=(pooled((ability,), k),), arm=ability, recipe=recipe)
        yield Design(k=k, stages=axes.stages("multi_task", k))


def _budget_of_mix(axes: Axes, k: Fraction) -> dict[str, Any]:
    """The steps of the mix at k; as declared, so a step off where a source's rows were not all taken."""
    if axes.recipe is None or axes.recipe.epochs is None:
        return {}
    examples = sum(int(k * (axes.rows[ability] or 0)) for ability in axes.abilities)
    steps = axes.recipe.epochs * math.ceil(examples / axes.recipe.batch_size)
    return {"budget": {"steps": max(1, steps)}}


EXPERIMENT = Experiment("matched_steps", designs, needs_both=False, needs_rows=True)
