"""Attention inside each example of a flattened row, registered with transformers as "mixgrid_segments".

    use_segment_attention(model)
    model(input_ids=tokens_1T, position_ids=positions_1T, segments=group_segments([3, 2, 3]), use_cache=False)

On CUDA in half precision this is torch's variable-length flash attention, everywhere else causal attention over
groups of segments of like length. Both are exact: no token sees another example.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn
from torch.nn.functional import scaled_dot_product_attention

from mixgrid.errors import StepError
from mixgrid.training.segments import Segments

NAME = "mixgrid_segments"


def use_segment_attention(model: Any) -> None:
    """Let `model` attend within segments; its forward then takes `segments`."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, segment_attention)
    model.set_attn_implementation(NAME)


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
    looks_back = sliding_window is None or sliding_window >= segments.longest
    if softcap is not None or s_aux is not None or not looks_back:
        raise StepError(
            f"{type(module).__name__} caps its attention, has sinks or looks back {sliding_window} tokens only (an "
            f"example has {segments.longest}), which mixgrid doesn't compute; use another model or a shorter max_length"
        )
    dropout = dropout if module.training else 0.0
    query, key, value = (t.to(autocast_dtype(t)) for t in (query_1HTD, key_1HTD, value_1HTD))
    if query.is_cuda and query.dtype in (torch.bfloat16, torch.float16) and not dropout:
        return _flash(query, key, value, segments, scaling), None
    return _grouped(query, key, value, segments, scaling, dropout), None


def autocast_dtype(tensor: Tensor) -> torch.dtype:
    """What autocast would compute a matrix product of this tensor in; rotary embeddings, for one, leave fp32 behind."""
    kind = tensor.device.type
    autocast = tensor.is_floating_point() and torch.is_autocast_enabled(kind)
    return torch.get_autocast_dtype(kind) if autocast else tensor.dtype


def _flash(query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float | None) -> Tensor:
    query_THD, key_THD, value_THD = (t[0].transpose(0, 1) for t in (query, key, value))
    out_THD = varlen_attn(
        query_THD, key_THD, value_THD, segments.bounds, segments.bounds, segments.longest, segments.longest,
        scale=scaling, window_size=(-1, 0), enable_gqa=query_THD.shape[1] != key_THD.shape[1],
    )  # fmt: skip
    assert isinstance(out_THD, Tensor)
    return out_THD.unsqueeze(0)


def _grouped(
    query: Tensor, key: Tensor, value: Tensor, segments: Segments, scaling: float | None, dropout: float
) -> Tensor:
    heads, head_size = query.shape[1], value.shape[3]
    grouped_query = key.shape[1] != heads
    if not segments.dense:
        query, key, value = (t.index_select(2, segments.gather_P) for t in (query, key, value))
    parts = []
    for group in segments.groups:
        places = slice(group.start, group.start + group.segments * group.width)
        shape = (group.segments, group.width, -1)
        query_SHLD, key_SHLD, value_SHLD = (
            t[0, :, places].reshape(t.shape[1], *shape).transpose(0, 1) for t in (query, key, value)
        )
        result_SHLD = scaled_dot_product_attention(
            query_SHLD, key_SHLD, value_SHLD, is_causal=True, scale=scaling, dropout_p=dropout, enable_gqa=grouped_query
        )
        parts.append(result_SHLD.transpose(1, 2).reshape(-1, heads, head_size))
    out_PHD = torch.cat(parts) if len(parts) > 1 else parts[0]
    return (out_PHD if segments.dense else out_PHD.index_select(0, segments.scatter_T)).unsqueeze(0)
