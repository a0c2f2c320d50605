"""Tokenised examples on disk: three arrays a part, mapped when read.

tokens  [5, 9, 2, 7, 7, 2]     mask  [0, 1, 1, 0, 1, 1]     offsets  [0, 3, 6]     -> 2 examples of 3 tokens
"""

from collections.abc import Iterable, Sequence
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

    def __len__(self) -> int:
        return len(self.row_of)

    def __getitem__(self, index: int) -> Arrays:
        """Tokens and mask of one example."""
        return self.sources[int(self.source_of[index])][int(self.row_of[index])]


def write_examples(folder: Path, part: str, examples: Iterable[Example]) -> dict[str, Any]:
    """Write one part's arrays; return its ledger, with names prefixed for the held-out part."""
    kept = list(examples)
    lengths = [len(e.tokens) for e in kept]
    np.save(folder / f"{part}.tokens.npy", np.concatenate([e.tokens for e in kept] or [np.zeros(0, np.int32)]))
    np.save(folder / f"{part}.mask.npy", np.concatenate([e.mask for e in kept] or [np.zeros(0, bool)]))
    np.save(folder / f"{part}.offsets.npy", np.cumsum([0, *lengths], dtype=np.int64))
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
    tokens, mask, offsets = (
        np.load(artifact.path(f"{part}.{name}.npy"), mmap_mode="r") for name in ("tokens", "mask", "offsets")
    )
    return Examples(tokens, mask, offsets)
