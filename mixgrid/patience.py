"""Storage failures: which of them pass by themselves, and trying again until they do.

    patience = Patience("s3://bucket/study", warn=print)
    patience.insist(lambda: fs.cat_file(path), "read sft/...")    # tried again after 503, timeouts, cut connections
    -> StoreAway: store s3://bucket/study: cannot read sft/...: Slow Down; tried 21 times in 300 s. ...

What a person has to mend (wrong key, no such bucket, no permission, a full disk) is an error at once. A store that
never answered in this process is given less time: more likely its address is wrong.
"""

import errno
import os
import random
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

from mixgrid.errors import InputError, StoreAway, StoreError

T = TypeVar("T")
VARIABLE = "MIXGRID_STORE_PATIENCE_S"
DEFAULT_S, FIRST_ANSWER_S = 300.0, 60.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 20.0
QUIET_S = 2.0
"""A failure that passes within this time is nobody's business."""
PASSING_STATUS = {408, 429, 500, 502, 503, 504}
PASSING_CODES = {
    "SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable", "Throttling", "ThrottlingException",
    "BadDigest", "XAmzContentSHA256Mismatch", "IncompleteBody", "OperationAborted",
}  # fmt: skip
"""S3's names for what passes; a digest that does not match is data that the way there changed."""
REMEDIES = {
    "NoSuchBucket": "make the bucket, or mend its name or AWS_ENDPOINT_URL",
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE",
    "InvalidAccessKeyId": "the store does not know this key: check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL",
    "SignatureDoesNotMatch": "the secret is another one: check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session's credentials have ended: get new ones",
}
FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NOT_ALLOWED = "check the credentials, and what they may do (docs/storage.md has the policy)"


class Patience:
    """Tries again for `limit` seconds (MIXGRID_STORE_PATIENCE_S), in growing steps with some chance in them."""

    def __init__(self, url: str, *, warn: Callable[[str], None], limit: float | None = None) -> None:
        self._url, self._warn = url, warn
        self._limit = _limit_from_environment() if limit is None else limit
        self._answered = False

    def insist(self, action: Callable[[], T], what: str, *, wait: bool = True) -> T:
        """The action's result. FileNotFoundError is an answer and passes through; all else ends as StoreError,
        and what trying again might still have mended as StoreAway.

        With `wait` off it is tried once.
        """
        started, pause, tries, told = time.monotonic(), FIRST_PAUSE_S, 0, False
        while True:
            tries += 1
            try:
                result = action()
            except storage_errors() as error:
                self._answered |= _response(error) is not None or isinstance(error, FileNotFoundError)
                if isinstance(error, FileNotFoundError) and code_of(error) != "NoSuchBucket":
                    raise
                if not is_passing(error):
                    raise StoreError(f"{self._cannot(what, error)}{_remedy(error)}") from error
                spent = time.monotonic() - started
                left = (self._limit if self._answered else min(self._limit, FIRST_ANSWER_S)) - spent
                if left <= 0 or not wait:
                    raise StoreAway(f"{self._cannot(what, error)}; {self._given_up(tries, spent)}") from error
                if spent > QUIET_S and not told:
                    self._warn(f"{self._cannot(what, error)}; trying again for {left:.0f} s")
                    told = True
                time.sleep(min(pause * random.uniform(0.5, 1), left))  # many workers must not come back as one
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                self._answered = True
                return result

    def _cannot(self, what: str, error: BaseException) -> str:
        said = error.strerror if isinstance(error, OSError) and _response(error) else error  # s3fs makes up an errno
        return f"store {self._url}: cannot {what}: {said or error or type(error).__name__}"

    def _given_up(self, tries: int, spent: float) -> str:
        times = "once" if tries == 1 else f"{tries} times in {spent:.0f} s"
        address = "" if self._answered else "; it never answered: check the address and AWS_ENDPOINT_URL"
        return f"tried {times}{address}. Run again once it answers, or set {VARIABLE} to wait longer"


def is_passing(error: BaseException) -> bool:
    """Whether trying again may help: the server is busy or broken, the connection was cut or is slow."""
    response = _response(error)
    if response:
        status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        return status in PASSING_STATUS or code_of(error) in PASSING_CODES
    return isinstance(error, (TimeoutError, ConnectionError, *_of("botocore.exceptions", "HTTPClientError",
        "ConnectionError", "IncompleteReadError"), *_of("botocore.parsers", "ResponseParserError"),
        *_of("aiohttp", "ClientError")))  # fmt: skip


def code_of(error: BaseException) -> str:
    """S3's name for the error, such as NoSuchBucket or 503; empty where it has none."""
    return str((_response(error) or {}).get("Error", {}).get("Code", ""))


def storage_errors() -> tuple[type[Exception], ...]:
    """OSError, and what the libraries below s3fs raise where they are loaded."""
    return (OSError, *_of("botocore.exceptions", "BotoCoreError", "ClientError"),
            *_of("botocore.parsers", "ResponseParserError"), *_of("aiohttp", "ClientError"))  # fmt: skip


def _of(module: str, *names: str) -> tuple[type[Exception], ...]:
    loaded = sys.modules.get(module)
    return tuple(getattr(loaded, name) for name in names) if loaded else ()


def _response(error: BaseException | None) -> dict[str, Any] | None:
    """The server's answer behind an error: s3fs translates errors and keeps the original as the cause."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return response
        error = error.__cause__
    return None


def _remedy(error: BaseException) -> str:
    found = REMEDIES.get(code_of(error)) or REMEDIES.get(type(error).__name__)
    if found is None and isinstance(error, PermissionError) and _response(error):
        found = NOT_ALLOWED
    if found is None and isinstance(error, OSError) and error.errno in FULL:
        found = "free space there, or choose a --store with more of it, and run again"
    return f"; {found}" if found else ""


def _limit_from_environment() -> float:
    text = os.environ.get(VARIABLE)
    try:
        limit = float(text) if text else DEFAULT_S
    except ValueError:
        limit = -1.0
    if not 0 <= limit < float("inf"):
        raise InputError(f"{VARIABLE}: {text!r} is no number of seconds; give one from 0 up, such as 300")
    return limit
