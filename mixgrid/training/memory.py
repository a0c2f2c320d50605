"""What a stage needs of a device's memory, before it starts; and what to do when that was not enough.

    plan_memory(model, runtime=..., longest=2048, shards=8, half=True, available=80 * 10**9, fixed_rows=False)
        -> MemoryPlan(fixed_bytes=14.0e9, bytes_a_token=1.1e6, row_tokens=24576, activation_checkpointing=False, ...)

Weights, gradients and AdamW's two moments are 16 bytes a trained parameter in fp32. What the backward pass keeps of a
token is measured, not guessed: a short row is run and autograd's saved tensors are counted.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from mixgrid.errors import StepError
from mixgrid.runtime import TrainingRuntime
from mixgrid.training.batches import row_of, weigh
from mixgrid.training.lean_engine import CPU_ROW_TOKENS
from mixgrid.training.loss import hidden_states

MOST_ROW_TOKENS = 32_768
_USABLE = 0.9
_GIB = 2**30


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes on one device. `available_bytes` is what was free before; `row_tokens` the tokens computed at once."""

    fixed_bytes: int
    bytes_a_token: int
    available_bytes: int
    row_tokens: int
    activation_checkpointing: bool

    @property
    def estimated_bytes(self) -> int:
        """The expected peak."""
        return self.fixed_bytes + self.row_tokens * self.bytes_a_token


def plan_memory(
    model: Any, *, runtime: TrainingRuntime, longest: int, shards: int, half: bool, available: int, fixed_rows: bool
) -> MemoryPlan:
    """How many tokens fit into `available` bytes at once, and whether activations are computed twice to save memory.

    With `fixed_rows`, as on CPUs, rows have the length that keeps bytes the same. Raises StepError where nothing fits.
    """
    fixed = fixed_bytes(model, shards=shards)
    asked = runtime.activation_checkpointing
    plan = None
    for checkpointing in (False, True) if asked == "auto" else (asked,):
        a_token = bytes_a_token(model, half=half, checkpointing=checkpointing)
        room = int(max(0, _USABLE * available - fixed) / max(1, a_token))
        if runtime.row_tokens == "auto":
            tokens = CPU_ROW_TOKENS if fixed_rows else min(room, MOST_ROW_TOKENS)
        else:
            tokens = runtime.row_tokens
        plan = MemoryPlan(fixed, a_token, available, max(longest, tokens), checkpointing)
        if plan.row_tokens <= room:
            return plan
    assert plan is not None
    raise StepError(_too_large(plan, plan.row_tokens))


def fixed_bytes(model: Any, *, shards: int) -> int:
    """Weights, gradients and moments on one of `shards` devices."""
    parameters = list(model.parameters())
    trained = sum(p.numel() * (p.element_size() + 8 + p.element_size()) for p in parameters if p.requires_grad)
    frozen = sum(p.numel() * p.element_size() for p in parameters if not p.requires_grad)
    largest = max(p.numel() * p.element_size() for p in parameters)
    return int((trained + frozen) // shards + (2 * largest if shards > 1 else 0))


def bytes_a_token(model: Any, *, half: bool, checkpointing: bool) -> int:
    """What autograd keeps of each further token of a row: the slope between two short rows of the model's own forward.

    With `checkpointing`, a layer's inputs for every layer, and all of one layer.
    """
    short, long = (_saved_bytes(model, tokens, half=half) for tokens in (8, 24))
    slope = (long - short) / 16
    if not checkpointing:
        return int(slope)
    layers = max(1, model.config.num_hidden_layers)
    return int(slope / layers + layers * model.config.hidden_size * 4)


def _saved_bytes(model: Any, tokens: int, *, half: bool) -> int:
    """Bytes of the tensors that a forward pass over `tokens` tokens keeps for the backward pass."""
    parameters = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in parameters:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    where = next(model.parameters()).device
    row = row_of(weigh([(np.zeros(tokens, np.int32), np.ones(tokens, bool))])).to(where)
    with (
        torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor),
        torch.autocast(where.type, dtype=torch.bfloat16, enabled=half),
    ):
        kept_alive = hidden_states(model, row)  # no address is used twice while the graph lives
        total = sum(kept.values())
        del kept_alive
    return total


def available_bytes(device: torch.device, *, processes: int) -> int:
    """Free memory for this process, weights not yet there: a GPU is its own, a machine's memory all of theirs."""
    if device.type == "cuda":
        torch.cuda.empty_cache()  # what an earlier step of this process has let go of
        return int(torch.cuda.mem_get_info(device)[0])
    import psutil

    return int(psutil.virtual_memory().available) // processes


def out_of_memory(error: Exception, *, row_tokens: int, alone: bool, longest: int, memory: MemoryPlan) -> int:
    """Fewer tokens a row for the next try. Raises StepError when that cannot help; other errors go on."""
    cpu = "can't allocate memory" in str(error)
    if not (isinstance(error, torch.OutOfMemoryError) or cpu):
        raise error
    if alone and row_tokens > longest:
        return max(longest, row_tokens // 2)
    raise StepError(_too_large(memory, longest)) from error


def _too_large(plan: MemoryPlan, tokens: int) -> str:
    remedies = ["a smaller max_length in the study"]
    if not plan.activation_checkpointing:
        remedies.insert(0, "activation_checkpointing: true in the runtime file")
    remedies += ["more processes with sharding: full in the runtime file", "adapter: lora in the recipe"]
    return (
        f"out of memory: weights, gradients and optimiser take {plan.fixed_bytes / _GIB:.1f} GiB and a row of "
        f"{tokens} tokens {tokens * plan.bytes_a_token / _GIB:.1f} GiB more, where {plan.available_bytes / _GIB:.1f} "
        f"GiB were free; try {', '.join(remedies[:-1])} or {remedies[-1]}"
    )
