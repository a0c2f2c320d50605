"""Floating-point operations that a training needs, and what share of the device's peak it reached.

    model_flops(model, curve)      6 a weight and token, and attention's (Chowdhery et al. 2022, appendix B)
    utilisation(3.1e17, seconds=1000, device=..., half=True)  -> 0.31 on an H100, None where no peak is known

What is computed twice to save memory does not count, nor the embedding's look-up; the output head counts for response
tokens, causal attention for the half that is not masked.
"""

from typing import Any

import torch

from mixgrid.cost.devices import find_device
from mixgrid.training.curve import Curve


def model_flops(model: Any, curve: Curve) -> float:
    """Forward and backward, over all steps of the curve. A frozen weight needs no gradient: 4 instead of 6."""
    head, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    response = sum(curve.response_tokens)
    flops = 6.0 * head.numel() * response
    for parameter in model.parameters():
        if parameter is not head and parameter is not embedding and parameter.dim() > 1:
            flops += (6.0 if parameter.requires_grad else 4.0) * parameter.numel() * curve.tokens
    config = model.config
    head_size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_attention_heads * head_size
    return float(flops + 6.0 * config.num_hidden_layers * width * curve.squares)


def utilisation(flops: float, *, seconds: float, processes: int, device: torch.device, half: bool) -> float | None:
    """The share of the peak that `flops` in `seconds` are, from 0 to 1; None for a device without a known peak."""
    if device.type != "cuda" or not seconds:
        return None
    known = find_device(torch.cuda.get_device_name(device))
    return None if known is None else flops / seconds / processes / known.peak(half=half)
