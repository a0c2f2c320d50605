"""Replies that were paid for, one file a request, in a folder or any fsspec URL.

    judge-cache/3f/3fa9...c1.json    {"request": {...}, "reply": {"text": "... Rating: [[7]]", "tokens": ...}}

The name is the SHA-256 of the whole request: model, messages, temperature, token limit and the number of the repeat.
The endpoint's address is no part of it: a judge is its model, not the port it is served on. So one name, one model.

In a folder, `<name>.part` is both the claim on a request and the file under construction: locked by who asks, renamed
when the reply is on the disk. A killed process leaves it unlocked, with a whole reply or none, and other processes wait
for the reply instead of paying for it again. Elsewhere an object is written whole, and two processes may ask the same
at the same time. A reply that was on its way when its process was killed is lost here; the request is sent with its
name as `Idempotency-Key`, so that an endpoint that knows the header gives the same reply again and bills it once.
"""

import asyncio
import fcntl
import hashlib
import os
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mixgrid.errors import StoreError
from mixgrid.identity import canonical_json
from mixgrid.judge.budget import Tokens
from mixgrid.store import Store

CACHE = "judge-cache"
"""The folder where none is named."""
_POLL_S = 0.05


class Request(BaseModel):
    """All that a reply depends on."""

    model_config = ConfigDict(frozen=True)

    model: str
    messages: tuple[dict[str, str], ...]
    temperature: float | None
    max_tokens: int
    repeat: int = 0

    @property
    def key(self) -> str:
        """SHA-256 in hexadecimal."""
        return hashlib.sha256(canonical_json(self.model_dump()).encode()).hexdigest()


class Reply(BaseModel):
    """What a judge said; `answered_at` is in seconds since 1970, and `tokens` is None where the endpoint tells none."""

    model_config = ConfigDict(frozen=True)

    text: str = Field(min_length=1)
    finish_reason: str | None
    tokens: Tokens | None
    answered_at: float


class _Entry(BaseModel):
    request: Request
    reply: Reply


Keep = Callable[[Reply], Awaitable[None]]
"""Puts a reply on the disk; it may be used once this returns."""


class Cache:
    """Requests and their replies. A file that is damaged, or of another request, counts as none."""

    def __init__(self, url: str) -> None:
        self._store = Store(url)
        self._here = defaultdict[str, asyncio.Lock](asyncio.Lock)

    def find(self, request: Request) -> Reply | None:
        """The reply kept for this request. Raises StoreError when the cache cannot be read."""
        data = self._store.read_bytes(_path(request.key))
        return _reply_in(data, request) if data is not None else None

    @asynccontextmanager
    async def claim(self, request: Request) -> AsyncIterator[Keep]:
        """While inside nobody else asks this request; look it up again first. Raises StoreError."""
        path = _path(request.key)
        async with self._here[request.key]:
            if not self._store.is_local:
                yield lambda reply: asyncio.to_thread(self._store.write_atomically, path, _entry(request, reply))
                return
            final = Path(self._store.root) / path
            with self._writing(path):
                file = await _lock(final, request)
            try:
                yield lambda reply: self._keep(file, final, _entry(request, reply))
            finally:
                if not file.closed:
                    if not os.fstat(file.fileno()).st_size:
                        final.with_suffix(".part").unlink(missing_ok=True)
                    file.close()

    async def _keep(self, file: IO[bytes], final: Path, data: bytes) -> None:
        with self._writing(final.name):
            file.write(data)
            file.flush()  # at once: from here on a kill loses nothing, and only a power cut could
            await asyncio.to_thread(_finish, file, final)

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"judge cache {self._store.url}: cannot write {name}: {error}") from error


async def _lock(final: Path, request: Request) -> IO[bytes]:
    """The empty `.part` file, locked; a whole reply that a killed process left in it is put in its place first."""
    part = final.with_suffix(".part")
    while True:
        part.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            mine = os.fstat(file.fileno()).st_ino == part.stat().st_ino
        except BlockingIOError:
            await asyncio.sleep(_POLL_S)
            mine = False
        except FileNotFoundError:  # renamed or removed by who held it
            mine = False
        if mine and _reply_in(part.read_bytes(), request):
            _finish(file, final)
        elif mine:
            file.truncate(0)
            return file
        file.close()


def _finish(file: IO[bytes], final: Path) -> None:
    os.fsync(file.fileno())
    final.with_suffix(".part").replace(final)
    file.close()
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _path(key: str) -> str:
    return f"{key[:2]}/{key}.json"


def _entry(request: Request, reply: Reply) -> bytes:
    return _Entry(request=request, reply=reply).model_dump_json().encode()


def _reply_in(data: bytes, request: Request) -> Reply | None:
    try:
        entry = _Entry.model_validate_json(data)
    except ValidationError:
        return None
    return entry.reply if entry.request == request else None
