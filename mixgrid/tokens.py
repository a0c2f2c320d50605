"""Tokenised examples on disk: four arrays a part, mapped when read.

tokens  [5, 9, 2, 7, 7, 2]     mask  [0, 1, 1, 0, 1, 1]     offsets  [0, 3, 6]     -> 2 examples of 3 tokens
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixgrid.artifact import Artifact
from mixgrid.templates import Example

Arrays = tuple[NDArray[np.int32], NDArray[np.bool_]]


@dataclass(frozen=True)
class Examples:
    """Random access to one source's examples."""

    tokens: NDArray[np.int32]
    mask: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    truncated: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Arrays:
        """Tokens and mask of one example."""
        span = slice(int(self.offsets[index]), int(self.offsets[index + 1]))
        return self.tokens[span], self.mask[span]


@dataclass(frozen=True)
class MixedExamples:
    """A mixture's examples in canonical order, taken from its sources."""

    sources: Sequence[Examples]
    source_of: NDArray[np.int16]
    row_of: NDArray[np.int64]

    @classmethod
    def in_memory(cls, examples: Sequence[Arrays]) -> "MixedExamples":
        """A mixture of examples that lie in no file, none of them cut."""
        offsets = np.cumsum([0, *(len(tokens) for tokens, _ in examples)], dtype=np.int64)
        tokens, mask = (np.concatenate([example[part] for example in examples]) for part in (0, 1))
        source = Examples(tokens.astype(np.int32), mask.astype(bool), offsets, np.zeros(len(examples), dtype=bool))
        return cls([source], np.zeros(len(examples), dtype=np.int16), np.arange(len(examples)))

    def __len__(self) -> int:
        return len(self.row_of)

    def __getitem__(self, index: int) -> Arrays:
        """Tokens and mask of one example."""
        return self.sources[int(self.source_of[index])][int(self.row_of[index])]

    @property
    def longest(self) -> int:
        """Tokens of the longest example."""
        return max(int(np.diff(source.offsets)[rows].max()) for source, rows in self._parts())

    def count_truncated(self) -> int:
        """How many examples were cut at the maximum length."""
        return sum(int(source.truncated[rows].sum()) for source, rows in self._parts())

    def count_fully_masked(self) -> int:
        """How many examples have no token that the loss is taken on."""
        return sum(not self[i][1][1:].any() for i in range(len(self)))

    def _parts(self) -> Iterator[tuple[Examples, NDArray[np.int64]]]:
        """Each source that the mixture takes rows of, with these rows."""
        for number, source in enumerate(self.sources):
            rows = self.row_of[self.source_of == number]
            if len(rows):
                yield source, rows


def write_examples(folder: Path, part: str, examples: Iterable[Example]) -> dict[str, Any]:
    """Write one part's arrays; return its ledger, with names prefixed for the held-out part."""
    kept = list(examples)
    lengths = [len(e.tokens) for e in kept]
    np.save(folder / f"{part}.tokens.npy", np.concatenate([e.tokens for e in kept] or [np.zeros(0, np.int32)]))
    np.save(folder / f"{part}.mask.npy", np.concatenate([e.mask for e in kept] or [np.zeros(0, bool)]))
    np.save(folder / f"{part}.offsets.npy", np.cumsum([0, *lengths], dtype=np.int64))
    np.save(folder / f"{part}.truncated.npy", np.array([e.truncated for e in kept], dtype=bool))
    figures = {
        "examples": len(kept),
        "tokens": sum(lengths),
        "response_tokens": int(sum(e.mask.sum() for e in kept)),
        "truncated": sum(e.truncated for e in kept),
        "fully_masked": sum(not e.mask[1:].any() for e in kept),
    }
    return figures if part == "rows" else {f"{part}_{name}": value for name, value in figures.items()}


def read_examples(artifact: Artifact, part: str) -> Examples:
    """One part of a tokenize step's arrays, mapped from disk."""
    names = ("tokens", "mask", "offsets", "truncated")
    # plain arrays over the mapping: numpy's memmap class makes each slice ten times as slow
    return Examples(*(np.asarray(np.load(artifact.path(f"{part}.{name}.npy"), mmap_mode="r")) for name in names))
