"""The queries that checkpoints are looked at with: some of each source, whatever the order of its file.

    choose_queries(<a download's artifact>, 100)  ->  Queries(part="held_out", of=148, chosen=[Query(...), ...])

A query is a conversation up to its first user turn. Taken are those whose text has the smallest SHA-256, a text once,
as `download` chooses what it holds out: from the held-out rows where the source keeps any, else the training rows.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from mixgrid.artifact import Artifact
from mixgrid.conversations import Message, read_conversations
from mixgrid.errors import StepError


@dataclass(frozen=True)
class Query:
    """`item` is the row of the part it comes from; `messages` end with the user's turn."""

    item: int
    messages: tuple[Message, ...]

    @property
    def text(self) -> str:
        """The user's turn."""
        return self.messages[-1].content


@dataclass(frozen=True, kw_only=True)
class Queries:
    """What was chosen of a source's `part`, which has `of` different queries."""

    part: str
    of: int
    chosen: Sequence[Query]


def choose_queries(download: Artifact, samples: int) -> Queries:
    """At most so many queries of a source. Raises StepError where it has fewer than two."""
    part = "held_out" if download.record.ledger["held_out"] else "rows"
    different: dict[str, Query] = {}
    for item, conversation in enumerate(read_conversations(download.path(f"{part}.parquet"))):
        turn = next(i for i, message in enumerate(conversation.messages) if message.role == "user")
        query = Query(item, conversation.messages[: turn + 1])
        different.setdefault(hashlib.sha256(query.text.encode()).hexdigest(), query)
    if len(different) < 2:
        raise StepError(
            f"source {download.record.label}: its part {part} has {len(different)} different queries; hidden states "
            "need two or more of each source; leave `hidden_states` out, or hold out more"
        )
    chosen = [different[name] for name in sorted(different)[:samples]]
    return Queries(part=part, of=len(different), chosen=chosen)
