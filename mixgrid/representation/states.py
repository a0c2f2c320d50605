"""The hidden states of one layer, one vector a prompt.

    layer_states(model, tokenizer, ["USER: 1 + 1? ASSISTANT:", ...], layer=15, pooling="last", max_length=2048)
        -> float32 (prompts, hidden size)

Prompts of similar length are padded together on the right: no token of a causal model sees what comes after it, so
states equal those of a prompt alone to rounding. Dimensions: B prompts, T tokens, H hidden size.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from mixgrid.errors import StepError
from mixgrid.progress import Progress, silent
from mixgrid.representation.choice import Pooling

BATCH_TOKENS = 4096
"""Padding included: a forward pass keeps every layer, 2.2 GB for 7B in fp32. Other batches round differently."""


@torch.inference_mode()
def layer_states(
    model: Any, tokenizer: Any, texts: Sequence[str], *, layer: int, pooling: Pooling, max_length: int,
    add_special_tokens: bool = True, progress: Progress = silent,
) -> NDArray[np.float32]:  # fmt: skip
    """In the order of `texts`, each cut at `max_length` tokens. Raises StepError for a layer that is not there."""
    prompts = tokenizer(list(texts), add_special_tokens=add_special_tokens, verbose=False)["input_ids"]
    prompts = [ids[:max_length] for ids in prompts]
    found: dict[int, NDArray[np.float32]] = {}
    for chosen in _batches([len(ids) for ids in prompts]):
        lengths = torch.tensor([len(prompts[i]) for i in chosen])
        tokens_BT = torch.zeros(len(chosen), int(lengths.max()), dtype=torch.long)
        for row, i in enumerate(chosen):
            tokens_BT[row, : len(prompts[i])] = torch.tensor(prompts[i])
        seen_BT = torch.arange(tokens_BT.shape[1]) < lengths[:, None]
        states_BTH = _states(model, tokens_BT, seen_BT, layer)
        found |= zip(chosen, _pool(states_BTH, seen_BT, pooling).numpy(), strict=True)
        progress(len(found) / len(prompts), f"{len(found)}/{len(prompts)} queries")
    return np.stack([found[i] for i in range(len(prompts))])


def _states(model: Any, tokens_BT: torch.Tensor, seen_BT: torch.Tensor, layer: int) -> torch.Tensor:
    """One layer's states in fp32 on the CPU; the body alone is run, without the logits."""
    every = model.base_model(
        input_ids=tokens_BT.to(model.device), attention_mask=seen_BT.long().to(model.device),
        output_hidden_states=True, use_cache=False,
    ).hidden_states  # fmt: skip
    if layer >= len(every):
        raise StepError(
            f"hidden_states.layer: {layer}: the model has {len(every) - 1} blocks; use one of 0 to {len(every) - 1}"
        )
    states_BTH: torch.Tensor = every[layer].float().cpu()
    return states_BTH


def _pool(states_BTH: torch.Tensor, seen_BT: torch.Tensor, pooling: Pooling) -> torch.Tensor:
    """The mean leaves the first token out: it sees only itself, the same in all prompts, and its state can be huge."""
    lengths = seen_BT.sum(dim=1)
    if pooling == "last":
        return states_BTH[torch.arange(len(lengths)), lengths - 1]
    counted_BT = seen_BT.clone()
    counted_BT[lengths > 1, 0] = False
    weights_BT = counted_BT / counted_BT.sum(dim=1, keepdim=True)
    return (states_BTH * weights_BT[:, :, None]).sum(dim=1)


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """Numbers of prompts, longest first, as many as BATCH_TOKENS allows at the longest's length."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    while order:
        size = max(1, BATCH_TOKENS // max(1, lengths[order[0]]))
        yield order[:size]
        order = order[size:]
