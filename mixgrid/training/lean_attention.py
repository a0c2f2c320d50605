"""Causal attention within segments and its gradient, as batched products over groups: the lean LLaMA's.

    out_TE, saved = attend(qkv_TC, segments, heads=4, keep_N=None)      C = 3 x heads x D, E = heads x D
    dqkv_TC = attend_backward(dout_TE, saved)

Scores are materialised, for blocks of 48 queries and the keys up to their end, so that little of what is masked is
computed: faster than torch's flash kernel on a CPU (docs/measurements.md).
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from mixgrid.training.segments import Group, Segments

BLOCK = 48
"""Queries whose scores are materialised at once."""


@dataclass(frozen=True)
class _Block:
    """The queries `first` to `last` and how they look at the keys up to `last`, B x Q x L."""

    first: int
    last: int
    probabilities_BQL: Tensor


@dataclass(frozen=True)
class Saved:
    """What the way back needs: a group's queries, keys and values (3 x heads*S x L x D), its blocks' probabilities."""

    segments: Segments
    heads: int
    groups: list[tuple[Tensor, list[_Block]]]
    places: Tensor | None
    num_places: int


def attend(qkv_TC: Tensor, segments: Segments, *, heads: int, keep_N: Tensor | None) -> tuple[Tensor, Saved]:
    """The heads' results side by side, T x E; of the tokens `keep_N` only if given."""
    size = qkv_TC.shape[1] // (3 * heads)
    qkv_PC = qkv_TC if segments.dense else qkv_TC.index_select(0, segments.gather_P)
    out_PE = qkv_PC.new_empty(len(qkv_PC), heads * size)
    saved_groups = []
    for group in segments.groups:
        qkv_3BLD = _by_head(_places(qkv_PC, group), group, heads=3 * heads).view(3, -1, group.width, size)
        query, key, value = qkv_3BLD
        out = _room(_places(out_PE, group), group, heads=heads)
        blocks = []
        for first in range(0 if keep_N is None else group.needed, group.width, BLOCK):
            last = min(first + BLOCK, group.width)
            scores_BQL = _scores(query[:, first:last], key[:, :last], first=first, scale=size**-0.5)
            probabilities_BQL = torch.softmax(scores_BQL, -1)
            _put(out[:, first:last], probabilities_BQL, value[:, :last])
            blocks.append(_Block(first, last, probabilities_BQL))
        _by_place(_places(out_PE, group), group, out)
        saved_groups.append((qkv_3BLD, blocks))
    if segments.spare:
        out_PE[-1].zero_()
    if segments.dense:
        places = keep_N
    else:
        places = segments.scatter_T if keep_N is None else segments.scatter_T.index_select(0, keep_N)
    saved = Saved(segments, heads, saved_groups, places, len(qkv_PC))
    return out_PE if places is None else out_PE.index_select(0, places), saved


def attend_backward(dout_TE: Tensor, saved: Saved) -> Tensor:
    """The gradient for queries, keys and values, T x C, of all tokens of the row."""
    heads, places = saved.heads, saved.places
    size = dout_TE.shape[1] // heads
    dout_PE = dout_TE
    if places is not None:
        dout_PE = dout_TE.new_zeros(saved.num_places, dout_TE.shape[1]).index_copy_(0, places, dout_TE)
    dqkv_PC = dout_TE.new_empty(saved.num_places, 3 * heads * size)
    for group, (qkv_3BLD, blocks) in zip(saved.segments.groups, saved.groups, strict=True):
        query, key, value = qkv_3BLD
        dout_BLD = _by_head(_places(dout_PE, group), group, heads=heads)
        dblock = _room(_places(dqkv_PC, group), group, heads=3 * heads)
        dqueries, dkeys, dvalues = dblock.view(3, -1, group.width, size)
        dqueries[:, : blocks[0].first].zero_()
        # from the end: the last queries look at all keys, and so are the first to write every gradient
        for block in reversed(blocks):
            first, last, probabilities = block.first, block.last, block.probabilities_BQL
            dquery, dkey, dvalue = dqueries[:, first:last], dkeys[:, :last], dvalues[:, :last]
            dout, more = dout_BLD[:, first:last], last < group.width
            _put(dvalue, probabilities.transpose(1, 2), dout, add=more)
            dprobabilities = torch.bmm(dout, value[:, :last].transpose(1, 2))
            dscores = torch._softmax_backward_data(dprobabilities, probabilities, -1, probabilities.dtype)
            _put(dquery, dscores, key[:, :last], scale=size**-0.5)
            _put(dkey, dscores.transpose(1, 2), query[:, first:last], add=more, scale=size**-0.5)
        _by_place(_places(dqkv_PC, group), group, dblock)
    if saved.segments.spare:
        dqkv_PC[-1].zero_()
    return dqkv_PC if saved.segments.dense else dqkv_PC.index_select(0, saved.segments.scatter_T)


def _scores(queries: Tensor, keys: Tensor, *, first: int, scale: float) -> Tensor:
    """Scaled products of queries, the first of them at place `first`, with the keys that any of them may look at."""
    may_look = _causal(-(-keys.shape[1] // 256) * 256, queries.dtype)[first : keys.shape[1], : keys.shape[1]]
    return torch.baddbmm(may_look, queries, keys.transpose(1, 2), alpha=scale)


def _put(target: Tensor, left: Tensor, right: Tensor, *, add: bool = False, scale: float = 1.0) -> None:
    """Write or add scaled products. torch multiplies batch by batch where the target is no tensor of its own."""
    if target.is_contiguous():
        target.baddbmm_(left, right, beta=int(add), alpha=scale)
    elif add:
        target.add_(torch.bmm(left, right), alpha=scale)
    else:
        torch.mul(torch.bmm(left, right), scale, out=target)


def _places(rows_PC: Tensor, group: Group) -> Tensor:
    return rows_PC[group.start : group.start + group.segments * group.width]


def _by_head(rows: Tensor, group: Group, *, heads: int) -> Tensor:
    """heads*S x L x D: a view of a single segment, which products read and write in place, else a copy."""
    if group.segments == 1:
        return rows.view(group.width, heads, -1).transpose(0, 1)
    by_head = rows.view(group.segments, group.width, heads, -1).permute(2, 0, 1, 3)
    return by_head.reshape(heads * group.segments, group.width, -1)


def _room(rows: Tensor, group: Group, *, heads: int) -> Tensor:
    """As `_by_head`, to be written: what `rows` hold does not matter."""
    if group.segments == 1:
        return _by_head(rows, group, heads=heads)
    return rows.new_empty(heads * group.segments, group.width, rows.shape[1] // heads)


def _by_place(rows: Tensor, group: Group, by_head: Tensor) -> None:
    """Write what `_by_head` would read, unless it was a view."""
    if group.segments > 1:
        size = by_head.shape[-1]
        by_head = by_head.view(-1, group.segments, group.width, size)
        rows.view(group.segments, group.width, -1, size).copy_(by_head.permute(1, 2, 0, 3))


@lru_cache(maxsize=16)
def _causal(width: int, dtype: torch.dtype) -> Tensor:
    """0 where a token may look, minus infinity where it may not: L x L."""
    return torch.full((width, width), float("-inf"), dtype=dtype).triu_(1)
