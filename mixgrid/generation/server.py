"""The engine `server`: /v1/completions of a vLLM or other OpenAI-compatible server.

    engine = ServerEngine(Server(url="http://127.0.0.1:8000/v1", model="base"), tokenizer, batch_size=64)
    list(engine.answers([Prompt("USER: 1 + 1? ASSISTANT:")], max_new_tokens=64))

Prompts go as token numbers, so that the server's own template and special tokens change nothing. Whether answers are
those of the other engines is up to the server; vLLM ends answers at the end tokens of the checkpoint's generation
configuration. The client is httpx, which Prefect brings.
"""

import os
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import Any

import httpx

from mixgrid.errors import GenerationError
from mixgrid.generation.batched import encode
from mixgrid.generation.engine import Answer, Prompt, Server

_LONGEST_WAIT_S = 60.0


class ServerEngine:
    """See `mixgrid.generation.engine.Engine`. At most `batch_size` requests at once, a prompt each."""

    name = "server"

    def __init__(self, server: Server, tokenizer: Any, *, batch_size: int, add_special_tokens: bool = True) -> None:
        self._server, self._tokenizer = server, tokenizer
        self._batch_size, self._add_special_tokens = batch_size, add_special_tokens

    def answers(
        self, prompts: Sequence[Prompt], *, max_new_tokens: int, stop: Sequence[str] = ()
    ) -> Iterator[tuple[int, Answer]]:
        """The number of a prompt and its answer, each as soon as it is there. Raises GenerationError when the server
        refuses a request, or fails `attempts` times, once all answers that were on their way have been given."""
        ids = encode(self._tokenizer, prompts, add_special_tokens=self._add_special_tokens)
        key = os.environ.get(self._server.key_variable)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=self._batch_size, max_keepalive_connections=self._batch_size)
        pool = ThreadPoolExecutor(self._batch_size)
        with httpx.Client(headers=headers, limits=limits, timeout=self._server.timeout_s) as client:
            bodies = [
                self._body(*one, max_new_tokens=max_new_tokens, stop=stop) for one in zip(ids, prompts, strict=True)
            ]
            asked = {pool.submit(self._ask, client, body): i for i, body in enumerate(bodies)}
            failed: BaseException | None = None
            try:
                for done in as_completed(asked):
                    if done.cancelled():
                        continue
                    if (error := done.exception()) is None:
                        yield asked[done], done.result()
                    elif failed is None:  # what is on its way is paid for and still taken, the rest is not sent
                        failed = error
                        for waiting in asked:
                            waiting.cancel()
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
            if failed is not None:
                raise failed

    def _body(self, ids: list[int], prompt: Prompt, *, max_new_tokens: int, stop: Sequence[str]) -> dict[str, Any]:
        body = {
            "model": self._server.model, "prompt": ids, "max_tokens": max_new_tokens,
            "temperature": prompt.temperature, "seed": prompt.seed,
        }  # fmt: skip
        return body | ({"stop": list(stop)} if stop else {})

    def _ask(self, client: httpx.Client, body: dict[str, Any]) -> Answer:
        """One answer. Too many requests, server errors and lost connections are tried again, ever later."""
        url = f"{self._server.url.rstrip('/')}/completions"
        for attempt in range(self._server.attempts):
            wait_s = random.uniform(0.5, 1) * min(_LONGEST_WAIT_S, 0.5 * 2**attempt)
            try:
                response = client.post(url, json=body)
            except httpx.TransportError as error:
                fault = f"{type(error).__name__}: {error}"
            else:
                if response.is_success:
                    return self._answer(response)
                fault = f"status {response.status_code}: {response.text[:200]}"
                if response.status_code not in (408, 409, 429) and response.status_code < 500:
                    break
                wait_s = max(wait_s, _asked_to_wait(response))
            if attempt + 1 < self._server.attempts:
                time.sleep(wait_s)
        raise GenerationError(
            f"server {url}: {fault}; check the address, the model's name ({self._server.model!r}) and the key in "
            f"{self._server.key_variable}, then run again"
        )

    def _answer(self, response: httpx.Response) -> Answer:
        try:
            reply = response.json()
            choice = reply["choices"][0]
            text, reason = str(choice["text"]), str(choice["finish_reason"])
            usage = reply.get("usage") or {}
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            shown = response.text[:200]
            raise GenerationError(
                f"server {self._server.url}: this is no completion: {shown!r}; give an OpenAI-compatible address"
            ) from error
        tokens = usage.get("completion_tokens")
        if tokens is None:
            tokens = len(self._tokenizer(text, add_special_tokens=False)["input_ids"]) + (reason == "stop")
        return Answer(text, "stop" if reason == "stop" else "length", int(tokens))


def _asked_to_wait(response: httpx.Response) -> float:
    """Seconds that the server asks for, within reason."""
    asked = response.headers.get("retry-after", "")
    return min(float(asked), _LONGEST_WAIT_S) if asked.isdecimal() else 0.0
