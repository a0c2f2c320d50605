"""What a step left behind, read with care: a file's SHA-256 is checked before its first use in a process.

artifact = store.open(record)
artifact.path("tokens.npy")  -> local path; fetched first when the store is remote
artifact.ledger["rows"]      -> 250
"""

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixgrid.errors import DamagedArtifact
from mixgrid.record import FileEntry, Record

if TYPE_CHECKING:
    from mixgrid.store import Store

_checked: dict[str, tuple[int, int, str]] = {}
"""Local path -> (size, modification time in ns, sha256) of files that this process has checked."""


@dataclass(frozen=True)
class Artifact:
    """A record with access to its files."""

    store: "Store"
    record: Record

    @property
    def ledger(self) -> dict[str, Any]:
        """The record's figures."""
        return self.record.ledger

    def path(self, name: str) -> Path:
        """A local path of the file `name`, checked. Raises DamagedArtifact when it is not what was written."""
        entry = self.record.files.get(name)
        if entry is None:
            raise DamagedArtifact(self.record.folder, f"the record names no file {name}")
        source = f"{self.record.folder}/{self.record.attempt}/{name}"
        path = Path(self.store.root) / source if self.store.is_local else _cached(self.record, name)
        try:
            if not self.store.is_local and not (path.exists() and _sha256_once(path) == entry.sha256):
                _fetch(self.store, source, path)  # also where the local copy, and it alone, went bad
            found = _sha256_once(path)
        except FileNotFoundError:
            raise DamagedArtifact(self.record.folder, f"{name} is missing") from None
        if found != entry.sha256:
            raise DamagedArtifact(self.record.folder, f"{name} is not the file that was written (SHA-256 differs)")
        return path

    def local_folder(self) -> Path:
        """A local folder with all files, each checked."""
        paths = {name: self.path(name) for name in self.record.files}
        name, path = next(iter(paths.items()))
        return path.parents[len(Path(name).parts) - 1]


def file_entry(path: Path) -> FileEntry:
    """Size and SHA-256 of a file, which counts as checked from now on."""
    return FileEntry(size=path.stat().st_size, sha256=_sha256_once(path))


def _sha256_once(path: Path) -> str:
    stat = path.stat()
    known = _checked.get(str(path))
    if known and known[:2] == (stat.st_size, stat.st_mtime_ns):
        return known[2]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _checked[str(path)] = (stat.st_size, stat.st_mtime_ns, digest)
    return digest


def _cached(record: Record, name: str) -> Path:
    return Path(tempfile.gettempdir()) / "mixgrid-cache" / record.folder / record.attempt / name


def _fetch(store: "Store", source: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as temporary:
        partial = Path(temporary.name)
    try:
        store.download(source, partial)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
