"""Which rows of its data a benchmark asks.

asked_rows(1319, 50)  -> 50 row numbers, a prefix of one permutation: 50 items lie inside 100
"""

from collections.abc import Sequence

from mixgrid.artifact import Artifact
from mixgrid.conversations import Conversation, read_conversations


def read_items(data: Artifact) -> Sequence[Conversation]:
    """The held-out rows of a download where it has some, else all of its rows."""
    part = "held_out" if data.ledger["held_out"] else "rows"
    return read_conversations(data.path(f"{part}.parquet"))


def asked_rows(total: int, items: int | None) -> list[int]:
    """Row numbers in ascending order; all of them unless `items` asks for fewer. Always the same ones."""
    import numpy as np

    if items is None or items >= total:
        return list(range(total))
    return sorted(int(i) for i in np.random.Generator(np.random.PCG64(0)).permutation(total)[:items])
