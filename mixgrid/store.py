"""The store: what has been made, by key, in a local folder or any fsspec URL such as s3://bucket/study.

    store = Store("runs")
    store.find(step)                     -> Record, or None: not there, or damaged and therefore not used
    with store.attempt(step) as attempt: ...write files into attempt.folder...
        attempt.commit(ledger={"rows": 250})   -> Record; before this line nothing of the attempt counts
    store.open(record).path("rows.npy")  -> local path of a file whose SHA-256 has been checked

Each attempt writes a folder of its own; `record.json` comes last and names it. Killed at any moment, an attempt
leaves garbage, never a half-made artifact; two writers of one key leave one consistent artifact.
"""

import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from mixgrid.artifact import Artifact, file_entry
from mixgrid.errors import InputError, StoreError
from mixgrid.local_cache import LocalCache
from mixgrid.patience import Patience
from mixgrid.provenance import provenance
from mixgrid.record import Record
from mixgrid.step import StepLike
from mixgrid.transfer import abort, fetch, send, unfinished

RECORD = "record.json"
LOCK = ".lock"
"""On a local store: held in an artifact's folder by who makes it."""


class Stored(NamedTuple):
    """An object's size in bytes, and when it was written in seconds since 1970."""

    size: int
    modified: float


@dataclass
class Attempt:
    """One try at a step: files go into `folder`; `commit` makes them the artifact."""

    store: "Store"
    step: StepLike
    name: str
    folder: Path
    started: float = field(default_factory=time.monotonic)
    record: Record | None = None

    def commit(self, *, ledger: Mapping[str, Any]) -> Record:
        """Upload the files, then write the record that names them. The artifact exists from here on."""
        files = {p.relative_to(self.folder).as_posix(): p for p in sorted(self.folder.rglob("*")) if p.is_file()}
        entries = {name: file_entry(path) for name, path in files.items()}
        target = f"{self.step.folder}/{self.name}"
        if not self.store.is_local:
            for name, path in files.items():
                self.store.upload(path, f"{target}/{name}")
        self.record = Record(
            kind=self.step.kind, version=self.step.version, label=self.step.label, key=self.step.key, attempt=self.name,
            settings=self.step.identity, inputs=self.step.input_keys, files=entries, ledger=dict(ledger),
            provenance=provenance(seconds=round(time.monotonic() - self.started, 3)),
        )  # fmt: skip
        self.store.write_atomically(f"{self.step.folder}/{RECORD}", self.record.to_bytes())
        if self.store.cache is not None:
            self.store.cache.adopt(self.record, self.folder)
        return self.record


def _unheard(message: str) -> None:
    """Nobody listens to warnings."""


