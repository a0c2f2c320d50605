"""The store, over a local folder and a real S3 server: no record, no artifact; what is damaged is never used."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fsspec.core import url_to_fs
from hypothesis import given, settings
from hypothesis import strategies as st

from mixgrid.errors import DamagedArtifact, InputError, StoreError
from mixgrid.identity import Settings
from mixgrid.record import Record
from mixgrid.step import Step
from mixgrid.store import Store

FILES = {"rows.npy": b"0123456789" * 100, "empty.txt": b"", "deep/er/ä.bin": bytes(range(256))}
names = st.text(alphabet="abcdefgh.-_ü", min_size=1, max_size=8).filter(lambda name: name.strip("."))


class Number(Settings):
    number: int


class Place:
    """A store's address, and what somebody else does to its objects with a client of their own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.warnings: list[str] = []

    def store(self) -> Store:
        return Store(self.url, warn=self.warnings.append)

    def store_of_another_machine(self) -> Store:
        """A store where nothing was fetched or made before."""
        os.environ["MIXGRID_CACHE"] += "-other"
        return self.store()

    def other(self) -> tuple[Any, str]:
        """Another client than the store's (one, as making one takes half a second), which caches nothing."""
        fs, root = url_to_fs(self.url, use_listings_cache=False, max_paths=1)
        return fs, str(root)

    def objects(self) -> list[str]:
        """The paths of all objects, below the store's root."""
        other, root = self.other()
        return [str(path).removeprefix(f"{root}/") for path in other.find(root)]

    def read(self, path: str) -> bytes:
        other, root = self.other()
        return bytes(other.cat_file(f"{root}/{path}"))

    def write(self, path: str, data: bytes) -> None:
        other, root = self.other()
        other.makedirs(f"{root}/{path}".rpartition("/")[0], exist_ok=True)
        other.pipe_file(f"{root}/{path}", data)

    def remove(self, path: str) -> None:
        other, root = self.other()
        other.rm_file(f"{root}/{path}")


