"""The local cache: fetched once, never larger than its limit, never taken from under a process that reads."""

import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixgrid.errors import InputError
from mixgrid.local_cache import LocalCache
from mixgrid.record import FileEntry, Record

Fetch = Callable[[Path], None]


def record_of(attempt: str, **files: bytes) -> Record:
    entries = {n: FileEntry(size=len(d), sha256=hashlib.sha256(d).hexdigest()) for n, d in files.items()}
    return Record(
        kind="base", version=1, label="x", key=attempt.ljust(64, "0"), attempt=attempt, settings={}, inputs={},
        files=entries, ledger={}, provenance={},
    )  # fmt: skip


class Source:
    """Where files come from; counts what was fetched."""

    def __init__(self) -> None:
        self.fetched = 0

    def of(self, data: bytes) -> Fetch:
        def fetch(path: Path) -> None:
            self.fetched += 1
            path.write_bytes(data)

        return fetch


def stored(folder: Path) -> int:
    """Bytes on the disk, a hard link counted once."""
    files = {p.stat().st_ino: p.stat().st_size for p in folder.rglob("*") if p.is_file()}
    return sum(files.values())


def test_cache_fetches_equal_content_once_whatever_its_artifact(tmp_path: Path) -> None:
    cache, source = LocalCache(tmp_path, limit=10_000), Source()
    paths = [cache.path(record_of(name, f=b"tokenizer"), "f", source.of(b"tokenizer")) for name in ("a", "b", "a")]
    assert [path.read_bytes() for path in paths] == [b"tokenizer"] * 3
    assert paths[0] != paths[1]
    assert source.fetched == 1
    assert stored(tmp_path) == len(b"tokenizer")


def test_cache_of_what_is_not_what_the_record_says_keeps_nothing(tmp_path: Path) -> None:
    cache, record = LocalCache(tmp_path, limit=10_000), record_of("a", f=b"good")
    assert not cache.path(record, "f", Source().of(b"evil")).exists()
    assert stored(tmp_path) == 0
    assert cache.path(record, "f", Source().of(b"good")).read_bytes() == b"good"


def test_cache_removes_the_least_recently_used(tmp_path: Path) -> None:
    data = {name: name.encode() * 400 for name in "abc"}
    for when, name in enumerate("aba"):  # a is used again after b
        path = LocalCache(tmp_path, limit=1000).path(record_of(name, f=data[name]), "f", Source().of(data[name]))
        os.utime(path.parent.with_name(f"{path.parent.name}.lock"), (when, when))
    LocalCache(tmp_path, limit=1000).path(record_of("c", f=data["c"]), "f", Source().of(data["c"]))
    left = {path.parent.name for path in tmp_path.rglob("f")}
    assert left == {"a", "c"}


def test_cache_keeps_what_is_in_use_beyond_its_limit_until_it_is_released(tmp_path: Path) -> None:
    reader, other, data = LocalCache(tmp_path, limit=500), LocalCache(tmp_path, limit=500), os.urandom(400)
    path = reader.path(record_of("a", f=data), "f", Source().of(data))
    other.prune(room=400)
    assert path.read_bytes() == data
    reader.release()
    other.prune(room=400)
    assert not path.exists()
    assert stored(tmp_path) == 0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 12), st.integers(1, 400)), max_size=25), st.integers(400, 1200))
def test_cache_is_never_larger_than_its_limit_and_always_right(
    tmp_path_factory: pytest.TempPathFactory, wanted: list[tuple[int, int]], limit: int
) -> None:
    folder = tmp_path_factory.mktemp("cache")
    for number, size in wanted:
        cache, data = LocalCache(folder, limit=limit), bytes([number]) * size
        assert cache.path(record_of(f"{number}-{size}", f=data), "f", Source().of(data)).read_bytes() == data
        cache.release()
        assert stored(folder) <= limit


MANY = """
import sys, random, hashlib
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_local_cache import record_of, Source
from mixgrid.local_cache import LocalCache
chance = random.Random({seed})
print("started", flush=True)
for _ in range({rounds}):
    number = chance.randrange(8)
    data = bytes([number]) * 300_000
    cache = LocalCache(Path({folder!r}), limit=1_000_000)
    path = cache.path(record_of(f"a{{number}}", f=data), "f", Source().of(data))
    assert path.read_bytes() == data, number
    assert path.read_bytes() == data, number
    cache.release()
"""


def process(folder: Path, *, seed: int, rounds: int) -> "subprocess.Popen[str]":
    code = MANY.format(tests=str(Path(__file__).parent), seed=seed, rounds=rounds, folder=str(folder))
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_cache_with_several_processes_and_kills_stays_right(tmp_path: Path) -> None:
    killed = [process(tmp_path, seed=seed, rounds=100_000) for seed in range(2)]
    for each in killed:
        assert each.stdout
        assert each.stdout.readline() == "started\n"
    honest = [process(tmp_path, seed=seed, rounds=150) for seed in (2, 3)]
    for each in killed:
        each.send_signal(signal.SIGKILL)
        each.communicate()
    for each in honest:
        _, errors = each.communicate(timeout=60)
        assert each.returncode == 0, errors
    LocalCache(tmp_path, limit=1_000_000).prune()
    assert stored(tmp_path) <= 1_000_000
    for path in tmp_path.rglob("f"):
        assert path.read_bytes() == bytes([int(path.parent.name[1:])]) * 300_000


def test_cache_removes_what_a_killed_attempt_left(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from mixgrid.local_cache import LocalCache\n"
        "with LocalCache(Path(sys.argv[1]), limit=1000).attempt('attempt-1') as folder:\n"
        "    (folder / 'x').write_bytes(b'x' * 50); os.kill(os.getpid(), 9)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False).returncode == -9
    assert stored(tmp_path) == 50
    with LocalCache(tmp_path, limit=1000).attempt("attempt-2") as folder:
        (folder / "y").write_bytes(b"y")
        LocalCache(tmp_path, limit=1000).prune()
        assert stored(tmp_path) == 1


@pytest.mark.parametrize(("text", "limit"), [("1.5 TB", 1.5e12), ("50GB", 5e10), ("7", 7), (None, 1e11)])
def test_cache_size_is_read_with_its_unit(text: str | None, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXGRID_CACHE_SIZE", text or "")
    assert LocalCache.from_environment().limit == limit


def test_cache_size_of_no_size_is_wrong_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MIXGRID_CACHE_SIZE", "much")
    with pytest.raises(InputError, match="MIXGRID_CACHE_SIZE: 'much' is no size; give one such as 50GB"):
        LocalCache.from_environment()


def test_cache_lies_where_the_desktop_rules_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MIXGRID_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert LocalCache.from_environment().folder == tmp_path / ".cache" / "mixgrid"
    monkeypatch.setenv("XDG_CACHE_HOME", "/big")
    assert LocalCache.from_environment().folder == Path("/big/mixgrid")
