"""A judge's endpoint that misbehaves on demand, and a bench of 80 toy questions in FastChat's files."""

import json
import select
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mixgrid.judge.questions import Bench, read_bench
from mixgrid.judge.records import ModelAnswer
from mixgrid.judge.settings import JudgeRuntime

CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
KEY = "sk-secret-0123456789"


def completion(text: str | None, *, finish_reason: str = "stop", usage: object = None) -> bytes:
    """The body of a chat completion; 100 tokens in and 10 out unless told otherwise."""
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110} if usage is None else usage
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    return json.dumps({"id": "c", "object": "chat.completion", "choices": [choice], "usage": usage}).encode()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the endpoint does with one request. `drop` closes the connection in the middle of the body."""

    text: str | None = "Fine. Rating: [[7]]"
    finish_reason: str = "stop"
    usage: object = None
    body: bytes | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: Callable[[], object] = bool
    drop: bool = False

    @property
    def data(self) -> bytes:
        """The body as it is sent."""
        made = completion(self.text, finish_reason=self.finish_reason, usage=self.usage)
        return made if self.body is None else self.body


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that was killed is no news."""


class JudgeServer:
    """Does what `behave(request, attempt)` says, in `Answer`'s words; `completions` counts those sent to the living.

    `attempt` counts the requests with this very body, from 0. `url` is for `base_url`, `runtime()` has fast settings.
    """

    key = KEY

    def __init__(self, folder: Path) -> None:
        self.behave: Callable[[dict[str, Any], int], dict[str, Any]]
        self.always()
        self._folder = folder
        self.requests: list[dict[str, Any]] = []
        self.idempotency_keys: list[str | None] = []
        self.attempts: Counter[str] = Counter()
        self.completions: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def always(self, **answer: Any) -> None:
        """Do the same with every request."""
        self.behave = lambda _request, _attempt: answer

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, body: bytes) -> Answer:
        request = json.loads(body)
        name = json.dumps(request, sort_keys=True)
        with self._lock:
            attempt = self.attempts[name]
            self.attempts[name] += 1
            self.requests.append(request)
        return Answer(**self.behave(request, attempt))

    def runtime(self, **changes: Any) -> JudgeRuntime:
        """Fast retries, and a cache in the test's folder."""
        common = {"base_url": self.url, "cache": str(self._folder / "cache"), "concurrency": 16, "timeout_s": 20.0}
        return JudgeRuntime(**{**common, "max_retries": 3, **changes})

    def complete(self, body: bytes) -> None:
        with self._lock:
            self.completions[json.dumps(json.loads(body), sort_keys=True)] += 1

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        judge = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet: a second one would wait 40 ms for the first one's acknowledgement

            def do_POST(self) -> None:
                asked = self.rfile.read(int(self.headers["Content-Length"]))
                if len(asked) < int(self.headers["Content-Length"]):
                    return  # the client was killed
                judge.idempotency_keys.append(self.headers["Idempotency-Key"])
                answer = judge.answer(asked)
                answer.wait()
                if _is_closed(self.connection):
                    self.close_connection = True
                    return
                with suppress(OSError):
                    self._send(answer)
                    if answer.status == 200 and not answer.drop:
                        judge.complete(asked)

            def _send(self, answer: Answer) -> None:
                self.send_response(answer.status)
                for name, value in {"Content-Type": "application/json", **answer.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.data)))
                self.end_headers()
                self.wfile.write(answer.data[: len(answer.data) // 2] if answer.drop else answer.data)
                self.wfile.flush()
                self.close_connection = answer.drop

            def log_message(self, *_: object) -> None:
                """Nothing to the console."""

        return Handler


def _is_closed(connection: socket.socket) -> bool:
    readable, _, _ = select.select([connection], [], [], 0)
    try:
        return bool(readable) and connection.recv(1, socket.MSG_PEEK) == b""
    except OSError:
        return True


@pytest.fixture
def judge_server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[JudgeServer]:
    """An endpoint of the test's own; the key is in the environment."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server = JudgeServer(tmp_path)
    yield server
    server.close()


def write_bench(folder: Path) -> dict[str, str]:
    """80 questions of two turns in 8 categories, four prompts and references, in FastChat's forms."""
    ids = range(81, 161)
    questions = [
        {"question_id": i, "category": CATEGORIES[(i - 81) // 10], "turns": [f"First {i}?", f"Second {i}?"]}
        for i in ids
    ]
    one, two = "Q {question} A {answer}", "Q {question_1} A {answer_1} Q {question_2} A {answer_2}"
    templates = {
        "single-v1": one, "single-v1-multi-turn": two,
        "single-math-v1": f"R {{ref_answer_1}} {one}",
        "single-math-v1-multi-turn": f"R {{ref_answer_1}} R {{ref_answer_2}} {two}",
    }  # fmt: skip
    prompts = [
        {"name": name, "type": "single", "system_prompt": "Judge.", "prompt_template": template}
        for name, template in templates.items()
    ]
    references = [
        {"question_id": i, "choices": [{"index": 0, "turns": [f"R1 {i}", f"R2 {i}"]}]} for i in range(101, 131)
    ]
    paths = {}
    for name, rows in (("questions", questions), ("prompts", prompts), ("references", references)):
        path = folder / f"{name}.jsonl"
        path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        paths[name] = str(path)
    return paths


@pytest.fixture
def bench_files(tmp_path: Path) -> dict[str, str]:
    """The toy bench's files, as `read_bench` takes them."""
    return write_bench(tmp_path)


@pytest.fixture
def bench(bench_files: dict[str, str]) -> Bench:
    """The toy bench."""
    return read_bench(**bench_files, reference_set="paper")


@pytest.fixture
def answers() -> list[ModelAnswer]:
    """An answer to each turn of each question."""
    return [ModelAnswer(i, (f"one {i}", f"two {i}")) for i in range(81, 161)]
