"""Keys and values of the prompts that are being answered: one row each, written in place, never concatenated.

    row 0   P P P P P n n .          P: a prompt's tokens, n: new ones; column j holds position j
    row 1   P P n n n n n n          a finished row's place is taken by the last one, new prompts come after it

Rows start at column 0 and end where they end, so no row is ever shifted and a row's columns are its positions.
Attention reads the columns up to the longest row and hides what lies behind the end of a shorter one.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

# N rows, H key-value heads, T columns, D size of a head

_GROWTH = 1.25
_COLUMNS = 64
"""The room is a multiple of it."""


class Slots:
    """Room for `rows` rows in each layer; it grows in columns. `lengths` says how far each row is filled.

    `keys` and `values` are N x H x T x D; with `keys_by_channel` a channel's keys are neighbours in memory.
    """

    def __init__(self, rows: int, *, keys_by_channel: bool = False) -> None:
        self._rows, self._keys_by_channel = rows, keys_by_channel
        self.keys: list[Tensor] = []
        self.values: list[Tensor] = []
        self.lengths: list[int] = []

    @property
    def width(self) -> int:
        """Columns that the rows need once each has one more token."""
        return max(self.lengths) + 1

    def fill(self, layer: int, keys_NHTD: Tensor, values_NHTD: Tensor) -> None:
        """Write whole rows behind the present ones; `admit` counts them once all layers are written."""
        first, (count, _, columns, _) = len(self.lengths), keys_NHTD.shape
        self.reserve(layer, columns, like=(keys_NHTD, values_NHTD))
        self.keys[layer][first : first + count, :, :columns] = keys_NHTD
        self.values[layer][first : first + count, :, :columns] = values_NHTD

    def admit(self, lengths: Sequence[int]) -> None:
        """New rows with so many tokens each."""
        self.lengths += lengths

    def add(self, layer: int, places: tuple[Tensor, Tensor], keys_NHD: Tensor, values_NHD: Tensor) -> None:
        """Write one more token a row. `places`: rows and their lengths; `advance` counts once all layers have it."""
        self.reserve(layer, self.width, like=(keys_NHD[:, :, None], values_NHD[:, :, None]))
        rows_N, lengths_N = places
        self.keys[layer][rows_N, :, lengths_N] = keys_NHD
        self.values[layer][rows_N, :, lengths_N] = values_NHD

    def advance(self) -> None:
        """Each row has one more token."""
        self.lengths = [length + 1 for length in self.lengths]

    def keep(self, rows: Sequence[int]) -> None:
        """Row i becomes what row rows[i] was; only rows that change place are copied."""
        for to, source in enumerate(rows):
            if to != source:
                length = self.lengths[source]
                for part in (*self.keys, *self.values):
                    part[to, :, :length] = part[source, :, :length]
        self.lengths = [self.lengths[row] for row in rows]

    def reserve(self, layer: int, columns: int, *, like: tuple[Tensor, Tensor]) -> None:
        """Make a layer at least so wide. Zeros, since a hidden NaN times a weight of 0 would still be NaN."""
        if layer == len(self.keys):
            self.keys.append(like[0].new_zeros(0))
            self.values.append(like[1].new_zeros(0))
        for parts, new_NHTD in ((self.keys, like[0]), (self.values, like[1])):
            old = parts[layer]
            if old.dim() == 1 or old.shape[2] < columns:
                _, heads, _, size = new_NHTD.shape
                wide = -(-int(columns * _GROWTH) // _COLUMNS) * _COLUMNS
                if self._keys_by_channel and parts is self.keys:
                    parts[layer] = new_NHTD.new_zeros(self._rows, heads, size, wide).transpose(2, 3)
                else:
                    parts[layer] = new_NHTD.new_zeros(self._rows, heads, wide, size)
                if old.dim() == 4:
                    parts[layer][:, :, : old.shape[2]] = old


def places(slots: Slots, device: torch.device) -> tuple[Tensor, Tensor]:
    """The number and the length of each row, where its next token is written."""
    lengths_N = torch.tensor(slots.lengths, device=device)
    return torch.arange(len(lengths_N), device=device), lengths_N


def by_tokens(prompts: Sequence[Sequence[int]], *, limit: int) -> Iterator[Sequence[Sequence[int]]]:
    """Neighbours, as many as make `limit` tokens when filled up to their longest; one at least."""
    start = 0
    for end in range(1, len(prompts) + 1):
        longest = max(map(len, prompts[start : end + 1]))
        if end == len(prompts) or longest * (end + 1 - start) > limit:
            yield prompts[start:end]
            start = end
