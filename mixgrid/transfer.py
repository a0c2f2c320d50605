"""Files into and out of a remote store, the large ones in parts, of which each is tried again by itself.

    send(fs, Path("model.safetensors"), "bucket/study/...", insist=patience.insist)
    fetch(fs, "bucket/study/...", Path("model.safetensors"), size=4_400_000_000, insist=patience.insist)

S3 is told every part's MD5 (`Content-MD5`) and refuses what came across changed; that is a store's check of the way
there. What is read is checked against the record's SHA-256 (`mixgrid.artifact`).
"""

import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from mixgrid.errors import StoreError
from mixgrid.patience import code_of

PART = 16 * 2**20
MOST_PARTS = 9_000
"""S3 takes 10,000."""
AT_ONCE = 4
BEGIN_AGAIN = 6
"""How often an upload in parts is begun at most."""

Insist = Callable[[Callable[[], Any], str], Any]


def send(fs: Any, path: Path, target: str, *, insist: Insist, part: int = PART) -> None:
    """Upload a file; it is whole under its name, or StoreError."""
    size, name = path.stat().st_size, _name(target)
    if "s3" not in _protocols(fs):
        insist(lambda: fs.put_file(str(path), target), f"write {name}")
    elif size <= part:
        data = path.read_bytes()
        insist(lambda: fs.pipe_file(target, data, ContentMD5=_md5(data)), f"write {name}")
        return  # what its MD5 was checked of has the right size
    else:
        _send_in_parts(fs, path, target, insist, max(part, -(-size // MOST_PARTS)))
    found = insist(lambda: fs.info(target)["size"], f"look at {name}")
    if found != size:
        raise StoreError(f"{name}: {found} bytes arrived of {size}; is something else writing there?")


def fetch(fs: Any, source: str, path: Path, *, size: int, insist: Insist, part: int = PART) -> None:
    """Download a file that should have `size` bytes. Raises FileNotFoundError when it is gone or shorter."""
    offsets = range(0, size, part) or [0]

    def read(offset: int) -> bytes:
        if not size:
            return bytes(fs.cat_file(source))
        return bytes(fs.cat_file(source, start=offset, end=min(offset + part, size)))

    def fetch_part(offset: int) -> None:
        data = insist(lambda: read(offset), f"read {_name(source)}")
        with path.open("r+b") as file:
            file.seek(offset)
            file.write(data)

    path.touch()
    try:
        _at_once(fetch_part, offsets)
    except StoreError as error:
        if code_of(error) in ("416", "InvalidRange"):
            raise FileNotFoundError(f"{source} is shorter than {size} bytes") from error
        raise


def unfinished(fs: Any, root: str) -> list[tuple[str, str, float]]:
    """(path below `root`, upload id, when it began) of uploads in parts that nobody finished; none but on S3."""
    if "s3" not in _protocols(fs):
        return []
    bucket, prefix, _ = fs.split_path(root)
    found: list[tuple[str, str, float]] = []
    where = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else ""}
    while True:
        try:
            page = fs.call_s3("list_multipart_uploads", **where)
        except FileNotFoundError as error:
            if code_of(error) == "NoSuchBucket":
                raise
            return found  # how rclone says that there is none
        for upload in page.get("Uploads", []):
            path = upload["Key"].removeprefix(where["Prefix"])
            found.append((path, upload["UploadId"], upload["Initiated"].timestamp()))
        if not page.get("IsTruncated"):
            return found
        where |= {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}


def abort(fs: Any, path: str, upload: str) -> None:
    """Remove the parts of an upload. Raises FileNotFoundError when it is gone."""
    bucket, key, _ = fs.split_path(path)
    fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload)


def _send_in_parts(fs: Any, path: Path, target: str, insist: Insist, part: int) -> None:
    """Begin again where the server has forgotten the upload, or will not take a spoilt part a second time (rclone)."""
    for left in reversed(range(BEGIN_AGAIN)):
        try:
            _send_parts(fs, path, target, insist, part)
            return
        except (FileNotFoundError, StoreError) as error:
            if code_of(error) in ("NoSuchUpload", "NotImplemented", "InvalidPart") and left:
                continue
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{_name(target)}: the upload was ended by somebody else ({error})") from error


def _send_parts(fs: Any, path: Path, target: str, insist: Insist, part: int) -> None:
    bucket, key, _ = fs.split_path(target)
    where = {"Bucket": bucket, "Key": key}
    started = insist(lambda: fs.call_s3("create_multipart_upload", **where), f"write {_name(target)}")
    where["UploadId"] = started["UploadId"]
    offsets = range(0, path.stat().st_size, part)

    def send_part(offset: int) -> dict[str, Any]:
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(part)
        number, md5 = offset // part + 1, _md5(data)
        sent = insist(
            lambda: fs.call_s3("upload_part", **where, PartNumber=number, Body=data, ContentMD5=md5),
            f"write part {number} of {len(offsets)} of {_name(target)}",
        )
        return {"PartNumber": number, "ETag": sent["ETag"]}

    try:
        parts = {"Parts": _at_once(send_part, offsets)}
        finish = {**where, "MultipartUpload": parts}
        try:
            insist(lambda: fs.call_s3("complete_multipart_upload", **finish), f"write {_name(target)}")
        except FileNotFoundError:  # if the answer was lost on its way back, the object is there all the same
            if insist(lambda: fs.exists(target), f"look at {_name(target)}") is not True:
                raise
    except BaseException:
        with suppress(Exception):  # its parts are invisible, and cost money until `mixgrid clean` finds them
            fs.call_s3("abort_multipart_upload", **where)
        raise


def _at_once(action: Callable[[int], Any], offsets: Sequence[int]) -> list[Any]:
    if len(offsets) == 1:
        return [action(offsets[0])]
    with ThreadPoolExecutor(min(AT_ONCE, len(offsets))) as pool:
        return list(pool.map(action, offsets))


def _name(path: str) -> str:
    """For messages: kind, artifact, attempt and file, without the store's own address."""
    return "/".join(path.split("/")[-4:])


def _md5(data: bytes) -> str:
    return b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _protocols(fs: Any) -> tuple[str, ...]:
    return fs.protocol if isinstance(fs.protocol, tuple) else (fs.protocol,)
