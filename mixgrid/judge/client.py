"""Asking a judge behind any OpenAI-compatible endpoint: one reply a request, kept before it is used.

    async with JudgeClient(runtime) as client:
        await client.ask(Request(model="gpt-4", messages=({"role": "user", "content": ...},), ...))
            -> Reply(text="... Rating: [[7]]", ...), or Failure(reason="empty reply", detail="finish reason 'length'")

The openai client does the retrying, and nothing else does. The key is read from the environment and handed to it; it
stays out of messages, records and the cache. A reply that has arrived when the process is killed, but is not yet in its
file, is lost and asked for again: about 3 ms with a cache in a folder (measured), the time of an upload behind a URL.
"""

import asyncio
import os
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, Field, ValidationError

from mixgrid.errors import JudgeError
from mixgrid.judge.budget import NO_TOKENS, Meter, Tokens
from mixgrid.judge.cache import CACHE, Cache, Keep, Reply, Request
from mixgrid.judge.records import Reason
from mixgrid.judge.settings import JudgeRuntime

_LONGEST_WAIT_S = 120  # the longest Retry-After that the openai client follows
_MESSAGE_TOKENS = 64  # more than any chat template puts around a message
_FATAL = {401: "the key is wrong", 402: "the account has no money left", 404: "there is no such model or address"}


@dataclass(frozen=True)
class Failure:
    """Why there is no reply: a reason to count by, and what happened."""

    reason: Reason
    detail: str


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt: int = Field(ge=0, alias="prompt_tokens")
    completion: int = Field(ge=0, alias="completion_tokens")


class _Completion(BaseModel):
    choices: list[_Choice] = Field(min_length=1)
    usage: object = None


class JudgeClient:
    """Asks requests, at most `concurrency` at a time, within the budget; to be used in one event loop."""

    def __init__(self, runtime: JudgeRuntime) -> None:
        """Raises JudgeError when OpenAI's own endpoint is to be asked and there is no key."""
        try:
            import openai
        except ImportError as error:
            raise JudgeError("judge: the package openai is not installed; pip install 'mixgrid[judge]'") from error
        key = os.environ.get(runtime.api_key_variable, "").strip()
        if not key and urlsplit(runtime.base_url).hostname == "api.openai.com":
            raise JudgeError(
                f"judge {runtime.base_url}: the environment variable {runtime.api_key_variable} is not set; "
                "export it, or name another endpoint as base_url"
            )
        self.meter = Meter(runtime)
        self._runtime = runtime
        self._cache = Cache(runtime.cache or CACHE)
        self._slots = asyncio.Semaphore(runtime.concurrency)
        self._key = key
        self._openai = openai.AsyncOpenAI(
            api_key=key or "none", base_url=runtime.base_url, max_retries=runtime.max_retries, timeout=runtime.timeout_s
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: "type[BaseException] | BaseException | TracebackType | None") -> None:
        await self._openai.close()

    async def kept(self, request: Request) -> Reply | None:
        """The reply in the cache, if any."""
        return await asyncio.to_thread(self._cache.find, request)

    async def ask(self, request: Request) -> Reply | Failure:
        """The kept reply, else a new one. Raises JudgeError when no request can succeed, StoreError for the cache."""
        if reply := await self.kept(request):
            return reply
        async with self._slots, self._cache.claim(request) as keep:
            if reply := await self.kept(request):  # another process had it meanwhile
                return reply
            return await self._call(request, keep)

    async def _call(self, request: Request, keep: Keep) -> Reply | Failure:
        written = sum(len(message["content"].encode()) + _MESSAGE_TOKENS for message in request.messages)
        worst = Tokens(written, request.max_tokens)  # a token is at least a byte
        if not await self.meter.reserve(worst):
            return Failure("budget", "not asked: the budget is spent")
        used = NO_TOKENS
        try:
            body = await self._send(request)
            if isinstance(body, Failure):
                return body
            completion = _Completion.model_validate_json(body)
            counted = _tokens(completion.usage)
            used = counted or worst
            reply = _reply(completion.choices[0], counted)
            if isinstance(reply, Reply):
                await keep(reply)
            return reply
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            return Failure("unreadable reply", f"{'.'.join(map(str, first['loc'])) or 'the body'}: {first['msg']}")
        finally:
            await self.meter.settle(worst, used)

    def _redacted(self, text: str) -> str:
        return (text.replace(self._key, "[key]") if self._key else text)[:300]

    async def _send(self, request: Request) -> bytes | Failure:
        import openai

        attempts = self._runtime.max_retries + 1
        options: dict[str, Any] = {self._runtime.token_limit: request.max_tokens}
        if request.temperature is not None:
            options["temperature"] = request.temperature
        try:
            async with asyncio.timeout(attempts * (self._runtime.timeout_s + _LONGEST_WAIT_S)):
                response = await self._openai.chat.completions.with_raw_response.create(
                    model=request.model, messages=list(request.messages),
                    extra_headers={"Idempotency-Key": request.key}, **options,
                )  # fmt: skip
                return bytes(response.content)
        except openai.APIStatusError as error:
            fault = _FATAL.get(error.status_code) or (error.code == "insufficient_quota" and _FATAL[402])
            if fault:
                self.meter.stop()
                said = self._redacted(error.message)
                raise JudgeError(f"judge {request.model} at {self._runtime.base_url}: {fault} ({said})") from None
            return Failure("error", self._redacted(f"HTTP {error.status_code}: {error.message}"))
        except (openai.OpenAIError, TimeoutError) as error:
            cause = type(error.__cause__ or error).__name__
            return Failure("error", self._redacted(f"{cause} after {attempts} attempts: {error}"))


def _tokens(usage: object) -> Tokens | None:
    """The endpoint's own count; local servers may tell none, or something else."""
    try:
        return Tokens(**_Usage.model_validate(usage).model_dump())
    except ValidationError:
        return None


def _reply(choice: _Choice, tokens: Tokens | None) -> Reply | Failure:
    text = (choice.message.content or "").encode("utf-8", "replace").decode()
    if not text.strip():
        return Failure("empty reply", f"finish reason {choice.finish_reason!r}")
    return Reply(text=text, finish_reason=choice.finish_reason, tokens=tokens, answered_at=round(time.time(), 3))
