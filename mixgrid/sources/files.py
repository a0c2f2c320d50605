"""Rows out of files: JSON Lines, JSON and Parquet, plain or gzipped, on this machine or behind any fsspec URL.

    read_rows("gsm8k/train.jsonl")            ->  {"question": "Natalia sold clips ...", "answer": "... #### 72"}, ...
    read_rows("s3://bucket/part-*.parquet")   ->  the rows of every part, in the order of the names

A line of JSON Lines that cannot be read is a row too, a `BadRow`: the caller counts it, and row numbers stay what they
are in the file. A file that cannot be read at all is a SourceError, because half a dataset must not be trained on.
"""

import gzip
import hashlib
import json
import reprlib
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any
from urllib.parse import urlsplit

from mixgrid.errors import SourceError

EXTENSIONS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
_BLOCK = 1 << 20
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
_SHORT.maxlist = _SHORT.maxdict = 8


@dataclass(frozen=True)
class BadRow:
    """A line that is not a row; `reason` is short and stable, to count by, and `detail` says where and what."""

    reason: str
    detail: str


def shown(value: object) -> str:
    """The value as an error shows it: at most about 80 characters, whatever its size or depth."""
    return _SHORT.repr(value)


def read_rows(location: str) -> Iterator[object]:
    """The rows of a file, or of all files of a pattern such as `data/*.jsonl` by name, in order.

    Raises SourceError at once for what is not there or has no known extension, and while reading for a damaged file.
    """
    filesystem, paths = _find(location)
    return chain.from_iterable([_reader_of(path)(filesystem, path) for path in paths])


def content_hash(location: str) -> str:
    """sha256 (hex) of a file's bytes; of several files, sha256 of their hashes by name, one a line."""
    filesystem, paths = _find(location)
    hashes = [_hash_file(filesystem, path) for path in paths]
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def parse_json(text: str | bytes) -> object:
    """One JSON value (NaN allowed, a byte order mark tolerated), or a BadRow that says why it is none."""
    try:
        decoded = text.decode("utf-8") if isinstance(text, bytes) else text
        value: object = json.loads(decoded.removeprefix("\ufeff"))
    except UnicodeDecodeError as error:
        return BadRow("not UTF-8", f"byte {error.start} is {text[error.start : error.start + 1]!r}")
    except RecursionError:
        return BadRow("not JSON", f"nested too deeply: {shown(decoded)}")
    except ValueError as error:  # JSONDecodeError, or an integer of more digits than Python takes
        return BadRow("not JSON", f"{error}: {shown(decoded)}")
    return value


def _find(location: str) -> tuple[Any, list[str]]:
    """The file system and the paths: the file of this very name, else the files that match it as a pattern."""
    from fsspec.core import url_to_fs

    with _reading(location):
        filesystem, path = url_to_fs(location)
        if filesystem.isfile(path):
            return filesystem, [path]
        if filesystem.isdir(path):
            raise SourceError(f"{location}: is a folder; name its files, such as {location.rstrip('/')}/*.jsonl")
        matches = sorted(filesystem.glob(path)) if any(sign in path for sign in "*?[") else []
        files = [match for match in matches if filesystem.isfile(match)]
    if not files:
        raise SourceError(f"{location}: no such file; check the path, or download the data there first")
    return filesystem, files


def _reader_of(path: str) -> Callable[[Any, str], Iterator[object]]:
    name = (urlsplit(path).path if "://" in path else path).lower()
    if name.endswith((".jsonl", ".jsonl.gz")):
        return _read_jsonl
    if name.endswith((".json", ".json.gz")):
        return _read_json
    if name.endswith(".parquet"):
        return _read_parquet
    raise SourceError(f"{path}: unknown extension; convert it to one of {', '.join(EXTENSIONS)}")


def _read_jsonl(filesystem: Any, path: str) -> Iterator[object]:
    # bytes, because text lines would also end at U+2028 and the like, which are allowed inside JSON strings
    with _reading(path), _opened(filesystem, path) as file:
        for number, line in enumerate(file, start=1):
            if not line.removeprefix(b"\xef\xbb\xbf").strip():
                continue
            row = parse_json(line)
            yield BadRow(row.reason, f"line {number}: {row.detail}") if isinstance(row, BadRow) else row


def _read_json(filesystem: Any, path: str) -> Iterator[object]:
    with _reading(path), _opened(filesystem, path) as file:
        value = parse_json(file.read())
    if isinstance(value, BadRow):
        raise SourceError(f"{path}: {value.reason}: {value.detail}; if it is one row a line, name it .jsonl")
    rows = value.get("data") if isinstance(value, dict) else value
    if not isinstance(rows, list):
        raise SourceError(f'{path}: holds {shown(value)}; a .json file must be a list of rows or {{"data": [rows]}}')
    yield from rows


def _read_parquet(filesystem: Any, path: str) -> Iterator[object]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _reading(path), filesystem.open(path, "rb") as file:
        try:
            for batch in pq.ParquetFile(file).iter_batches():
                yield from batch.to_pylist()
        except (pa.ArrowException, OSError, ValueError) as error:  # a damaged page or footer is any of the three
            raise SourceError(f"{path}: is not readable Parquet ({error}); write or download it again") from error


def _opened(filesystem: Any, path: str) -> IO[bytes]:
    """The file, unpacked if its name says so; closing it closes the packed file too."""
    packed = (urlsplit(path).path if "://" in path else path).lower().endswith(".gz")
    opened: IO[bytes] = filesystem.open(path, "rb", compression="gzip" if packed else None)
    return opened


def _hash_file(filesystem: Any, path: str) -> str:
    digest = hashlib.sha256()
    with _reading(path), filesystem.open(path, "rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


@contextmanager
def _reading(location: str) -> Iterator[None]:
    """Turn what a file system or gzip raises into a SourceError that names the location and the remedy."""
    try:
        yield
    except FileNotFoundError as error:
        raise SourceError(f"{location}: no such file; check the path, or download the data there first") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise SourceError(f"{location}: is damaged gzip ({error}); download or pack it again") from error
    except _storage_errors() as error:
        raise SourceError(f"{location}: cannot be read ({error}); check the address and your access to it") from error


def _storage_errors() -> tuple[type[Exception], ...]:
    """What file systems raise; botocore's own (missing credentials, say) are no OSError, and only s3fs loads it."""
    botocore = sys.modules.get("botocore.exceptions")
    return (OSError, ImportError, ValueError, *((botocore.BotoCoreError,) if botocore else ()))
