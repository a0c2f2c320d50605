"""How a model is trained, data excluded; all of it is identity.

    recipe: {epochs: 3, batch_size: 16, peak_learning_rate: 2.0e-5, warmup_ratio: 0.03, schedule: cosine}

What the paper does not state follows FastChat's Vicuna script: AdamW, no weight decay (PAPER.md has the list).
"""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from mixgrid.identity import Settings


def _no_flag(value: object) -> object:
    """Pydantic takes true for 1.0; a study that says `true` for a number means something else."""
    if isinstance(value, bool):
        raise ValueError("must be a number")
    return value


Positive = Annotated[int, Field(ge=1, strict=True)]
# not strict: YAML reads 2e-5, without a dot, as text
Number = Annotated[float, BeforeValidator(_no_flag)]
Rate = Annotated[Number, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[Number, Field(ge=0, lt=1)]


class Recipe(Settings):
    """The optimisation of one stage. `batch_size` counts examples of a global batch, over all processes."""

    epochs: Positive
    batch_size: Positive
    peak_learning_rate: Rate
    warmup_ratio: Annotated[Number, Field(ge=0, le=1)]
    schedule: Literal["cosine", "linear", "constant"]
    weight_decay: Annotated[Number, Field(ge=0, allow_inf_nan=False)] = 0.0
    max_gradient_norm: Rate = 1.0
    adam_beta1: Share = 0.9
    adam_beta2: Share = 0.999
    adam_epsilon: Rate = 1e-8
    precision: Literal["fp32", "bf16"] = "fp32"


def learning_rate_factor(recipe: Recipe, *, step: int, total_steps: int) -> float:
    """The share of the peak learning rate at optimiser step `step` (from 0).

    Rises linearly over the first `ceil(warmup_ratio * total_steps)` steps, then falls to 0 at `total_steps` along a
    half cosine or a line; `constant` stays at the peak.
    """
    import math

    warmup = math.ceil(recipe.warmup_ratio * total_steps)
    if step < warmup:
        return (step + 1) / warmup
    if recipe.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, total_steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * progress)) if recipe.schedule == "cosine" else 1 - progress
