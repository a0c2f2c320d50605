"""Causal attention within segments and its gradient, as batched products over groups: the lean LLaMA's.

    out_TE, saved = attend(qkv_TC, segments, heads=4, keep_N=None)      C = 3 x heads x D, E = heads x D
    dqkv_TC = attend_backward(dout_TE, saved)

Scores are materialised, for blocks of 96 queries and the keys up to their end: faster than torch's flash kernel on a
CPU for segments up to about 256 tokens (twice as fast at 40), and half of what is masked is not computed beyond.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from mixgrid.training.segments import Group, Segments

BLOCK = 96
"""Queries whose scores are materialised at once."""


@dataclass(frozen=True)
class Saved:
    """What the way back needs: a group's queries, keys and values (3 x heads*S x L x D), its blocks' probabilities."""

    segments: Segments
    heads: int
    blocks: tuple[Tensor, ...]
    probabilities: tuple[list[Tensor], ...]
    places: Tensor | None
    num_places: int


def attend(qkv_TC: Tensor, segments: Segments, *, heads: int, keep_N: Tensor | None) -> tuple[Tensor, Saved]:
    """The heads' results side by side, T x E; of the tokens `keep_N` only if given."""
    size = qkv_TC.shape[1] // (3 * heads)
    qkv_PC = qkv_TC if segments.dense else qkv_TC.index_select(0, segments.gather_P)
    out_PE = qkv_PC.new_empty(len(qkv_PC), heads * size)
    blocks, probabilities = [], []
    for group in segments.groups:
        block = _by_head(_places(qkv_PC, group), group, heads=3 * heads).view(3, -1, group.width, size)
        query, key, value = block
        out = _room(_places(out_PE, group), group, heads=heads)
        kept = []
        for first, last in _query_blocks(group.width):
            scores_BQL = _scores(query[:, first:last], key[:, :last], first=first, scale=size**-0.5)
            probabilities_BQL = torch.softmax(scores_BQL, -1)
            out[:, first:last].baddbmm_(probabilities_BQL, value[:, :last], beta=0)
            kept.append(probabilities_BQL)
        _by_place(_places(out_PE, group), group, out)
        blocks.append(block)
        probabilities.append(kept)
    if segments.spare:
        out_PE[-1].zero_()
    if segments.dense:
        places = keep_N
    else:
        places = segments.scatter_T if keep_N is None else segments.scatter_T.index_select(0, keep_N)
    saved = Saved(segments, heads, tuple(blocks), tuple(probabilities), places, len(qkv_PC))
    return out_PE if places is None else out_PE.index_select(0, places), saved


def attend_backward(dout_TE: Tensor, saved: Saved) -> Tensor:
    """The gradient for queries, keys and values, T x C, of all tokens of the row."""
    heads, places = saved.heads, saved.places
    size = dout_TE.shape[1] // heads
    dout_PE = dout_TE
    if places is not None:
        dout_PE = dout_TE.new_zeros(saved.num_places, dout_TE.shape[1]).index_copy_(0, places, dout_TE)
    dqkv_PC = dout_TE.new_empty(saved.num_places, 3 * heads * size)
    for group, block, kept in zip(saved.segments.groups, saved.blocks, saved.probabilities, strict=True):
        query, key, value = block
        dout_BLD = _by_head(_places(dout_PE, group), group, heads=heads)
        dblock = _room(_places(dqkv_PC, group), group, heads=3 * heads)
        dqueries, dkeys, dvalues = dblock.view(3, -1, group.width, size)
        # from the end: the last queries look at all keys, and so are the first to write every gradient
        for (first, last), probabilities in reversed(list(zip(_query_blocks(group.width), kept, strict=True))):
            dquery, dkey, dvalue = dqueries[:, first:last], dkeys[:, :last], dvalues[:, :last]
            dout, so_far = dout_BLD[:, first:last], 0 if last == group.width else 1
            dvalue.baddbmm_(probabilities.transpose(1, 2), dout, beta=so_far)
            dprobabilities = torch.bmm(dout, value[:, :last].transpose(1, 2))
            dscores = torch._softmax_backward_data(dprobabilities, probabilities, -1, probabilities.dtype)
            dquery.baddbmm_(dscores, key[:, :last], beta=0, alpha=size**-0.5)
            dkey.baddbmm_(dscores.transpose(1, 2), query[:, first:last], beta=so_far, alpha=size**-0.5)
        _by_place(_places(dqkv_PC, group), group, dblock)
    if saved.segments.spare:
        dqkv_PC[-1].zero_()
    return dqkv_PC if saved.segments.dense else dqkv_PC.index_select(0, saved.segments.scatter_T)


def _scores(queries: Tensor, keys: Tensor, *, first: int, scale: float) -> Tensor:
    """Scaled products of queries, the first of them at place `first`, with the keys that any of them may look at."""
    may_look = _causal(queries.shape[1], queries.dtype)
    if first == 0:
        return torch.baddbmm(may_look, queries, keys.transpose(1, 2), alpha=scale)
    scores_BQL = queries.new_empty(len(queries), queries.shape[1], keys.shape[1])
    scores_BQL.baddbmm_(queries, keys.transpose(1, 2), beta=0, alpha=scale)
    scores_BQL[:, :, first:].add_(may_look)
    return scores_BQL


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


def _query_blocks(width: int) -> list[tuple[int, int]]:
    """First and last query of each block."""
    return [(first, min(first + BLOCK, width)) for first in range(0, width, BLOCK)]


@lru_cache(maxsize=512)
def _causal(width: int, dtype: torch.dtype) -> Tensor:
    """0 where a token may look, minus infinity where it may not: L x L."""
    return torch.full((width, width), float("-inf"), dtype=dtype).triu_(1)
