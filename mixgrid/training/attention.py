"""Attention inside each example of a flattened row, registered with transformers as "mixgrid_segments".

    row      [a0 a1 a2 b0 b1 c0 c1 c2]        (T = 8 tokens, three segments)
    groups   [[0 1 2], [3 4 .], [5 6 7]]      gathered to S x L, causal attention, scattered back

Segments of like length share a group, so that little is computed for nothing. Filled-up places come after the real
ones, where causal attention never looks, and their results are dropped: no mask is needed, and none is built.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from mixgrid.errors import StepError

NAME = "mixgrid_segments"
_SLACK = 1.2
"""A group's longest segment is at most this much longer than its shortest (and 8 tokens)."""


@dataclass(frozen=True)
class Segments:
    """Where each group's tokens lie in the row (`gather`, S x L) and where each token's result lies (`scatter`, T)."""

    gather: tuple[Tensor, ...]
    scatter: Tensor


def group_segments(lengths: Sequence[int]) -> Segments:
    """Group the segments of a row, given their lengths in order."""
    starts = [0]
    for length in lengths:
        starts.append(starts[-1] + length)
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if groups and lengths[index] <= lengths[groups[-1][0]] * _SLACK + 8:
            groups[-1].append(index)
        else:
            groups.append([index])
    scatter = torch.empty(starts[-1], dtype=torch.long)
    gather, base = [], 0
    for group in groups:
        width = max(lengths[i] for i in group)
        columns = torch.arange(width)
        rows = torch.tensor([starts[i] for i in group])[:, None] + columns
        real = columns < torch.tensor([lengths[i] for i in group])[:, None]
        places = base + torch.arange(len(group) * width).reshape(len(group), width)
        scatter[rows[real]] = places[real]
        gather.append(torch.where(real, rows, 0))
        base += len(group) * width
    return Segments(tuple(gather), scatter)


def segment_attention(
    module: Any,
    query_1HTD: Tensor,
    key_1HTD: Tensor,
    value_1HTD: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 (transformers passes it by position; there is none)
    *,
    segments: Segments,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    s_aux: Tensor | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Causal attention within each segment; returns 1 x T x H x D, as transformers expects. Grouped-query too.

    Raises StepError for a kind of attention that it doesn't compute: better no number than another model's.
    """
    longest = max(rows_SL.shape[1] for rows_SL in segments.gather)
    if softcap is not None or s_aux is not None or (sliding_window is not None and sliding_window < longest):
        raise StepError(
            f"{type(module).__name__} caps its attention, has sinks or looks back {sliding_window} tokens only (an "
            f"example has {longest}), which mixgrid does not compute; use another model or a shorter max_length"
        )
    heads, head_size = query_1HTD.shape[1], value_1HTD.shape[3]
    grouped = key_1HTD.shape[1] != heads
    parts = []
    for rows_SL in segments.gather:
        query, key, value = (_gather(t, rows_SL) for t in (query_1HTD, key_1HTD, value_1HTD))
        result_SHLD = scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, dropout_p=dropout if module.training else 0.0,
            enable_gqa=grouped,
        )  # fmt: skip
        parts.append(result_SHLD.transpose(1, 2).reshape(-1, heads, head_size))
    return torch.cat(parts).index_select(0, segments.scatter).unsqueeze(0), None


def _gather(row_1HTD: Tensor, rows_SL: Tensor) -> Tensor:
    """The group's segments of a row, S x H x L x D."""
    _, heads, _, size = row_1HTD.shape
    return row_1HTD[0].index_select(1, rows_SL.reshape(-1)).reshape(heads, *rows_SL.shape, size).transpose(0, 1)


def use_segment_attention(model: Any) -> None:
    """Let `model` attend within segments; its forward then takes `segments`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, segment_attention)
    model.set_attn_implementation(NAME)
