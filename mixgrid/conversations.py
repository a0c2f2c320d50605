"""The normal form of every example: a conversation, stored as Parquet.

    Conversation(messages=(Message("user", "1 + 1?"), Message("assistant", "#### 2")), origin=0)

`origin` is the row's number, from 0, in the files it was read from. A conversation alternates user and assistant
turns, may open with one system message, and ends with an assistant turn: readers reject or trim what does not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True)
class Message:
    """One turn."""

    role: Role
    content: str


@dataclass(frozen=True)
class Conversation:
    """Alternating turns that end with the assistant's; `origin` is the row number in the source."""

    messages: tuple[Message, ...]
    origin: int = 0

    @property
    def prompt(self) -> str:
        """The first user turn."""
        return next(message.content for message in self.messages if message.role == "user")

    @property
    def response(self) -> str:
        """The last assistant turn."""
        return self.messages[-1].content


def exchange(prompt: str, response: str, *, origin: int = 0) -> Conversation:
    """A conversation of one user turn and one answer."""
    return Conversation((Message("user", prompt), Message("assistant", response)), origin)


def write_conversations(path: Path, conversations: Iterable[Conversation]) -> int:
    """Write Parquet with the columns `origin` and `messages` (role, content); return the number of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [
        {"origin": c.origin, "messages": [{"role": m.role, "content": m.content} for m in c.messages]}
        for c in conversations
    ]
    message = pa.struct([("role", pa.string()), ("content", pa.string())])
    schema = pa.schema([("origin", pa.int64()), ("messages", pa.list_(message))])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return len(rows)


def read_conversations(path: Path) -> Sequence[Conversation]:
    """Read what `write_conversations` wrote, in the same order."""
    import pyarrow.parquet as pq

    return [
        Conversation(tuple(Message(m["role"], m["content"]) for m in row["messages"]), row["origin"])
        for row in pq.read_table(path).to_pylist()
    ]
