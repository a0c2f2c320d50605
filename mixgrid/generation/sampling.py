"""The next token of each row of a batch: the likeliest, or a draw that is the row's own.

A row's draws are numbers from a generator with its prompt's seed, one a token; the number falls into the cumulative
distribution. So a draw depends on neither the rows beside it nor the place in the batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

# N rows, V vocabulary


def draws(seed: int, count: int) -> list[float]:
    """`count` numbers in [0, 1), the same for a seed."""
    generator = torch.Generator().manual_seed(seed)
    numbers: list[float] = torch.rand(count, dtype=torch.float64, generator=generator).tolist()
    return numbers


def next_tokens(logits_NV: Tensor, *, temperatures: Sequence[float], numbers: Sequence[float]) -> Tensor:
    """A token a row; `numbers` are the rows' draws and count where the temperature is above 0."""
    likeliest_N = logits_NV.argmax(-1)
    if not any(temperatures):
        return likeliest_N
    temperatures_N1, numbers_N1 = (
        torch.tensor(part, dtype=torch.float64, device=logits_NV.device)[:, None] for part in (temperatures, numbers)
    )
    warm_N1 = temperatures_N1 > 0
    scaled_NV = logits_NV.double() / temperatures_N1.where(warm_N1, temperatures_N1.new_ones(()))
    cumulative_NV = scaled_NV.softmax(-1).cumsum(-1)
    drawn_N1 = torch.searchsorted(cumulative_NV, numbers_N1 * cumulative_NV[:, -1:], right=True)
    drawn_N1 = drawn_N1.clamp(max=logits_NV.shape[1] - 1)  # a number that the product rounded up to the whole
    return torch.where(warm_N1, drawn_N1, likeliest_N[:, None])[:, 0]
