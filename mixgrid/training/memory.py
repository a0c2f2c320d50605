"""What a stage needs of a device's memory, before it starts; and what to do when that was not enough.

    plan_memory(model, runtime=..., longest=2048, shards=8, half=True, available=80 * 10**9, fixed_rows=False)
        -> MemoryPlan(fixed_bytes=14.0e9, bytes_a_token=1.1e6, row_tokens=24576, activation_checkpointing=False, ...)

Weights, gradients and AdamW's two moments are 16 bytes a trained parameter in fp32. What the backward pass keeps, of a
token and whatever the row (autocast's bf16 copies of weights), is measured, not guessed: short rows are run, all of
their tokens response, and autograd's saved tensors are counted.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from mixgrid.errors import StepError
from mixgrid.runtime import TrainingRuntime
from mixgrid.training.batches import row_of, weigh
from mixgrid.training.loss import ResponseLoss, hidden_states

MOST_ROW_TOKENS = 32_768

CPU_ROW_TOKENS = 1024
"""A fixed number, so that a key gives the same bytes. Shorter rows start more operations for the same work."""

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
    half: bool

    @property
    def room(self) -> int:
        """Tokens that fit at once."""
        return int(max(0, _USABLE * self.available_bytes - self.fixed_bytes) / max(1, self.bytes_a_token))

    @property
    def estimated_bytes(self) -> int:
        """The expected peak."""
        return self.fixed_bytes + self.row_tokens * self.bytes_a_token


def plan_memory(
    model: Any,
    *,
    runtime: TrainingRuntime,
    longest: int,
    shards: int,
    half: bool,
    available: int,
    fixed_rows: bool,
    plain_head: bool,
) -> MemoryPlan:
    """How many tokens fit into `available` bytes at once, and whether activations are computed twice to save memory.

    With `fixed_rows`, as on CPUs, rows have the length that keeps bytes the same. Raises StepError where nothing fits.
    """
    fixed = fixed_bytes(model, shards=shards)
    chunked = plain_head and not fixed_rows  # on CUDA logits come in chunks and none is kept
    asked = runtime.activation_checkpointing
    plan = None
    for checkpointing in (False, True) if asked == "auto" else (asked,):
        kept, a_token = kept_bytes(model, half=half, checkpointing=checkpointing, logits=not chunked)
        plan = MemoryPlan(fixed + kept, a_token, available, 0, checkpointing, half)
        if runtime.row_tokens == "auto":
            tokens = CPU_ROW_TOKENS if fixed_rows else min(plan.room, MOST_ROW_TOKENS)
        else:
            tokens = runtime.row_tokens
        plan = replace(plan, row_tokens=max(longest, tokens))
        if plan.row_tokens <= plan.room:
            return plan
    assert plan is not None
    raise too_large(plan, plan.row_tokens, longest=longest)


def fixed_bytes(model: Any, *, shards: int) -> int:
    """Weights, gradients and moments on one of `shards` devices; of shards, also two layers put together.

    While one layer is computed the next is on its way; its gradients are as large.
    """
    parameters = list(model.parameters())
    trained = sum(p.numel() * (p.element_size() + 8 + p.element_size()) for p in parameters if p.requires_grad)
    frozen = sum(_nbytes(p) for p in parameters if not p.requires_grad)
    if shards == 1:
        return int(trained + frozen)
    layers = [
        sum(map(_nbytes, module.parameters()))
        for module in model.modules()
        if type(module).__name__ in model._no_split_modules
    ]
    gathered = [*layers, sum(map(_nbytes, parameters)) - sum(layers)]  # and what is outside layers, as one
    return int((trained + frozen) // shards + 2 * max(gathered))


def _nbytes(parameter: torch.Tensor) -> int:
    return parameter.numel() * parameter.element_size()


def kept_bytes(model: Any, *, half: bool, checkpointing: bool, logits: bool) -> tuple[int, int]:
    """What autograd keeps whatever the row, and of each further token of it: a line through two short rows.

    With `checkpointing`, a layer's inputs for every layer, all of one layer, and the logits where they are kept.
    """
    fixed, slope = _line(model, half=half, logits=logits)
    if not checkpointing:
        return fixed, slope
    _, below = _line(model, half=half, logits=False)
    config = model.config.get_text_config()
    layers = max(1, config.num_hidden_layers)
    return fixed // layers, below // layers + layers * config.hidden_size * 4 + slope - below


def _line(model: Any, *, half: bool, logits: bool) -> tuple[int, int]:
    short, long = (saved_bytes(model, tokens, half=half, logits=logits) for tokens in (8, 24))
    slope = (long - short) // 16
    return max(0, short - 8 * slope), slope


def saved_bytes(model: Any, tokens: int, *, half: bool, logits: bool) -> int:
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
        # no address is used twice while the graph lives
        kept_alive = ResponseLoss(model, plain_head=False)(row) if logits else hidden_states(model, row)
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


def out_of_memory(error: Exception, *, row_tokens: int, row: int, alone: bool, longest: int, memory: MemoryPlan) -> int:
    """Fewer tokens a row for the next try, after `row` tokens were too many.

    Raises StepError when that cannot help; other errors go on.
    """
    cpu = "can't allocate memory" in str(error)
    if not (isinstance(error, torch.OutOfMemoryError) or cpu):
        raise error
    if alone and row_tokens > longest:
        return max(longest, row_tokens // 2)
    raise too_large(memory, row, longest=longest) from error


def too_large(plan: MemoryPlan, tokens: int, *, longest: int) -> StepError:
    """The error of a row of `tokens` tokens where an example has `longest`: what would help, nearest first."""
    remedies = [
        *(["a smaller row_tokens in the runtime file"] if tokens > longest else []),
        *(["activation_checkpointing: true in the runtime file"] if not plan.activation_checkpointing else []),
        *(["a smaller max_length in the study"] if tokens <= longest else []),
        "more processes with sharding: full in the runtime file",
        *(["precision: bf16 in the recipe"] if not plan.half else []),
        "adapter: lora in the recipe",
    ]
    return StepError(
        f"out of memory: weights, gradients and optimiser take {plan.fixed_bytes / _GIB:.1f} GiB and a row of "
        f"{tokens} tokens {tokens * plan.bytes_a_token / _GIB:.1f} GiB more, where {plan.available_bytes / _GIB:.1f} "
        f"GiB were free at the start; try {', '.join(remedies[:-1])} or {remedies[-1]}"
    )
