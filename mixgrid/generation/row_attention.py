"""One query a row against that row's keys and values, as sums of table rows.

    reach = reach_of([5, 40], heads=4, key_heads=4, size=32, room=128)      # rows with 5 and 40 tokens and a new one
    attend(query_NAD, keys_NHDT, values_NHTD, reach)  ->  N x A*D

Each number is read once and multiplied once, so reading is what takes a CPU's time, and torch.bmm has to read all rows
as far as the longest. torch.nn.functional.embedding_bag is made to sum scattered rows of a table. The values' sum is a
bag as it stands: T rows of D numbers, weighted by the probabilities. With keys stored by channel, 32 neighbouring
scores are one too: D rows of 32 numbers, weighted by the query. What lies behind a row's end is not read.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

# N rows, A query heads, H key-value heads, D size of a head, T columns of the store, W those that a block looks at

CHUNK = 32
"""Scores that are one bag: a cache line or two of keys."""


@dataclass(frozen=True)
class Reach:
    """Which numbers of the store N rows look at. `hidden_N1W` is added to scores: minus infinity behind a row's end."""

    hidden_N1W: Tensor
    key_rows: Tensor
    value_rows: Tensor


def reach_of(
    lengths: Sequence[int], *, heads: int, key_heads: int, size: int, room: int, dtype: torch.dtype = torch.float32
) -> Reach:
    """The reach of rows of `lengths` tokens and one more, in a store `room` columns wide, a multiple of CHUNK."""
    lengths_N1 = torch.tensor(lengths, dtype=torch.int32)[:, None]
    chunks = max(lengths) // CHUNK + 1
    behind_NW = torch.arange(chunks * CHUNK, dtype=torch.int32) > lengths_N1
    head_A = torch.arange(heads, dtype=torch.int32) // (heads // key_heads)
    store_NA1 = (torch.arange(len(lengths), dtype=torch.int32)[:, None] * key_heads + head_A)[..., None]
    value_rows_NAW = store_NA1 * room + torch.arange(chunks * CHUNK, dtype=torch.int32)
    channel_D, chunk_C1 = torch.arange(size, dtype=torch.int32), torch.arange(chunks, dtype=torch.int32)[:, None]
    key_rows_NACD = (store_NA1 * (size * room // CHUNK))[..., None] + (channel_D * (room // CHUNK) + chunk_C1)
    hidden_NW = torch.zeros(behind_NW.shape, dtype=dtype).masked_fill_(behind_NW, -torch.inf)
    return Reach(
        hidden_NW[:, None],
        key_rows_NACD.masked_fill_((chunk_C1 * CHUNK > lengths_N1[:, :, None])[:, None], 0),
        value_rows_NAW.masked_fill_(behind_NW[:, None], 0),
    )


def attend(query_NAD: Tensor, keys_NHDT: Tensor, values_NHTD: Tensor, reach: Reach) -> Tensor:
    """Softmax of the scores times the values, N x A*D. Queries come scaled; the stores are contiguous."""
    count, heads, size = query_NAD.shape
    weights_NACD = query_NAD[:, :, None].expand(reach.key_rows.shape)
    scores_NAW = _sums(keys_NHDT.view(-1, CHUNK), reach.key_rows, weights_NACD).view(count, heads, -1)
    probabilities_NAW = scores_NAW.add_(reach.hidden_N1W).softmax(-1)
    return _sums(values_NHTD.view(-1, size), reach.value_rows, probabilities_NAW).view(count, heads * size)


def _sums(table_RD: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Along the last dimension of `rows`: the table's rows, weighted and summed. One sum of D numbers a bag."""
    starts = torch.arange(0, rows.numel(), rows.shape[-1], dtype=rows.dtype)
    return embedding_bag(rows.view(-1), table_RD, starts, mode="sum", per_sample_weights=weights.reshape(-1))
