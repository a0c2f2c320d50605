"""A server of the test's own is started for a checkpoint, asked, and ended with all that it started."""

import sys
import time
from pathlib import Path

import psutil
import pytest

from mixgrid.errors import GenerationError
from mixgrid.generation import Prompt, make_engine
from mixgrid.generation.serving import ServerRuntime, serving
from mixgrid.models import train_tokenizer

SERVER = """
import json, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer
folder, port, model = sys.argv[1:]
subprocess.Popen(["sleep", "600"])

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.reply({"data": [{"id": model}]})

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        text = f"{asked['model']} in {folder}"
        usage = {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5}
        self.reply({"choices": [{"index": 0, "text": text, "finish_reason": "stop"}], "usage": usage})

    def reply(self, document):
        body = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
"""


def command_of(tmp_path: Path) -> tuple[str, ...]:
    (tmp_path / "server.py").write_text(SERVER)
    return (sys.executable, str(tmp_path / "server.py"), "{folder}", "{port}", "{model}")


def started_by_me() -> set[int]:
    return {process.pid for process in psutil.process_iter() if process.status() != psutil.STATUS_ZOMBIE}


def test_checkpoint_is_served_while_it_is_asked_and_no_longer(tmp_path: Path) -> None:
    before = started_by_me()
    tokenizer = train_tokenizer(iter([""]), vocabulary_size=300)
    with serving(ServerRuntime(command=command_of(tmp_path)), tmp_path) as server:
        engine = make_engine("server", tokenizer=tokenizer, server=server, batch_size=2)
        answers = dict(engine.answers([Prompt("a"), Prompt("b")], max_new_tokens=8))
        served = [
            pid for pid in started_by_me() - before if psutil.Process(pid).name() in ("sleep", "python3", "python")
        ]
    assert {answer.text for answer in answers.values()} == {f"checkpoint in {tmp_path}"}
    assert len(served) >= 2
    time.sleep(0.2)
    assert not set(served) & started_by_me()


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((sys.executable, "-c", "raise SystemExit('no such architecture')"), "status 1; its last words: no such arch"),
        (("no-such-server", "{folder}"), "server command no-such-server: No such file"),
        (
            (sys.executable, "-c", "import time; print('loading', flush=True); time.sleep(60)"),
            "does not answer after 1 s",
        ),
    ],
)
def test_server_that_does_not_serve_is_told_with_its_last_words(
    command: tuple[str, ...], said: str, tmp_path: Path
) -> None:
    runtime = ServerRuntime(command=command, ready_s=1)
    with pytest.raises(GenerationError, match=said), serving(runtime, tmp_path):
        pytest.fail("it was served")
