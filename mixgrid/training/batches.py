"""Global batches as flattened rows: how the examples of one optimiser step lie in memory.

    flatten([(tokens, mask), ...], max_row_tokens=512)
        -> rows of tokens 1 x T, positions 1 x T, the places whose logits are needed, the tokens they should give, and
           each one's weight in the loss of the step

How a batch is cut into rows, and shared out among processes, is a matter of memory and speed: the loss of a step is one
weighted sum over the response tokens of its whole batch, and the weights do not depend on the cut.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mixgrid.tokens import Arrays
from mixgrid.training.segments import Segments, group_segments

Average = Literal["token", "example"]


@dataclass(frozen=True)
class Row:
    """Some examples of one global batch, end to end. `places_N` are the tokens whose logits predict `targets_N`."""

    tokens_1T: Tensor
    positions_1T: Tensor
    segments: Segments
    places_N: Tensor
    targets_N: Tensor
    weights_N: Tensor

    def to(self, device: Any) -> "Row":
        """The row with its tensors on `device`."""
        if torch.device(device).type == "cpu":
            return self
        names = ("tokens_1T", "positions_1T", "places_N", "targets_N", "weights_N")
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in names}
        return replace(self, segments=self.segments.to(device), **moved)


@dataclass(frozen=True)
class Weighted:
    """An example with a response of `targets` tokens, and the weight of each of them in the loss of its batch."""

    arrays: Arrays
    weight: float
    targets: int

    @property
    def length(self) -> int:
        """Tokens, prompt and response."""
        return len(self.arrays[0])


def weigh(examples: Sequence[Arrays], *, average: Average = "token") -> list[Weighted]:
    """The examples of a global batch that have a response, weighted so that the batch's loss is a mean.

    `token`: over all response tokens of the batch. `example`: over examples, each a mean over its own response tokens.
    An example without a response token weighs nothing and is left out.
    """
    counts = [int(np.count_nonzero(mask[1:])) for _, mask in examples]
    total = sum(counts) if average == "token" else sum(count > 0 for count in counts)
    return [
        Weighted(arrays, 1 / total if average == "token" else 1 / (total * count), count)
        for arrays, count in zip(examples, counts, strict=True)
        if count
    ]


@dataclass(frozen=True)
class Prepared:
    """A global batch, and this process's rows of it at `row_tokens`."""

    batch: Sequence[Weighted]
    rows: Sequence[Row]
    row_tokens: int

    @property
    def longest(self) -> int:
        """Tokens of the longest example."""
        return max(e.length for e in self.batch)


def share_out(lengths: Sequence[int], *, processes: int) -> list[list[int]]:
    """Which examples each process computes: longest first to the one with the fewest tokens; each keeps the order."""
    shares: list[list[int]] = [[] for _ in range(processes)]
    loads = [0] * processes
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        least = loads.index(min(loads))
        shares[least].append(index)
        loads[least] += lengths[index]
    return [sorted(share) for share in shares]


def cut(lengths: Sequence[int], *, max_row_tokens: int) -> list[list[int]]:
    """The numbers of the examples of each row, in order: as many as fit, at least one."""
    rows: list[list[int]] = []
    size = 0
    for index, length in enumerate(lengths):
        if rows and size + length <= max_row_tokens:
            rows[-1].append(index)
            size += length
        else:
            rows.append([index])
            size = length
    return rows


def flatten(examples: Sequence[Arrays], *, max_row_tokens: int, average: Average = "token") -> list[Row]:
    """A whole global batch as rows for one process."""
    return rows_of(weigh(examples, average=average), max_row_tokens=max_row_tokens)


def rows_of(examples: Sequence[Weighted], *, max_row_tokens: int, multiple: int = 1) -> list[Row]:
    """The examples in their order, as many a row as fit; `multiple` as `row_of` takes it."""
    cuts = cut([e.length for e in examples], max_row_tokens=max_row_tokens)
    return [row_of([examples[i] for i in numbers], multiple=multiple) for numbers in cuts]


def row_of(examples: Sequence[Weighted], *, multiple: int = 1) -> Row:
    """Examples end to end.

    Unless they are all equally long, spare tokens that weigh nothing make T and N multiples of `multiple`, so that
    fewer shapes occur; the spare places are at the last token.
    """
    lengths = [e.length for e in examples]
    tokens_T = np.concatenate([e.arrays[0] for e in examples], dtype=np.int64)
    mask_T = np.concatenate([e.arrays[1] for e in examples])
    starts = np.cumsum([0, *lengths[:-1]])
    mask_T[starts] = False  # nothing predicts an example's first token
    targets_at = np.flatnonzero(mask_T)
    targets = [e.targets for e in examples]
    weights_N = np.repeat([e.weight for e in examples], targets)
    firsts = targets_at[np.cumsum([0, *targets[:-1]])] - 1 - starts
    spare, spare_places = 0, 0
    if multiple > 1 and len(set(lengths)) > 1:
        spare = multiple - len(tokens_T) % multiple  # one at least, for the places
        spare_places = -len(targets_at) % multiple
    end = len(tokens_T) + spare
    return Row(
        tokens_1T=torch.from_numpy(_filled(tokens_T, 0, spare))[None],
        positions_1T=torch.from_numpy(_filled(np.arange(len(tokens_T)) - np.repeat(starts, lengths), 0, spare))[None],
        segments=group_segments(lengths, needed=firsts.tolist(), spare=spare),
        places_N=torch.from_numpy(_filled(targets_at - 1, end - 1, spare_places)),
        targets_N=torch.from_numpy(_filled(tokens_T[targets_at], 0, spare_places)),
        weights_N=torch.from_numpy(_filled(weights_N, 0.0, spare_places)),
    )


def _filled(array: NDArray[Any], value: float, count: int) -> NDArray[Any]:
    return np.append(array, np.full(count, value, dtype=array.dtype)) if count else array


def empty_row() -> Row:
    """A row that weighs nothing: processes that move in step need equally many."""
    nothing = (np.zeros(2, dtype=np.int32), np.array([False, True]))
    return row_of([Weighted(nothing, 0.0, 1)])
