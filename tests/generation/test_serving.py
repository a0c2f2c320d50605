"""A server of the test's own is started for a checkpoint, asked, and ended with all that it started."""

import subprocess
import sys
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


def started_by(process: psutil.Process) -> list[psutil.Process]:
    """Its children and theirs: the keeper, the server, and what the server started."""
    return [child for child in process.children(recursive=True) if child.name() in ("sleep", "python", "python3")]


def all_gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=20)[1]


def test_checkpoint_is_served_while_it_is_asked_and_no_longer(tmp_path: Path) -> None:
    tokenizer = train_tokenizer(iter([""]), vocabulary_size=300)
    others = started_by(psutil.Process())
    with serving(ServerRuntime(command=command_of(tmp_path)), tmp_path) as server:
        engine = make_engine("server", tokenizer=tokenizer, server=server, batch_size=2)
        answers = dict(engine.answers([Prompt("a"), Prompt("b")], max_new_tokens=8))
        served = [process for process in started_by(psutil.Process()) if process not in others]
    assert {answer.text for answer in answers.values()} == {f"checkpoint in {tmp_path}"}
    assert len(served) == 3
    assert all_gone(served)


def test_server_does_not_outlive_a_killed_step(tmp_path: Path) -> None:
    command = command_of(tmp_path)
    script = (
        "import sys, time; from pathlib import Path\n"
        "from mixgrid.generation.serving import ServerRuntime, serving\n"
        f"with serving(ServerRuntime(command={command!r}), Path({str(tmp_path)!r})) as server:\n"
        "    print(server.url, flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as step:
        assert step.stdout is not None
        assert step.stdout.readline().startswith("http://127.0.0.1:")
        served = started_by(psutil.Process(step.pid))
        step.kill()
    assert len(served) == 3
    assert all_gone(served)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ((sys.executable, "-c", "raise SystemExit('no such architecture')"), "status 1; its last words: no such arch"),
        (("no-such-server", "{folder}"), "server command no-such-server: is not there"),
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
