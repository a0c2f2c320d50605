"""Attention of one query a row: equal to torch's own over each row's tokens, whatever lies behind their end."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from mixgrid.generation.row_attention import CHUNK, attend, reach_of


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(0, 3 * CHUNK), min_size=1, max_size=5),
    heads=st.sampled_from([(1, 1), (4, 4), (4, 2), (6, 1)]),
    size=st.sampled_from([2, 20, 32]),
    spare=st.integers(0, 2),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_each_row_attends_to_its_tokens(
    lengths: list[int], heads: tuple[int, int], size: int, spare: int, dtype: torch.dtype
) -> None:
    queries, key_heads = heads
    room = (max(lengths) // CHUNK + 1 + spare) * CHUNK
    random = torch.Generator().manual_seed(len(lengths) * size)
    query_NAD = torch.randn(len(lengths), queries, size, generator=random, dtype=dtype)
    keys_NHTD, values_NHTD = torch.randn(2, len(lengths), key_heads, room, size, generator=random, dtype=dtype)
    expected = torch.stack([
        scaled_dot_product_attention(
            query_AD[:, None], keys_HTD[:, : length + 1], values_HTD[:, : length + 1], scale=1.0, enable_gqa=True
        ).flatten()
        for query_AD, keys_HTD, values_HTD, length in zip(query_NAD, keys_NHTD, values_NHTD, lengths, strict=True)
    ])  # fmt: skip
    for row, length in enumerate(lengths):
        values_NHTD[row, :, length + 1 :] = 1e6
    reach = reach_of(lengths, heads=queries, key_heads=key_heads, size=size, room=room, dtype=dtype)
    keys_NHDT = keys_NHTD.transpose(2, 3).contiguous()
    torch.testing.assert_close(attend(query_NAD, keys_NHDT, values_NHTD, reach), expected)
