"""Global batches as flattened rows: which examples a step sees, and how they lie in memory.

    example_order(6, seed=0, epoch=0) -> [3 2 5 4 0 1]      batches of 4: [3 2 5 4], [0 1]
    flatten([(tokens, mask), ...], max_row_tokens=16384)
        -> rows of tokens 1 x T, positions 1 x T, the places whose logits are needed and the tokens they should give

The order is a function of (number of examples, training seed, epoch) and of nothing else. How a batch is cut into rows
is a matter of memory: the loss is a sum over all of its rows, divided by the response tokens of the whole batch.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixgrid.tokens import Arrays
from mixgrid.training.attention import Segments, group_segments


@dataclass(frozen=True)
class Row:
    """Some examples of one global batch, end to end. `places_N` are the tokens whose logits predict `targets_N`."""

    tokens_1T: Tensor
    positions_1T: Tensor
    segments: Segments
    places_N: Tensor
    targets_N: Tensor


def example_order(examples: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """The order of one epoch: a permutation that depends on these three numbers alone."""
    return np.random.Generator(np.random.PCG64([seed, epoch])).permutation(examples)


def epoch_batches(examples: int, *, batch_size: int, seed: int, epoch: int) -> Iterator[NDArray[np.int64]]:
    """The example numbers of each global batch of an epoch; the last one may be smaller."""
    order = example_order(examples, seed=seed, epoch=epoch)
    for start in range(0, examples, batch_size):
        yield order[start : start + batch_size]


def flatten(examples: Sequence[Arrays], *, max_row_tokens: int) -> list[Row]:
    """Lay examples into rows of at most `max_row_tokens` tokens (one longer example has a row of its own).

    Examples without a response token weigh nothing in the loss and are not computed.
    """
    rows: list[list[Arrays]] = [[]]
    size = 0
    for tokens, mask in examples:
        if not mask[1:].any():
            continue
        if rows[-1] and size + len(tokens) > max_row_tokens:
            rows.append([])
            size = 0
        rows[-1].append((tokens, mask))
        size += len(tokens)
    return [_row(row) for row in rows if row]


def _row(examples: Sequence[Arrays]) -> Row:
    lengths = [len(tokens) for tokens, _ in examples]
    tokens = torch.from_numpy(np.concatenate([t for t, _ in examples]).astype(np.int64))
    mask = np.concatenate([np.concatenate([[False], m[1:]]) for _, m in examples])
    targets_at = torch.from_numpy(np.flatnonzero(mask))
    return Row(
        tokens_1T=tokens[None],
        positions_1T=torch.cat([torch.arange(length) for length in lengths])[None],
        segments=group_segments(lengths),
        places_N=targets_at - 1,
        targets_N=tokens[targets_at],
    )