@pytest.fixture(params=["local", "s3", pytest.param("ceph", marks=pytest.mark.slow)])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Somewhere to store things: the contract is the same for all."""
    server = request.getfixturevalue(f"{request.param}_server") if request.param != "local" else ""
    monkeypatch.setenv("MIXGRID_CACHE", str(tmp_path / "cache"))
    if request.param == "local":
        return Place(str(tmp_path / "store"))
    return Place(f"{server}/{uuid4().hex}")


def file_of(record: Record, name: str) -> str:
    return f"{record.folder}/{record.attempt}/{name}"


def record_of(record: Record) -> str:
    return f"{record.folder}/record.json"


@pytest.fixture
def fresh_s3_client() -> Iterator[None]:
    """s3fs keeps one client for a process; a test that changes the variables needs a new one, and so does the next."""
    from s3fs import S3FileSystem

    S3FileSystem.clear_instance_cache()
    yield
    S3FileSystem.clear_instance_cache()


def a_step(number: int = 1) -> Step:
    return Step(kind="subsample", settings=Number(number=number), label=f"lab math {number}", title="a step")


def write(folder: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def made(store: Store, step: Step, files: dict[str, bytes] = FILES) -> Record:
    with store.attempt(step) as attempt:
        write(attempt.folder, files)
        return attempt.commit(ledger={"rows": 250})


def test_store_after_a_commit_gives_back_files_and_ledger(place: Place) -> None:
    made(place.store(), a_step())
    found = place.store().find(a_step())
    assert found is not None
    artifact = place.store().open(found)
    assert {name: artifact.path(name).read_bytes() for name in FILES} == FILES
    assert artifact.ledger == {"rows": 250}
    assert (found.key, found.settings, found.inputs) == (a_step().key, {"number": 1}, {})


def test_store_folder_of_an_artifact_holds_all_its_files(place: Place) -> None:
    folder = place.store().open(made(place.store(), a_step())).local_folder()
    assert {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()} == set(FILES)


def test_store_without_a_record_finds_nothing_and_does_not_warn(place: Place) -> None:
    made(place.store(), a_step(1))
    assert place.store().find(a_step(2)) is None
    assert place.warnings == []


def test_store_before_the_commit_finds_nothing(place: Place) -> None:
    with place.store().attempt(a_step()) as attempt:
        write(attempt.folder, FILES)
        assert place.store().find(a_step()) is None


def test_store_after_an_attempt_that_raised_holds_nothing(place: Place) -> None:
    with suppress(ZeroDivisionError), place.store().attempt(a_step()) as attempt:
        write(attempt.folder, FILES)
        raise ZeroDivisionError
    assert place.store().find(a_step()) is None
    assert place.objects() == []


def test_store_with_a_file_deleted_warns_and_finds_nothing(place: Place) -> None:
    record = made(place.store(), a_step())
    assert place.store().find(a_step()) is not None
    place.remove(file_of(record, "rows.npy"))
    assert place.store().find(a_step()) is None
    assert "rows.npy is missing" in place.warnings[0]
    assert record.folder in place.warnings[0]


def test_store_with_a_file_cut_short_warns_and_finds_nothing(place: Place) -> None:
    record = made(place.store(), a_step())
    assert place.store().find(a_step()) is not None
    place.write(file_of(record, "rows.npy"), FILES["rows.npy"][:-1])
    assert place.store().find(a_step()) is None
    assert "999 bytes instead of 1000" in place.warnings[0]


def test_store_with_a_byte_flipped_raises_when_the_file_is_read(place: Place) -> None:
    record = made(place.store(), a_step())
    place.write(file_of(record, "rows.npy"), b"1" + FILES["rows.npy"][1:])
    artifact = place.store_of_another_machine().open(record)
    assert artifact.path("deep/er/ä.bin").read_bytes() == bytes(range(256))
    with pytest.raises(DamagedArtifact, match=r"rows\.npy is not the file that was written") as raised:
        artifact.path("rows.npy")
    assert raised.value.folder == record.folder


def test_store_with_a_file_gone_between_finding_and_reading_raises(place: Place) -> None:
    record = made(place.store(), a_step())
    place.remove(file_of(record, "rows.npy"))
    with pytest.raises(DamagedArtifact, match=r"rows\.npy is missing"):
        place.store_of_another_machine().open(record).path("rows.npy")


def test_artifact_asked_for_a_file_that_it_never_had_raises(place: Place) -> None:
    with pytest.raises(DamagedArtifact, match=r"names no file other\.npy"):
        place.store().open(made(place.store(), a_step())).path("other.npy")


@pytest.mark.parametrize("damage", ["empty", "cut", "not utf-8", "a list", "another key", "a figure changed", "deep"])
def test_store_with_a_damaged_record_warns_and_finds_nothing(place: Place, damage: str) -> None:
    record = made(place.store(), a_step())
    data = place.read(record_of(record))
    other = made(place.store(), a_step(2)).to_bytes()
    damaged = {
        "empty": b"", "cut": data[: len(data) // 2], "not utf-8": b"\xff" + data, "a list": b"[]", "another key": other,
        "a figure changed": data.replace(b"250", b"251"), "deep": b"[" * 100_000,
    }  # fmt: skip
    place.write(record_of(record), damaged[damage])
    assert place.store().find(a_step()) is None
    assert record.folder in place.warnings[0]


def test_store_with_a_damaged_record_lists_the_others(place: Place) -> None:
    broken, whole = made(place.store(), a_step(1)), made(place.store(), a_step(2))
    place.write(record_of(broken), b"{")
    assert [record.key for record in place.store().records("subsample")] == [whole.key]


def test_store_after_damage_and_a_new_attempt_finds_the_new_one(place: Place) -> None:
    place.remove(file_of(made(place.store(), a_step()), "rows.npy"))
    again = made(place.store(), a_step())
    assert place.store().find(a_step()) == again


def test_store_after_retire_finds_nothing_and_retiring_twice_is_fine(place: Place) -> None:
    record = made(place.store(), a_step())
    place.store().retire(record.folder)
    place.store().retire(record.folder)
    assert place.store().find(a_step()) is None


@pytest.mark.parametrize("last", [0, 1])
def test_store_with_two_attempts_at_once_keeps_one_that_is_whole(place: Place, last: int) -> None:
    store = place.store()
    with store.attempt(a_step()) as first, store.attempt(a_step()) as second:
        write(first.folder, {"a": b"first", "only first": b"1"})
        write(second.folder, {"a": b"second"})
        for attempt in (first, second)[:: 1 if last else -1]:
            attempt.commit(ledger={})
    found = place.store().find(a_step())
    assert found is not None
    assert place.store().open(found).path("a").read_bytes() == (b"first", b"second")[last]
    assert set(found.files) == ({"a", "only first"}, {"a"})[last]


WRITER = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_store import a_step, write
from mixgrid.store import Store
store = Store({url!r})
for number in range(1, 10_000):
    with store.attempt(a_step()) as attempt:
        write(attempt.folder, {{f"{{i}}.bin": bytes([number % 251]) * 50_000 for i in range(8)}})
        print("writing", flush=True)
        if {commits}:
            attempt.commit(ledger={{}})
        else:
            sys.stdin.read()
"""


