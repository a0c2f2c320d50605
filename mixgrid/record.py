"""The record of an artifact: written last, as one object; without it there is no artifact.

    {"kind": "subsample", "key": "c0ffee...", "attempt": "attempt-5f2e8a", "settings": {"proportion": "1/4"},
     "inputs": {"rows": "9f2c..."}, "files": {"rows.npy": {"size": 128, "sha256": "..."}},
     "ledger": {"rows": 250}, "provenance": {"host": "...", "seconds": 0.01, ...}, "checksum": "..."}

The checksum covers the rest of the record, so that a damaged record is noticed as surely as a damaged file.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from mixgrid.identity import canonical_json
from mixgrid.step import artifact_folder


class FileEntry(BaseModel):
    """Size in bytes and SHA-256 of one file."""

    model_config = ConfigDict(frozen=True)

    size: int
    sha256: str


class Record(BaseModel):
    """What a step left behind, and how it came about. `ledger` holds the figures that others read without files."""

    model_config = ConfigDict(frozen=True)

    kind: str
    version: int
    label: str
    key: str
    attempt: str
    settings: dict[str, Any]
    inputs: dict[str, Any]
    files: dict[str, FileEntry]
    ledger: dict[str, Any]
    provenance: dict[str, Any]

    @property
    def folder(self) -> str:
        """Where the artifact lies, relative to the store's root."""
        return artifact_folder(self.kind, self.label, self.key)

    def to_bytes(self) -> bytes:
        """The record as JSON text with its checksum."""
        document = self.model_dump(mode="json")
        return json.dumps({**document, "checksum": _checksum(document)}, indent=1, sort_keys=True).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Record":
        """Read a record. Raises ValueError when it is damaged in any way."""
        try:
            document = json.loads(data)
        except RecursionError:
            raise ValueError("the record is nested too deeply") from None
        if not isinstance(document, dict):
            raise ValueError("the record is not an object")
        checksum = document.pop("checksum", None)
        if checksum != _checksum(document):
            raise ValueError("the record's checksum does not match")
        try:
            return cls.model_validate(document)
        except ValidationError as error:
            raise ValueError(f"the record lacks fields: {error.error_count()}") from error


def _checksum(document: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()
