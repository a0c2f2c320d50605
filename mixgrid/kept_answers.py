"""Answers kept while a checkpoint is still answering, so that a killed evaluation goes on at the sample.

    kept = KeptAnswers(store, answering=key)
    kept.found[7, 0]       -> Answer(text="#### 2", ...), of item 7, turn 0, from a run that was killed
    with kept:
        kept.add(8, 0, answer)    # written within a few seconds, with those that came meanwhile
    kept.clear()              # once all of them are an artifact

    answering/0123456789abcdef/<random name>.jsonl       {"item": 8, "turn": 0, "text": "...", ...} a line

A part that cannot be read counts as not there. Two machines that answer at once write parts of different names.
"""

import json
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from typing import Self

from mixgrid.generation import Answer
from mixgrid.store import Store

FOLDER = "answering"
LOCAL_S, REMOTE_S = 1.0, 15.0
"""How long an answer waits for others before it is written: an object a second is much for an object store."""

Place = tuple[int, int]


class KeptAnswers:
    """The parts of one answer step. `found` is what earlier runs left, by (item, turn)."""

    def __init__(self, store: Store, *, answering: str) -> None:
        self._store, self._folder = store, f"{FOLDER}/{answering[:16]}"
        self._every = LOCAL_S if store.is_local else REMOTE_S
        self._waiting: list[str] = []
        self._written = time.monotonic()
        self.found: dict[Place, Answer] = dict(self._read())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """What ends the answering, such as a server that fails or Ctrl-C, costs none that came before it."""
        if kind is not None:
            self.flush()

    def add(self, item: int, turn: int, answer: Answer) -> None:
        """Keep one more."""
        self._waiting.append(json.dumps({"item": item, "turn": turn} | asdict(answer)))
        if time.monotonic() - self._written > self._every:
            self.flush()

    def flush(self) -> None:
        """Write those that wait."""
        if self._waiting:
            text = "\n".join(self._waiting) + "\n"
            self._store.write_atomically(f"{self._folder}/{uuid.uuid4().hex[:12]}.jsonl", text.encode())
        self._waiting.clear()
        self._written = time.monotonic()

    def clear(self) -> None:
        """Remove all parts."""
        self._store.remove_folder(self._folder)

    def _read(self) -> Iterator[tuple[Place, Answer]]:
        for name in self._store.names(self._folder):
            data = self._store.read_bytes(f"{self._folder}/{name}") if name.endswith(".jsonl") else None
            try:
                rows = [json.loads(line) for line in (data or b"").splitlines()]
                yield from [((row.pop("item"), row.pop("turn")), Answer(**row)) for row in rows]
            except (ValueError, TypeError, KeyError):
                self._store.warn(
                    f"{self._store.location(self._folder)}/{name}: is damaged; these answers are made again"
                )
