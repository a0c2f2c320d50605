"""One stage of supervised fine-tuning: a mixture, a recipe, a seed.

ledger, curve = train_stage(model, examples, recipe=recipe, seed=0, progress=progress)
    ledger -> {"examples": 1000, "steps": 189, "tokens": 183702, "tokens_per_second": 9100.0, ...}
"""

import math
from collections.abc import Iterator
from typing import Any

import torch

from mixgrid.progress import Progress
from mixgrid.recipe import Recipe
from mixgrid.tokens import MixedExamples
from mixgrid.training.batches import Row, epoch_batches, flatten
from mixgrid.training.loop import Curve, optimise

MAX_ROW_TOKENS = 16_384


def train_stage(
    model: Any, examples: MixedExamples, *, recipe: Recipe, seed: int, progress: Progress
) -> tuple[dict[str, Any], Curve]:
    """Train `model` in place for `recipe.epochs`; return the ledger and the loss curve."""
    torch.manual_seed(seed)
    steps = math.ceil(len(examples) / recipe.batch_size) * recipe.epochs
    curve = optimise(
        model, _batches(examples, recipe=recipe, seed=seed), recipe=recipe, total_steps=steps, progress=progress
    )
    fully_masked = sum(not examples[i][1][1:].any() for i in range(len(examples)))
    ledger = {
        "examples": len(examples),
        "epochs": recipe.epochs,
        "steps": len(curve.loss),
        "tokens": curve.tokens,
        "response_tokens": sum(curve.response_tokens),
        "fully_masked": fully_masked,
        "final_loss": next((x for x, n in zip(curve.loss[::-1], curve.response_tokens[::-1], strict=True) if n), None),
        "seconds": round(curve.seconds, 3),
        "tokens_per_second": round(curve.tokens / curve.seconds, 1),
    }
    return ledger, curve


def _batches(examples: MixedExamples, *, recipe: Recipe, seed: int) -> Iterator[list[Row]]:
    for epoch in range(recipe.epochs):
        for batch in epoch_batches(len(examples), batch_size=recipe.batch_size, seed=seed, epoch=epoch):
            yield flatten([examples[int(i)] for i in batch], max_row_tokens=MAX_ROW_TOKENS)
