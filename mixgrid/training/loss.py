"""A causal language model that returns the weighted loss of a row's response tokens; any model of transformers.

    loss = ResponseLoss(model, plain_head=has_plain_head(model))(row)        # a scalar with a graph

The output head meets response tokens only: on CUDA in chunks, so that all logits never exist at once
(torch.nn.functional.linear_cross_entropy); on a CPU, where rows are short and the chunked form took 1.9 to 6 times as
long in fp32 at a vocabulary of 32,000, at once. That is valid where logits are the head's product with the last
hidden states and nothing else; `mixgrid.training.probe` finds out, and models that scale or cap their logits take their
own way to them.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import LinearCrossEntropyOptions
from torch.nn.functional import cross_entropy, linear_cross_entropy

from mixgrid.training.attention import autocast_dtype
from mixgrid.training.batches import Row


class ResponseLoss(nn.Module):
    """Wraps `model`, whose weights stay its own. `plain_head` is what `probe.has_plain_head` says of it."""

    def __init__(self, model: Any, *, plain_head: bool) -> None:
        super().__init__()
        self.causal = model
        self.plain_head = plain_head

    def forward(self, row: Row) -> Tensor:
        """Nats, summed with the row's weights."""
        if self.plain_head:
            hidden_NH = hidden_states(self.causal, row)
            losses_N = _head_losses(hidden_NH, self.causal.get_output_embeddings(), row.targets_N)
        else:
            losses_N = cross_entropy(_upcast(own_logits(self.causal, row)), row.targets_N, reduction="none")
        return (losses_N * row.weights_N.to(losses_N.dtype)).sum()


def hidden_states(model: Any, row: Row) -> Tensor:
    """The last hidden states of the tokens whose logits are needed, N x H."""
    output = model.base_model(
        input_ids=row.tokens_1T, position_ids=row.positions_1T, segments=row.segments, use_cache=False
    )
    hidden_NH: Tensor = output.last_hidden_state[0].index_select(0, row.places_N)
    return hidden_NH


def own_logits(model: Any, row: Row) -> Tensor:
    """The logits that the model itself computes for the tokens whose logits are needed, N x V."""
    output = model(
        input_ids=row.tokens_1T, position_ids=row.positions_1T, segments=row.segments, logits_to_keep=row.places_N,
        use_cache=False,
    )  # fmt: skip
    logits_NV: Tensor = output.logits[0]
    return logits_NV


def _head_losses(hidden_NH: Tensor, head: nn.Linear, targets_N: Tensor) -> Tensor:
    """One loss a token."""
    if not hidden_NH.is_cuda:
        return cross_entropy(_upcast(head(hidden_NH)), targets_N, reduction="none")
    dtype = autocast_dtype(hidden_NH)
    options = LinearCrossEntropyOptions()
    losses_N: Tensor = linear_cross_entropy(
        hidden_NH.to(dtype), head.weight.to(dtype), targets_N, reduction="none", options=options
    )
    return _upcast(losses_N)


def _upcast(tensor: Tensor) -> Tensor:
    """At least fp32: sums of losses in bf16 would keep three digits."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
