"""The engine `server` against a real HTTP server on loopback: a tiny LLaMA answers, and misbehaves on demand."""

import json
import threading
import time
from collections import deque
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import torch

from mixgrid.errors import GenerationError
from mixgrid.generation import Prompt, Server, generate, make_engine
from mixgrid.generation.batched import BatchedEngine

PROMPTS = [f"{'abcdefghij'[: i % 9 + 1]} {i}?" for i in range(20)]


class Completions(ThreadingHTTPServer):
    """Answers /v1/completions; `faults`, (status, headers, body) or "hang" or "close", come before that."""

    daemon_threads = True

    def __init__(self, model: Any, tokenizer: Any) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model, self.tokenizer = model, tokenizer
        self.faults: deque[Any] = deque()
        self.requests: list[dict[str, Any]] = []
        self.authorizations: set[str | None] = set()
        self.busy = self.most_busy = 0
        self.usage = True
        self.lock = threading.Lock()
        self.computing = threading.Lock()

    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """The OpenAI form of an answer by the engine `transformers`, which here is asked for token numbers."""
        engine = BatchedEngine(self.model, _Numbers(self.tokenizer), batch_size=1)
        prompt = Prompt(json.dumps(body["prompt"]), body["temperature"], body["seed"])
        with self.computing:
            ((_, answer),) = engine.answers([prompt], max_new_tokens=body["max_tokens"], stop=body.get("stop", ()))
        usage = {"usage": {"completion_tokens": answer.tokens}} if self.usage else {}
        return {"choices": [{"text": answer.text, "finish_reason": answer.finish_reason}]} | usage


class _Numbers:
    """A tokenizer whose texts are lists of token numbers in JSON."""

    def __init__(self, tokenizer: Any) -> None:
        self.eos_token_id, self.bos_token_id = tokenizer.eos_token_id, tokenizer.bos_token_id
        self.decode = tokenizer.decode

    def __call__(self, texts: list[str], *, add_special_tokens: bool) -> dict[str, Any]:  # noqa: ARG002
        return {"input_ids": [json.loads(text) for text in texts]}


class _Handler(BaseHTTPRequestHandler):
    server: Completions

    def do_POST(self) -> None:
        served, body = self.server, json.loads(self.rfile.read(int(self.headers["content-length"])))
        with served.lock:
            served.requests.append(body)
            served.authorizations.add(self.headers.get("authorization"))
            served.busy += 1
            served.most_busy = max(served.most_busy, served.busy)
            fault = served.faults.popleft() if served.faults else None
        if fault == "hang":
            time.sleep(1.5)
        if fault == "close" or fault == "hang":
            self._leave()
            return
        status, headers, text = fault or (200, {}, json.dumps(served.complete(body)))
        self._leave()
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(text.encode()))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text.encode())

    def _leave(self) -> None:
        with self.server.lock:
            self.server.busy -= 1

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def served(model_of: Any, tokenizer: Any) -> Iterator[Completions]:
    with Completions(model_of("llama", torch.float32), tokenizer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def at(served: Completions, **changes: Any) -> Server:
    return Server(url=f"http://127.0.0.1:{served.server_port}/v1", model="tiny", **changes)


def ask(served: Completions, prompts: Any, **changes: Any) -> Any:
    options = {"max_new_tokens": 12, "batch_size": 4, "engine": "server", "server": at(served, **changes)}
    return generate(None, served.tokenizer, prompts, **options)


def test_server_gives_the_answers_of_transformers_to_token_numbers(served: Completions) -> None:
    prompts = [*map(Prompt, PROMPTS), Prompt("abc", 1.0, 7)]
    answers = ask(served, prompts)
    assert answers == generate(served.model, served.tokenizer, prompts, max_new_tokens=12, batch_size=4)
    assert all(isinstance(number, int) for request in served.requests for number in request["prompt"])
    assert 1 < served.most_busy <= 4


def test_server_without_usage_has_its_tokens_counted(served: Completions) -> None:
    served.usage = False
    (answer,) = ask(served, ["plain"])
    new = len(served.tokenizer(answer.text, add_special_tokens=False)["input_ids"])
    assert answer.tokens == new + (answer.finish_reason == "stop")


def test_server_that_fails_for_a_while_is_asked_again(served: Completions) -> None:
    served.faults.extend([(429, {"retry-after": "1"}, ""), (500, {}, "oops"), (503, {}, ""), "close", "hang"])
    started = time.monotonic()
    answers = ask(served, PROMPTS[:6], timeout_s=1.0)
    assert answers == generate(served.model, served.tokenizer, PROMPTS[:6], max_new_tokens=12, batch_size=4)
    assert len(served.requests) == 11
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ((401, {}, "no such key"), r"status 401: no such key; .*MIXGRID_SERVER_KEY"),
        ((200, {}, "<html>"), "this is no completion: '<html>'"),
        ((200, {}, '{"choices": []}'), "this is no completion"),
    ],
)
def test_server_that_refuses_is_not_asked_again(fault: Any, message: str, served: Completions) -> None:
    served.faults.append(fault)
    with pytest.raises(GenerationError, match=message):
        ask(served, PROMPTS[:1])
    assert len(served.requests) == 1


def test_answers_on_their_way_are_given_before_a_failure_is_raised(served: Completions) -> None:
    served.faults.extend([(400, {}, "bad")])
    engine = make_engine("server", tokenizer=served.tokenizer, batch_size=2, server=at(served))
    given = []
    with pytest.raises(GenerationError, match="status 400"):
        given.extend(engine.answers(list(map(Prompt, PROMPTS)), max_new_tokens=4))
    assert len(served.requests) < len(PROMPTS)


def test_server_that_keeps_failing_is_given_up(served: Completions) -> None:
    served.faults.extend([(500, {}, "oops")] * 2)
    with pytest.raises(GenerationError, match="status 500: oops"):
        ask(served, PROMPTS[:1], attempts=2)
    assert len(served.requests) == 2


def test_key_comes_from_the_environment_only_when_it_is_there(
    served: Completions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MIXGRID_SERVER_KEY", raising=False)
    ask(served, PROMPTS[:1])
    monkeypatch.setenv("MIXGRID_SERVER_KEY", "secret")
    ask(served, PROMPTS[:1])
    assert served.authorizations == {None, "Bearer secret"}


def test_stop_strings_end_a_servers_answer_too(served: Completions) -> None:
    whole = ask(served, ["abc"])[0]
    stop = next(letter for letter in whole.text if letter.isascii())
    options = {"max_new_tokens": 12, "batch_size": 4, "engine": "server", "server": at(served), "stop": [stop]}
    (cut,) = generate(None, served.tokenizer, ["abc"], **options)
    assert (cut.text, cut.finish_reason) == (whole.text[: whole.text.index(stop)], "stop")
