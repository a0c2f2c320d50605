"""Local copies of a remote store's files, by content, so that a machine fetches the same base model once.

    cache = LocalCache(Path("~/.cache/mixgrid"), limit=100 * 2**30)
    cache.path(record, "model.safetensors", fetch)   -> .../artifacts/base/llama-0123.../attempt-5f2e/model.safetensors
    cache.release()                                  # this step is done: what it used may go when room is needed

    blobs/3f/3fa9...     a file under its SHA-256, checked before it got the name
    artifacts/.../       hard links to blobs under the files' own names, and a `.lock` a process holds while it reads
    attempts/...         what is being made here for a remote store, with a `.lock` as well

Least recently used artifacts go first, and never one that a process reads. Killed at any moment, a process leaves a
part of a file that the next prune takes away, and locks that the system has let go of.
"""

import glob
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mixgrid.errors import InputError, StoreError
from mixgrid.file_lock import Lock, hold
from mixgrid.record import FileEntry, Record

DEFAULT_SIZE = "100GB"
UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


class LocalCache:
    """Blobs and the artifacts that link to them, in one folder for all stores and processes of a user."""

    def __init__(self, folder: Path, *, limit: int) -> None:
        self.folder, self.limit = folder, limit
        self._held: dict[Path, Lock] = {}
        self._unseen = limit

    @classmethod
    def from_environment(cls) -> "LocalCache":
        """MIXGRID_CACHE (else `mixgrid` in XDG_CACHE_HOME, else ~/.cache/mixgrid) and MIXGRID_CACHE_SIZE."""
        home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
        folder = os.environ.get("MIXGRID_CACHE") or f"{home}/mixgrid"
        return cls(Path(folder).expanduser().absolute(), limit=_bytes(os.environ.get("MIXGRID_CACHE_SIZE")))

    def path(self, record: Record, name: str, fetch: Callable[[Path], None]) -> Path:
        """The file's local path, in use until `release`; `fetch` writes it where it is not here yet.

        What `fetch` brought is kept only if it is what the record says; otherwise the path does not exist.
        """
        entry, folder = record.files[name], self._folder_of(record)
        with self._errors():
            self._use(folder)
            path = folder / name
            if path.exists():
                return path
            self._make_room(entry.size)
            with self._blob(entry) as blob:
                if not blob.exists():
                    _fetch_checked(fetch, blob, entry)
                if blob.exists():
                    _link(blob, path)
        return path

    def forget(self, record: Record, name: str) -> None:
        """The local copy, and it alone, went bad."""
        with self._errors(), self._blob(record.files[name]) as blob:
            blob.unlink(missing_ok=True)
            (self._folder_of(record) / name).unlink(missing_ok=True)

    @contextmanager
    def attempt(self, name: str) -> Iterator[Path]:
        """An empty folder to make an artifact in, on the cache's disk; gone afterwards, also after a kill."""
        folder = self.folder / "attempts" / name
        with self._errors():
            self._make_room(0)
            lock = hold(_lock_of(folder))
            folder.mkdir(parents=True)
        assert lock is not None
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            _lock_of(folder).unlink(missing_ok=True)
            lock.close()

    def adopt(self, record: Record, made: Path) -> None:
        """Keep what was just made and sent: the next step here may need it. Not if it is a quarter of all room."""
        if sum(entry.size for entry in record.files.values()) > self.limit // 4:
            return
        with self._errors():
            self._use(self._folder_of(record))
            for name, entry in record.files.items():
                with self._blob(entry) as blob:
                    if not blob.exists():
                        (made / name).rename(blob)
                    _link(blob, self._folder_of(record) / name)

    def release(self) -> None:
        """This process reads none of it any more."""
        while self._held:
            self._held.popitem()[1].close()

    def prune(self, *, room: int = 0) -> None:
        """Remove what nobody needs to go on, then the least recently used artifacts, until `room` fits the limit."""
        with self._errors():
            for lock in self._paths("attempts/*.lock"):
                _remove_unused(lock)
            sizes = self._blob_sizes()
            left = sum(sizes.values()) - self._allowed(sum(sizes.values())) + room
            for lock in sorted(self._paths("artifacts/*/*/*.lock"), key=_last_use):
                if left <= 0:
                    return
                if _remove_unused(lock):
                    left -= self._drop_unlinked(sizes)

    def _paths(self, pattern: str) -> list[Path]:
        """As Path.glob, which raises when a folder goes meanwhile."""
        return [self.folder / name for name in glob.glob(pattern, root_dir=self.folder)]  # noqa: PTH207

    def _use(self, folder: Path) -> None:
        """Hold the artifact's lock from the first file on, and note that it is in use."""
        if folder not in self._held:
            lock = hold(_lock_of(folder), shared=True)
            assert lock is not None
            self._held[folder] = lock
        os.utime(_lock_of(folder))

    def _make_room(self, size: int) -> None:
        """Prune before a fiftieth of the limit has come since the last time: a look at all blobs takes milliseconds."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._unseen += size
        if self._unseen > self.limit // 50:
            self.prune(room=size)
            self._unseen = size

    def _allowed(self, used: int) -> int:
        """The limit, or less on a disk that is nearly full: never more than half of what is free."""
        return min(self.limit, used + shutil.disk_usage(self.folder).free // 2)

    def _blob_sizes(self) -> dict[Path, int]:
        sizes = {}
        for path in self._paths("blobs/*/*"):
            if (size := _size(path)) is not None:
                sizes[path] = size
        self._drop_unlinked(sizes)
        return sizes

    def _drop_unlinked(self, sizes: dict[Path, int]) -> int:
        """Remove blobs (and parts of blobs) that no artifact links to and nobody is fetching; returns their bytes."""
        gone = 0
        for path in list(sizes):
            if _links(path) != 1:
                continue
            lock = hold(self._blob_lock(path.stem), wait=False)
            if lock is None:
                continue
            if _links(path) == 1:
                path.unlink()
                gone += sizes.pop(path)
            lock.close()
        return gone

    @contextmanager
    def _blob(self, entry: FileEntry) -> Iterator[Path]:
        """The file's place among the blobs, for this process alone."""
        lock = hold(self._blob_lock(entry.sha256))
        assert lock is not None
        with lock:
            blob = self.folder / "blobs" / entry.sha256[:2] / entry.sha256
            blob.parent.mkdir(exist_ok=True)
            yield blob

    def _blob_lock(self, sha256: str) -> Path:
        """A few for all: they stay, and small files come by the thousand."""
        return self.folder / "blobs" / f"{sha256[:3]}.lock"

    def _folder_of(self, record: Record) -> Path:
        return self.folder / "artifacts" / record.folder / record.attempt

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StoreError(
                f"cache {self.folder}: {error}; free space, or set MIXGRID_CACHE to a folder on a disk of this machine"
            ) from error


def _fetch_checked(fetch: Callable[[Path], None], blob: Path, entry: FileEntry) -> None:
    part = blob.with_suffix(".part")
    part.unlink(missing_ok=True)
    try:
        fetch(part)
        with part.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256:
                part.rename(blob)
    finally:
        part.unlink(missing_ok=True)


def _link(blob: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.hardlink_to(blob)


def _remove_unused(lock: Path) -> bool:
    """Remove a folder and its lock file unless a process holds it."""
    held = hold(lock, wait=False)
    if held is None:
        return False
    with held:
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink(missing_ok=True)
    with suppress(OSError):
        lock.parent.rmdir()
    return True


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


def _last_use(lock: Path) -> float:
    try:
        return lock.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _links(path: Path) -> int:
    try:
        return path.stat().st_nlink
    except FileNotFoundError:
        return 0


def _bytes(text: str | None) -> int:
    """`50GB`, `1.5 TB`, or a plain number of bytes."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([KMGT]B)?\s*", (text or DEFAULT_SIZE).upper())
    if found is None:
        raise InputError(f"MIXGRID_CACHE_SIZE: {text!r} is no size; give one such as 50GB")
    return int(float(found[1]) * UNITS[found[2] or ""])