class Store:
    """Artifacts by key under `url`. Only "not found" is a miss: every other storage failure raises StoreError."""

    def __init__(self, url: str, *, warn: Callable[[str], None] = _unheard) -> None:
        """`warn` hears of artifacts that are damaged and will be made again."""
        import fsspec

        if "@" in url.partition("://")[2].partition("/")[0]:
            raise InputError("store: credentials do not belong into its address; give them as AWS_... variables")
        self.url = url
        self.warn = warn
        try:
            # no cache of listings: other processes write too
            self.fs, root = fsspec.core.url_to_fs(url, use_listings_cache=False, **_options(url))
        except (ImportError, ValueError, OSError) as error:
            raise InputError(f"store {url!r}: {error}; give a folder or an s3:// URL") from error
        self.root = str(root).rstrip("/")
        self.is_local = "file" in (self.fs.protocol if isinstance(self.fs.protocol, tuple) else (self.fs.protocol,))
        if self.is_local and Path(self.root).is_file():
            raise InputError(f"store {url!r}: is a file; give a folder or an s3:// URL")
        if hasattr(self.fs, "retries"):
            self.fs.retries = 1  # ours alone, so that an error can say how often and for how long
        self.cache = None if self.is_local else LocalCache.from_environment()
        self._insist = Patience(url, warn=warn).insist

    def location(self, path: str) -> str:
        """The full path or URL of something in the store, for people."""
        return str(self.fs.unstrip_protocol(f"{self.root}/{path}")) if not self.is_local else f"{self.root}/{path}"

    def find(self, step: StepLike) -> Record | None:
        """The step's record if its files are all there with the right sizes, else None."""
        return self.find_folder(step.folder, key=step.key)

    def find_folder(self, folder: str, *, key: str) -> Record | None:
        """As `find`, by folder and key."""
        data = self.read_bytes(f"{folder}/{RECORD}")
        if data is None:
            return None
        try:
            record = Record.from_bytes(data)
            problem = None if record.key == key else f"the record is of another key, {record.key[:16]}"
            problem = problem or self._missing_file(folder, record)
        except ValueError as error:
            problem = str(error)
        if problem:
            self.warn(f"{self.location(folder)}: {problem}; not used, and made again if needed")
            return None
        return record

    def _missing_file(self, folder: str, record: Record) -> str | None:
        there = self.objects(f"{folder}/{record.attempt}")
        for name, entry in record.files.items():
            found = there.get(name)
            if found is None:
                return f"{name} is missing"
            if found.size != entry.size:
                return f"{name} has {found.size} bytes instead of {entry.size}"
        return None

    def objects(self, folder: str) -> dict[str, Stored]:
        """All objects below a folder, by their paths from there."""
        root = f"{self.root}/{folder}".rstrip("/")
        try:
            found = self._insist(lambda: self.fs.find(root, detail=True), f"list {folder or 'it'}")
        except FileNotFoundError:
            return {}
        files = {str(path): info for path, info in found.items() if info["type"] == "file"}
        return {path[len(root) + 1 :]: _stored(info) for path, info in files.items()}

    def names(self, folder: str) -> list[str]:
        """The names in a folder, sorted; none when it is not there."""
        try:
            found = self._insist(lambda: self.fs.ls(f"{self.root}/{folder}", detail=False), f"list {folder}")
        except FileNotFoundError:
            return []
        return sorted(str(path).rstrip("/").rsplit("/", 1)[-1] for path in found)

    def records(self, kind: str) -> Iterator[Record]:
        """All readable records of one step kind, in the order of their folders."""
        for name in self.names(kind):
            data = self.read_bytes(f"{kind}/{name}/{RECORD}")
            try:
                if data is not None:
                    yield Record.from_bytes(data)
            except ValueError as error:
                self.warn(f"{self.location(kind)}/{name}: {error}; not used")

    def open(self, record: Record) -> Artifact:
        """The artifact of a record; its files are checked when they are asked for."""
        return Artifact(store=self, record=record)

    def retire(self, folder: str) -> None:
        """Take the record away, so that the artifact is made again."""
        self.remove(f"{folder}/{RECORD}")

    def remove(self, path: str, *, wait: bool = True) -> None:
        """Remove one object; it may be gone already. With `wait` off it is tried once."""
        with suppress(FileNotFoundError):
            self._insist(lambda: self.fs.rm_file(f"{self.root}/{path}"), f"remove {path}", wait=wait)

    def remove_folder(self, folder: str) -> None:
        """Remove an artifact: its record first, so that it is whole or not there."""
        self.retire(folder)
        with suppress(FileNotFoundError):
            self._insist(lambda: self.fs.rm(f"{self.root}/{folder}", recursive=True), f"remove {folder}")
        if not self.is_local and (left := self.objects(folder)):  # S3's answer to a removal of many names no failure
            raise StoreError(
                f"store {self.url}: cannot remove {folder}/{next(iter(left))}; is s3:DeleteObject allowed?"
            )

    @contextmanager
    def attempt(self, step: StepLike) -> Iterator[Attempt]:
        """A new attempt at `step`; what an attempt that ended without `commit` wrote is removed."""
        name = f"attempt-{uuid.uuid4().hex[:12]}"
        if self.cache is not None:
            with self.cache.attempt(name) as folder:
                yield Attempt(self, step, name, folder)
            return
        folder = Path(self.root) / step.folder / name
        self._insist(lambda: folder.mkdir(parents=True), f"write {step.folder}")
        attempt = Attempt(self, step, name, folder)
        try:
            yield attempt
        finally:
            if attempt.record is None:
                shutil.rmtree(folder, ignore_errors=True)

    def release(self) -> None:
        """What was opened so far is read no more: a remote store's local copies may go."""
        if self.cache is not None:
            self.cache.release()

    def upload(self, path: Path, target: str) -> None:
        """Copy a local file into the store."""
        send(self.fs, path, f"{self.root}/{target}", insist=self._insist)

    def download(self, source: str, path: Path, *, size: int) -> None:
        """Copy a file of the store to a local path. Raises FileNotFoundError when it is not there, or shorter."""
        fetch(self.fs, f"{self.root}/{source}", path, size=size, insist=self._insist)

    def unfinished_uploads(self) -> Iterator[tuple[str, str, float]]:
        """(path, id, when it began) of uploads in parts that were never finished: objects that no listing shows."""
        yield from self._insist(lambda: unfinished(self.fs, self.root), "list uploads")

    def abort_upload(self, path: str, upload: str) -> None:
        """Remove the parts of an unfinished upload; they may be gone already."""
        with suppress(FileNotFoundError):
            self._insist(lambda: abort(self.fs, f"{self.root}/{path}", upload), f"remove an upload of {path}")

    def read_bytes(self, path: str, *, wait: bool = True) -> bytes | None:
        """The bytes at `path`, or None when nothing is there. With `wait` off it is tried once."""
        once = {} if self.is_local else {"max_concurrency": 1}  # else s3fs asks for the size first

        def read() -> bytes:
            return bytes(self.fs.cat_file(f"{self.root}/{path}", **once))

        try:
            return self._insist(read, f"read {path}", wait=wait)
        except FileNotFoundError:
            return None
        except StoreError as error:
            if isinstance(error.__cause__, NotADirectoryError):
                return None
            raise

    def write_atomically(self, path: str, data: bytes, *, wait: bool = True) -> None:
        """Write one object: readers see the old one or the whole new one. With `wait` off it is tried once."""
        try:
            self._insist(lambda: self._write(path, data), f"write {path}", wait=wait)
        except FileNotFoundError as error:
            raise StoreError(f"store {self.url}: cannot write {path}: {error}") from error

    def _write(self, path: str, data: bytes) -> None:
        if not self.is_local:
            self.fs.pipe_file(f"{self.root}/{path}", data)
            return
        final = Path(self.root) / path
        final.parent.mkdir(parents=True, exist_ok=True)
        temporary = final.with_name(f".{final.name}.{uuid.uuid4().hex[:12]}")
        temporary.write_bytes(data)
        temporary.replace(final)


def _stored(info: Mapping[str, Any]) -> Stored:
    modified = info["mtime"] if "mtime" in info else info["LastModified"].timestamp()
    return Stored(size=int(info["size"]), modified=float(modified))


def _options(url: str) -> dict[str, Any]:
    """s3fs without the retries and checksums of the layers below: `mixgrid.patience` and the records have their own.

    Botocore's default checksums make servers that are not Amazon's refuse uploads, or it refuses what they hold.
    """
    if not url.startswith(("s3://", "s3a://")):
        return {}
    checksums = dict.fromkeys(("request_checksum_calculation", "response_checksum_validation"), "when_required")
    return {"config_kwargs": {"retries": {"total_max_attempts": 1}, **checksums}}
