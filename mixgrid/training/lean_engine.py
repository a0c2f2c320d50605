"""The engine of a plain LLaMA in fp32 on one CPU process: the lean passes, and AdamW on one flat tensor.

fits(model)  -> None, or why the model has to take the general way ("it has grouped-query attention")
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from mixgrid.recipe import Recipe
from mixgrid.runtime import TrainingRuntime
from mixgrid.training.batches import Prepared, Weighted, rows_of
from mixgrid.training.engine import MOMENTS, State
from mixgrid.training.lean_attention import BLOCK
from mixgrid.training.lean_llama import LeanLlama
from mixgrid.training.memory import CPU_ROW_TOKENS, MemoryPlan, available_bytes, out_of_memory, too_large

_MULTIPLE = 16
"""Tokens and response tokens of a row come in multiples of it: each new shape costs something (`mixgrid.products`)."""

LONGEST = 1024
"""Attention materialises its scores, which the general engine does not: longer examples take that one's way."""


def fits(model: Any) -> str | None:
    """None if the model is one that this file computes, else the first reason why not."""
    if (reason := not_plain(model)) is not None:
        return reason
    config = model.config
    reasons = {
        "it has grouped-query attention": config.num_key_value_heads != config.num_attention_heads,
        "it has dropout": config.attention_dropout > 0,
        "some weights are frozen": not all(p.requires_grad for p in model.parameters()),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


def not_plain(model: Any) -> str | None:
    """None for a plain LLaMA in fp32 on a CPU, else the first thing that it has or is instead."""
    from transformers import LlamaForCausalLM

    config = model.config
    if type(model) is not LlamaForCausalLM:
        return f"it is a {type(model).__name__}"
    reasons = {
        "its heads have an odd size": (config.head_dim or 0) % 2 == 1,
        "its layers have biases": config.attention_bias or config.mlp_bias,
        f"its activation is {config.hidden_act}": config.hidden_act != "silu",
        "its rotary embedding is scaled": config.rope_parameters["rope_type"] != "default",
        "its weights are not all fp32": {p.dtype for p in model.parameters()} not in ({torch.float32}, {torch.float64}),
        "it is not on a CPU": any(p.device.type != "cpu" for p in model.parameters()),
    }
    return next((reason for reason, holds in reasons.items() if holds), None)


class LeanEngine:
    """See `mixgrid.training.engine.Engine`."""

    def __init__(self, model: Any, *, recipe: Recipe, runtime: TrainingRuntime, longest: int) -> None:
        self.device = torch.device("cpu")
        self.main = True
        self.updates = 0
        self.row_tokens = CPU_ROW_TOKENS if runtime.row_tokens == "auto" else runtime.row_tokens
        self._memory = _plan(model, row_tokens=max(self.row_tokens, longest), longest=longest)
        self.estimated_bytes = self._memory.estimated_bytes
        self._max_norm = recipe.max_gradient_norm
        self._lean = LeanLlama(model)
        self._flat = torch.nn.Parameter(self._lean.flat.weights)
        self._flat.grad = self._lean.gradients
        self._optimizer = adamw([self._flat], recipe)

    def prepare(self, batch: Sequence[Weighted]) -> Prepared:
        """Rows of like lengths have the least to fill up."""
        row_tokens = self.row_tokens
        alike = sorted(batch, key=lambda example: example.length)
        return Prepared(alike, rows_of(alike, max_row_tokens=row_tokens, multiple=_MULTIPLE), row_tokens)

    def accumulate(self, prepared: Prepared, *, step: int) -> float:  # noqa: ARG002 (nothing random here)
        """The batch's loss; its gradients are added. After an out-of-memory error, in smaller rows."""
        while True:
            if prepared.row_tokens != self.row_tokens:
                prepared = self.prepare(prepared.batch)
            losses, size = [], 0
            try:
                for row in prepared.rows:
                    size = sum(row.segments.lengths)
                    losses.append(float(self._lean.accumulate(row)))
                return math.fsum(losses)
            except RuntimeError as error:
                self.row_tokens = out_of_memory(
                    error, row_tokens=self.row_tokens, row=size, alone=True,
                    longest=prepared.longest, memory=self._memory,
                )  # fmt: skip
            self._lean.forget_gradients()

    def update(self, *, rate: float) -> None:
        """Clip, one AdamW update, gradients back to zero."""
        gradients = self._lean.gradients
        norm = float(torch.linalg.vector_norm(gradients))
        if norm > self._max_norm:
            gradients.mul_(self._max_norm / (norm + 1e-6))
        self._optimizer.param_groups[0]["lr"] = rate
        self._optimizer.step()
        self._lean.forget_gradients()
        self.updates += 1

    def state(self) -> State:
        """Weights and moments by parameter; copies where rows are stored in another order."""
        moments = self._moments()
        buffers = {"weights": self._lean.flat.weights} | {name: moments[name] for name in MOMENTS}
        return {name: dict(self._lean.flat.named(buffer)) for name, buffer in buffers.items()}

    def load(self, state: State, *, updates: int) -> None:
        """Go on from a state."""
        moments = self._moments()
        self._lean.flat.fill(self._lean.flat.weights, state["weights"])
        for name in MOMENTS:
            self._lean.flat.fill(moments[name], state[name])
        moments["step"].fill_(updates)
        self.updates = updates

    def write_back(self) -> None:
        """Put the trained weights into the model."""
        self._lean.flat.write_back()

    def _moments(self) -> dict[str, Tensor]:
        state: dict[str, Tensor] = self._optimizer.state[self._flat]
        if not state:
            state["step"] = torch.tensor(0.0)
            state |= {name: torch.zeros_like(self._lean.gradients) for name in MOMENTS}
        return state


def _plan(model: Any, *, row_tokens: int, longest: int) -> MemoryPlan:
    """What the lean passes need, counted from their code. Raises StepError where a row cannot fit."""
    config, parameters = model.config, list(model.parameters())
    layer = 14 * config.hidden_size + 4 * config.intermediate_size
    layer += config.num_attention_heads * (longest // 2 + BLOCK)  # each token's attention: half of what lies before
    numbers = config.num_hidden_layers * layer + 2 * config.vocab_size
    size = parameters[0].element_size()
    weights = 4 * sum(p.nbytes for p in parameters)
    plan = MemoryPlan(
        weights, size * numbers, available_bytes(torch.device("cpu"), processes=1), row_tokens, False, False
    )
    if plan.row_tokens > plan.room:
        raise too_large(plan, plan.row_tokens, longest=longest)
    return plan


def adamw(parameters: Sequence[torch.nn.Parameter], recipe: Recipe) -> torch.optim.AdamW:
    """The recipe's AdamW, in one fused kernel."""
    return torch.optim.AdamW(
        parameters,
        lr=recipe.peak_learning_rate,
        betas=(recipe.adam_beta1, recipe.adam_beta2),
        eps=recipe.adam_epsilon,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
