"""What a step left behind, read with care: a file's SHA-256 is checked before its first use in a process.

artifact = store.open(record)
artifact.path("tokens.npy")  -> local path; fetched first when the store is remote
artifact.ledger["rows"]      -> 250
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixgrid.errors import DamagedArtifact
from mixgrid.record import FileEntry, Record

if TYPE_CHECKING:
    from mixgrid.store import Store

_checked: dict[tuple[int, int], tuple[int, int, str]] = {}
"""(device, inode) -> (size, modification time in ns, sha256) of files that this process has checked."""


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
        try:
            found = _sha256_once(self._local(name))
            if found != entry.sha256 and self.store.cache is not None:  # the local copy went bad, and it alone perhaps
                self.store.cache.forget(self.record, name)
                found = _sha256_once(self._local(name))
        except FileNotFoundError:
            raise DamagedArtifact(self.record.folder, f"{name} is missing") from None
        if found != entry.sha256:
            raise DamagedArtifact(self.record.folder, f"{name} is not the file that was written (SHA-256 differs)")
        return self._local(name)

    def _local(self, name: str) -> Path:
        source = f"{self.record.folder}/{self.record.attempt}/{name}"
        if self.store.cache is None:
            return Path(self.store.root) / source
        size = self.record.files[name].size
        path = self.store.cache.path(self.record, name, lambda to: self.store.download(source, to, size=size))
        if not path.exists():
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
    known = _checked.get((stat.st_dev, stat.st_ino))
    if known and known[:2] == (stat.st_size, stat.st_mtime_ns):
        return known[2]
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    _checked[stat.st_dev, stat.st_ino] = (stat.st_size, stat.st_mtime_ns, digest)
    return digest
