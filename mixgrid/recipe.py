"""How a model is trained, data excluded; all of it is identity.

    recipe: {epochs: 3, batch_size: 16, peak_learning_rate: 2.0e-5, warmup_ratio: 0.03, schedule: cosine}
    recipe: {budget: {steps: 200}, batch_size: 16, ..., loss_average: example, adapter: lora}

What the paper does not state follows FastChat's Vicuna script: AdamW, no weight decay (PAPER.md has the list).
"""

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from mixgrid.identity import Settings
from mixgrid.names import named_form


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


class Budget(Settings):
    """How long a stage trains whatever its mixture's size: optimiser steps, or examples shown (repeats counted)."""

    steps: Positive | None = None
    examples: Positive | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.steps is None) == (self.examples is None):
            raise ValueError("needs exactly one of steps and examples, such as {steps: 200}")
        return self


class Adapter(Settings):
    """Low-rank adapters (Hu et al. 2021) on linear layers, merged into the weights at the end of the stage.

    `targets` are names of modules, such as q_proj; None takes every linear layer but the output head.
    """

    name: Literal["lora"]
    rank: Positive = 16
    alpha: Rate = 32.0
    dropout: Share = 0.0
    targets: tuple[str, ...] | None = Field(default=None, min_length=1)


class Recipe(Settings):
    """The optimisation of one stage. `batch_size` counts examples of a global batch, over all processes.

    `loss_average` says what a step's loss is the mean over: all response tokens of its batch, or its examples, each
    of them first averaged over its own response tokens.
    """

    epochs: Positive | None = None
    budget: Budget | None = None
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
    loss_average: Literal["token", "example"] = "token"
    adapter: Annotated[Adapter, BeforeValidator(named_form)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.epochs is None and self.budget is None:
            raise ValueError("epochs is missing; add epochs: 3, or a budget such as budget: {steps: 200}")
        if self.epochs is not None and self.budget is not None:
            raise ValueError("epochs and budget exclude each other; give one")
        return self

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """The recipe with some settings replaced; a new budget takes the place of epochs, and the other way round."""
        settings = self.model_dump()
        for one, other in (("epochs", "budget"), ("budget", "epochs")):
            if changes.get(one) is not None:
                settings[other] = None
        return Recipe.model_validate({**settings, **changes})

    def differences(self, other: "Recipe") -> tuple[tuple[str, str], ...]:
        """Each setting in which this recipe differs from another, with its value here as JSON."""
        mine, theirs = self.model_dump(mode="json"), other.model_dump(mode="json")
        return tuple((name, json.dumps(value)) for name, value in mine.items() if value != theirs[name])


def learning_rate_factor(recipe: Recipe, *, step: int, total_steps: int) -> float:
    """The share of the peak learning rate at optimiser step `step` (from 0).

    Rises linearly over the first `ceil(warmup_ratio * total_steps)` steps, then falls to 0 at `total_steps` along a
    half cosine or a line; `constant` stays at the peak.
    """
    warmup = math.ceil(recipe.warmup_ratio * total_steps)
    if step < warmup:
        return (step + 1) / warmup
    if recipe.schedule == "constant":
        return 1.0
    progress = (step - warmup) / max(1, total_steps - warmup)
    return 0.5 * (1 + math.cos(math.pi * progress)) if recipe.schedule == "cosine" else 1 - progress
