"""Where the examples of a flattened row lie, and how attention groups them.

    row      [a0 a1 a2 b0 b1 c0 c1 c2]     T = 8 tokens, lengths (3, 2, 3)
    groups   [[b0 b1]], [[a0 a1 a2], [c0 c1 c2]]          S x L places each, P = 8 places in all
    gather   place -> token of the row     scatter   token of the row -> place

Segments of like length share a group, so that little is computed for nothing. Filled-up places come after the real
ones, where causal attention never looks, and their results are dropped: no mask is needed but the causal one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

_SLACK = 1.2
_SLACK_TOKENS = 8
"""A group's longest segment is at most this much longer than its shortest: 1.2 times and 8 tokens."""


@dataclass(frozen=True)
class Group:
    """`segments` x `width` places from place `start` on. No segment's loss needs a result before its place `needed`."""

    start: int
    segments: int
    width: int
    needed: int


@dataclass(frozen=True)
class Segments:
    """The layout of one row. `dense`: places are tokens, so nothing has to be gathered.

    Spare tokens behind the last segment have one place together, behind the groups': they attend to nothing.
    """

    lengths: tuple[int, ...]
    groups: tuple[Group, ...]
    gather_P: Tensor
    scatter_T: Tensor
    bounds: Tensor
    dense: bool
    spare: int = 0

    @property
    def longest(self) -> int:
        """Tokens of the longest segment."""
        return max(self.lengths)

    def to(self, device: Any) -> "Segments":
        """The same with its tensors on `device`."""
        names = ("gather_P", "scatter_T", "bounds")
        return replace(self, **{name: getattr(self, name).to(device, non_blocking=True) for name in names})


def group_segments(lengths: Sequence[int], *, needed: Sequence[int] | None = None, spare: int = 0) -> Segments:
    """Group the segments of a row, given their lengths in order, and how many spare tokens follow them.

    `needed` is the first place of each segment whose result its loss needs: all of it by default.
    """
    tokens = sum(lengths)
    dense = len(set(lengths)) == 1 and not spare
    first_places, groups, start = np.empty(len(lengths), dtype=np.int64), [], 0
    for members in [list(range(len(lengths)))] if dense else _alike(lengths):
        width = lengths[members[-1]]
        groups.append(Group(start, len(members), width, min(needed[i] for i in members) if needed else 0))
        for member in members:
            first_places[member] = start
            start += width
    bounds = np.cumsum([0, *lengths], dtype=np.int32)
    tokens_T = np.arange(tokens + spare)
    scatter_T = np.full(tokens + spare, start)
    scatter_T[:tokens] = tokens_T[:tokens] + np.repeat(first_places - bounds[:-1], lengths)
    gather_P = np.zeros(start + bool(spare), dtype=np.int64)
    gather_P[scatter_T[::-1]] = tokens_T[::-1]
    return Segments(
        lengths=tuple(lengths),
        groups=tuple(groups),
        gather_P=torch.from_numpy(gather_P),
        scatter_T=torch.from_numpy(scatter_T),
        bounds=torch.from_numpy(bounds),
        dense=dense,
        spare=spare,
    )


def _alike(lengths: Sequence[int]) -> list[list[int]]:
    """The numbers of the segments, in groups of like length, shortest first."""
    groups: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if groups and lengths[index] <= lengths[groups[-1][0]] * _SLACK + _SLACK_TOKENS:
            groups[-1].append(index)
        else:
            groups.append([index])
    return groups
