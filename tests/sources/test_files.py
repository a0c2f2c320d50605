"""Rows come out of every kind of file in order; damage is a row's fault or the file's, and always named."""

import gzip
import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mixgrid.errors import SourceError
from mixgrid.sources.files import BadRow, content_hash, read_rows

ROWS = [{"query": f"{n} + 1?", "response": "\u2028é"} for n in range(5)]
LINES = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()
LIST = json.dumps(ROWS).encode()


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=2)


def write(content: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "fill"),
    [
        ("rows.jsonl", write(LINES)),
        ("rows.JSONL", write(LINES)),
        ("no-last-line-end.jsonl", write(LINES.rstrip())),
        ("windows.jsonl", write(b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n"))),
        ("blank-lines.jsonl", write(b"\n  \n" + LINES.replace(b"\n", b"\n\n"))),
        ("rows.jsonl.gz", write(gzip.compress(LINES, mtime=0))),
        ("rows.json", write(LIST)),
        ("marked.json", write(b"\xef\xbb\xbf" + LIST)),
        ("under-data.json", write(b'{"version": 1, "data": ' + LIST + b"}")),
        ("rows.json.gz", write(gzip.compress(LIST, mtime=0))),
        ("rows.parquet", write_parquet),
        ("[odd] name?.jsonl", write(LINES)),
    ],
)
def test_each_kind_of_file_gives_the_same_rows(tmp_path: Path, name: str, fill: Callable[[Path], object]) -> None:
    fill(tmp_path / name)
    assert list(read_rows(str(tmp_path / name))) == ROWS


def test_url_gives_the_rows(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(LINES)
    assert list(read_rows(f"file://{tmp_path}/rows.jsonl")) == ROWS


def test_pattern_reads_its_files_by_name(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        (tmp_path / f"{name}.jsonl").write_text(f'"{name}"\n')
    (tmp_path / "folder.jsonl").mkdir()
    assert list(read_rows(str(tmp_path / "*.jsonl"))) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{'query': 1}", "not JSON"),
        (b'{"query": ', "not JSON"),
        (b'{"a": 1} {"b": 2}', "not JSON"),
        (b'{"query": "\xff"}', "not UTF-8"),
        (b"[" * 100_000, "not JSON"),
        (b"9" * 5_000, "not JSON"),
    ],
)
def test_bad_line_is_one_bad_row_among_the_others(tmp_path: Path, line: bytes, reason: str) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"1\n\n" + line + b"\n2\n")
    first, bad, last = read_rows(str(tmp_path / "rows.jsonl"))
    assert isinstance(bad, BadRow)
    assert (first, bad.reason, last) == (1, reason, 2)
    assert bad.detail.startswith("line 3: ")
    assert len(bad.detail) < 250


def test_repeated_keys_and_nan_are_json(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text('{"a": 1, "a": 2}\n{"a": NaN}\n')
    first, second = read_rows(str(tmp_path / "rows.jsonl"))
    assert first == {"a": 2}
    assert str(second) == "{'a': nan}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rows.csv", b"a,b\n", r"rows\.csv: unknown extension; convert it to one of \.jsonl, "),
        ("rows", b"{}", "rows: unknown extension"),
        ("rows.jsonl.gz", LINES, "is damaged gzip .*; download or pack it again"),
        ("cut.jsonl.gz", gzip.compress(LINES, mtime=0)[:-12], "is damaged gzip"),
        ("flipped.jsonl.gz", gzip.compress(LINES, mtime=0)[:20] + b"\xff" * 20, "is damaged gzip"),
        ("rows.parquet", b"PAR1 and not more", "is not readable Parquet .*; write or download it again"),
        ("empty.parquet", b"", "is not readable Parquet"),
        ("rows.json", LINES, r"not JSON: .*; if it is one row a line, name it \.jsonl"),
        ("empty.json", b"", "not JSON"),
        ("latin.json", '["é"]'.encode("latin-1"), "not UTF-8"),
        ("number.json", b"3", "holds 3; a .json file must be a list"),
        ("object.json", b'{"rows": []}', r"must be a list of rows or \{\"data\": \[rows\]\}"),
    ],
)
def test_unreadable_file_is_named_with_the_remedy(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError, match=message) as raised:
        list(read_rows(str(tmp_path / name)))
    assert name in str(raised.value)


def test_parquet_with_a_damaged_page_is_not_half_read_in_silence(tmp_path: Path) -> None:
    write_parquet(tmp_path / "rows.parquet")
    content = bytearray((tmp_path / "rows.parquet").read_bytes())
    content[4:60] = b"\xff" * 56
    (tmp_path / "rows.parquet").write_bytes(content)
    with pytest.raises(SourceError, match="is not readable Parquet"):
        list(read_rows(str(tmp_path / "rows.parquet")))


@pytest.mark.parametrize("read", [read_rows, content_hash])
@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("missing.jsonl", "missing.jsonl: no such file; check the path"),
        ("*.jsonl", "no such file"),
        (".", r"is a folder; name its files, such as .*/\*\.jsonl"),
        ("nowhere://bucket/rows.jsonl", r"cannot be read \(Protocol not known: nowhere\)"),
    ],
)
def test_location_without_a_file_is_an_error_at_once(
    tmp_path: Path, read: Callable[[str], object], location: str, message: str
) -> None:
    with pytest.raises(SourceError, match=message):
        read(location if "://" in location else str(tmp_path / location))


def test_content_hash_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(LINES)
    assert content_hash(str(tmp_path / "rows.jsonl")) == hashlib.sha256(LINES).hexdigest()


def test_content_hash_of_a_pattern_changes_with_any_file_and_its_order(tmp_path: Path) -> None:
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    hashes = set()
    for contents in (("1", "2"), ("2", "1"), ("1", "3"), ("12", ""), ("", "12")):
        first.write_text(contents[0])
        second.write_text(contents[1])
        hashes.add(content_hash(str(tmp_path / "*.jsonl")))
    assert len(hashes) == 5


@pytest.mark.parametrize(
    ("file", "rows"),
    [("human_eval/HumanEval.jsonl.gz", 164), ("mt_bench/*.jsonl", 118), ("code_alpaca/*.json", 6552)],
)
def test_real_file_is_read_whole(test_data: Path, file: str, rows: int) -> None:
    read = list(read_rows(str(test_data / file)))
    assert len(read) == rows
    assert all(isinstance(row, dict) for row in read)
