"""Matrix products of a linear layer, forward and backward, as fast as the processor allows.

    linear(x_TH, weight_KH)                     x @ weight.t(), T x K
    linear(dy_TK, weight_KH.t())                the gradient for x
    linear_add(rest_TK, x_TH, weight_KH)        rest + x @ weight.t()
    outer(dy_TK, x_TH)                          the gradient for the weight, K x H

torch.mm calls MKL, which does not use an AMD processor's whole vector width; oneDNN, which torch has for its compiled
models, does (`python tests/bench/products.py` says how much that is worth on a machine). It prepares a product for
each new shape, and copies an input that is transposed: for a weight's gradient that is the narrower of the two.
Which of the two computes depends on shapes and dtype alone, so that equal arguments give equal bytes.
"""

from typing import Any

import torch
from torch import Tensor

_LEAST = 2**20
"""Multiplications; below it the start of a oneDNN product takes longer than the product."""


def _find_onednn() -> Any:
    """torch's product by oneDNN, or None where this torch has none."""
    try:
        return torch.ops.mkldnn._linear_pointwise if torch.backends.mkldnn.is_available() else None  # type: ignore[no-untyped-call]
    except AttributeError:
        return None


_ONEDNN = _find_onednn()


def linear(x_TH: Tensor, weight_KH: Tensor) -> Tensor:
    """x @ weight.t(), a new tensor T x K. `x` may have more dimensions, `weight` any strides."""
    if _by_onednn(x_TH, weight_KH):
        product_TK: Tensor = _ONEDNN(x_TH, weight_KH, None, "none", [], "")
        return product_TK
    return torch.nn.functional.linear(x_TH, weight_KH)


def linear_add(rest_TK: Tensor, x_TH: Tensor, weight_KH: Tensor) -> Tensor:
    """rest + x @ weight.t(), a new tensor T x K."""
    if _by_onednn(x_TH, weight_KH):
        sum_TK: Tensor = _ONEDNN.binary(x_TH, rest_TK, weight_KH, None, "add")
        return sum_TK
    return torch.addmm(rest_TK, x_TH, weight_KH.t())


def outer(dy_TK: Tensor, x_TH: Tensor) -> Tensor:
    """dy.t() @ x, new, K x H; the transpose of an H x K tensor where K > H (`by_input`)."""
    if by_input(dy_TK.shape[1], x_TH.shape[1]):
        return linear(x_TH.t().contiguous(), dy_TK.t()).t()
    return linear(dy_TK.t().contiguous(), x_TH.t())


def by_input(outputs: int, inputs: int) -> bool:
    """Whether `outer` gives the gradient of a weight K x H as H x K in memory, as the weight is best kept too."""
    return outputs > inputs


def _by_onednn(x_TH: Tensor, weight_KH: Tensor) -> bool:
    return (
        _ONEDNN is not None
        and x_TH.dtype == torch.float32
        and x_TH.device.type == "cpu"
        and x_TH.numel() * len(weight_KH) >= _LEAST
    )
