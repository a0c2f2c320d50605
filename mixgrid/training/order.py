"""Which examples each optimiser step sees: a pure function of (mixture, recipe, training seed, step).

    order = BatchOrder(examples=1000, recipe=recipe, seed=0)       # batch_size 16, epochs 3
    order.total_steps      -> 189, the last batch of an epoch has what is left
    order.batch(63)        -> the 16 example numbers of the second epoch's first step

Nothing has to be remembered: a resumed run asks for its step, on whatever machine and however many processes.
"""

import math
from fractions import Fraction
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from mixgrid.recipe import Recipe

Numbers = NDArray[np.int64]


def example_order(examples: int, *, seed: int, epoch: int) -> Numbers:
    """The order of one epoch: a permutation that depends on these three numbers alone."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(examples)


class BatchOrder:
    """The global batches of a stage. A budget goes through as many epochs as it needs and ends where it is used up."""

    def __init__(self, *, examples: int, recipe: Recipe, seed: int) -> None:
        self.examples = examples
        self.batch_size = recipe.batch_size
        self.steps_an_epoch = math.ceil(examples / recipe.batch_size)
        self.total_steps, self._shown = self._extent(recipe)
        self._epoch_order = lru_cache(maxsize=2)(lambda epoch: example_order(examples, seed=seed, epoch=epoch))

    def batch(self, step: int) -> Numbers:
        """The example numbers of optimiser step `step`, from 0, in the order in which they are drawn."""
        epoch, place = divmod(step, self.steps_an_epoch)
        start = place * self.batch_size
        batch: Numbers = self._epoch_order(epoch)[start : start + self.batch_size]
        return batch if self._shown is None else batch[: self._shown - epoch * self.examples - start]

    def steps_until(self, share: Fraction) -> int:
        """How many steps the first `share` of the stage has: rounded up, so that each share above 0 has one."""
        return -(-self.total_steps * share.numerator // share.denominator)

    def _extent(self, recipe: Recipe) -> tuple[int, int | None]:
        """Number of steps, and of examples shown where the last batch is cut to fit."""
        if recipe.budget is None:
            assert recipe.epochs is not None
            return self.steps_an_epoch * recipe.epochs, None
        if recipe.budget.steps is not None:
            return recipe.budget.steps, None
        assert recipe.budget.examples is not None
        epochs, rest = divmod(recipe.budget.examples, self.examples)
        return epochs * self.steps_an_epoch + math.ceil(rest / self.batch_size), recipe.budget.examples