def killed_writer(place: Place, *, commits: bool, after_s: float) -> None:
    """Start a process that writes, kill it with -9 in the middle."""
    code = WRITER.format(tests=str(Path(__file__).parent), url=place.url, commits=commits)
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"writing\n"
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)


def test_store_after_kill_9_before_the_commit_finds_nothing(place: Place) -> None:
    killed_writer(place, commits=False, after_s=0)
    assert place.store().find(a_step()) is None
    assert made(place.store(), a_step()) == place.store().find(a_step())


@pytest.mark.parametrize("after_s", [0.01, 0.1])
def test_store_after_kill_9_among_commits_is_empty_or_whole(place: Place, after_s: float) -> None:
    killed_writer(place, commits=True, after_s=after_s)
    found = place.store().find(a_step())
    assert place.warnings == []
    contents = {place.store().open(found).path(f"{i}.bin").read_bytes() for i in range(8)} if found else set()
    assert len(contents) == (1 if found else 0)


@pytest.mark.usefixtures("s3_server", "fresh_s3_client")
def test_store_that_is_unreachable_is_an_error_and_no_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("MIXGRID_STORE_PATIENCE_S", "0")
    with pytest.raises(StoreError, match="s3://bucket/x: cannot read"):
        Store("s3://bucket/x").find(a_step())
    with pytest.raises(StoreError, match="s3://bucket/x: cannot write"):
        made(Store("s3://bucket/x"), a_step())


@pytest.mark.usefixtures("s3_server", "fresh_s3_client")
def test_store_with_wrong_credentials_is_an_error_and_no_miss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreError, match="cannot read"):
        Store("s3://bucket/x").find(a_step())


@pytest.mark.usefixtures("s3_server")
def test_store_in_a_bucket_that_does_not_exist_is_an_error_when_written() -> None:
    with pytest.raises(StoreError, match="s3://nobucket/x"):
        made(Store("s3://nobucket/x"), a_step())


@pytest.mark.parametrize("url", ["nosuchprotocol://x", "s3://"])
def test_store_with_an_address_of_no_store_is_an_error(url: str) -> None:
    with pytest.raises((StoreError, InputError)):
        made(Store(url), a_step())


def test_store_that_is_a_file_is_wrong_input(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match="is a file; give a folder"):
        Store(str(tmp_path / "file"))


def test_store_sees_what_another_process_wrote_meanwhile(place: Place) -> None:
    store = place.store()
    assert store.names("runs") == []
    place.write("runs/a.json", b"{}")
    assert store.names("runs") == ["a.json"]
    place.write("runs/b.json", b"{}")
    assert store.names("runs") == ["a.json", "b.json"]


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(names, st.binary(max_size=2000), max_size=4))
def test_store_gives_back_any_bytes(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        made(Store(folder), a_step(), files)
        found = Store(folder).find(a_step())
        assert found is not None
        assert {name: Store(folder).open(found).path(name).read_bytes() for name in found.files} == files


@settings(max_examples=60)
@given(st.data())
def test_record_with_any_byte_changed_is_refused(data: st.DataObject) -> None:
    record = Record(
        kind="mix", version=1, label="x", key="0" * 64, attempt="a", settings={"k": "1/4"}, inputs={}, files={},
        ledger={"loss": 0.25}, provenance={},
    )  # fmt: skip
    written = record.to_bytes()
    assert Record.from_bytes(written) == record
    place = data.draw(st.integers(0, len(written) - 1))
    changed = bytearray(written)
    changed[place] ^= data.draw(st.integers(1, 255))
    try:
        found = Record.from_bytes(bytes(changed))
    except ValueError:
        return
    assert found == record  # white space is no content
