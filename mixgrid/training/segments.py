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
    """`segments` x `width` places from place `start` on."""

    start: int
    segments: int
    width: int


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


def group_segments(lengths: Sequence[int], *, spare: int = 0) -> Segments:
    """Group the segments of a row, given their lengths in order, and how many spare tokens follow them."""
    lengths_S = np.asarray(lengths, dtype=np.int64)
    bounds = np.concatenate([[0], np.cumsum(lengths_S)])
    dense = len(set(lengths)) == 1 and not spare
    groups, gather, scatter_T, start = [], [], np.empty(bounds[-1] + spare, dtype=np.int64), 0
    for members in [np.arange(len(lengths))] if dense else _alike(lengths_S):
        width = int(lengths_S[members].max())
        columns_L = np.arange(width)
        tokens_SL = bounds[members][:, None] + columns_L
        real_SL = columns_L < lengths_S[members][:, None]
        scatter_T[tokens_SL[real_SL]] = start + np.flatnonzero(real_SL)
        gather.append(np.where(real_SL, tokens_SL, 0).ravel())
        groups.append(Group(start, len(members), width))
        start += len(members) * width
    if spare:
        gather.append(bounds[-1:])
        scatter_T[bounds[-1] :] = start
    return Segments(
        lengths=tuple(map(int, lengths)),
        groups=tuple(groups),
        gather_P=torch.from_numpy(np.concatenate(gather)),
        scatter_T=torch.from_numpy(scatter_T),
        bounds=torch.from_numpy(bounds.astype(np.int32)),
        dense=dense,
        spare=spare,
    )


def _alike(lengths_S: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    """The numbers of the segments, in groups of like length, shortest first."""
    groups: list[list[int]] = []
    for index in np.argsort(lengths_S, kind="stable").tolist():
        if groups and lengths_S[index] <= lengths_S[groups[-1][0]] * _SLACK + _SLACK_TOKENS:
            groups[-1].append(index)
        else:
            groups.append([index])
    return [np.array(group) for group in groups]
