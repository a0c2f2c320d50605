"""Killed with -9, or two at a time: no finished call is paid for again."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mixgrid.judge.judging import judge_all
from mixgrid.judge.questions import Bench
from mixgrid.judge.records import ModelAnswer
from mixgrid.judge.settings import JudgeSettings

SETTINGS = JudgeSettings(model="judge")
PROGRAM = """
import json, sys
from mixgrid.judge.judging import judge_all
from mixgrid.judge.questions import read_bench
from mixgrid.judge.records import ModelAnswer
from mixgrid.judge.settings import JudgeRuntime, JudgeSettings
order = json.loads(sys.argv[1])
answers = [ModelAnswer(i, (f"one {i}", f"two {i}")) for i in range(81, 161)]
run = judge_all(answers, bench=read_bench(**order["files"]), settings=JudgeSettings(model="judge"),
                runtime=JudgeRuntime(**order["runtime"]))
print(sum(j.score is not None for j in run.judgments), run.spent.calls)
"""


def started(judge_server: Any, files: dict[str, str]) -> "subprocess.Popen[str]":
    order = json.dumps({"files": files, "runtime": judge_server.runtime().model_dump()})
    return subprocess.Popen([sys.executable, "-c", PROGRAM, order], stdout=subprocess.PIPE, text=True)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def kept(judge_server: Any) -> int:
    return len(list(Path(judge_server.runtime().cache).rglob("*.json")))


def test_kill_9_in_the_middle_costs_no_call_twice(
    judge_server: Any, bench: Bench, bench_files: dict[str, str], answers: Sequence[ModelAnswer]
) -> None:
    release = threading.Event()
    counted = iter(range(10_000))

    def behave(_request: dict[str, Any], _attempt: int) -> dict[str, Any]:
        return {"wait": release.wait} if next(counted) >= 60 else {}

    judge_server.behave = behave
    with started(judge_server, bench_files) as process:
        wait_until(lambda: kept(judge_server) == 60 and len(judge_server.requests) == 76)  # 16 calls are under way
        process.kill()
    release.set()
    judge_server.always()
    run = judge_all(answers, bench=bench, settings=SETTINGS, runtime=judge_server.runtime())
    assert [j.score for j in run.judgments] == [7.0] * 160
    assert run.spent.calls == 100
    assert list(judge_server.completions.values()) == [1] * 160


def test_two_processes_at_once_pay_once(judge_server: Any, bench_files: dict[str, str]) -> None:
    judge_server.always(wait=lambda: time.sleep(0.05))
    with started(judge_server, bench_files) as one, started(judge_server, bench_files) as other:
        ended = [process.communicate(timeout=60)[0].split() for process in (one, other)]
    assert [scored for scored, _ in ended] == ["160", "160"]
    assert sum(int(calls) for _, calls in ended) == 160
    assert list(judge_server.completions.values()) == [1] * 160
    assert not list(Path(judge_server.runtime().cache).rglob("*.part"))


def test_damaged_or_foreign_file_counts_as_none_and_is_written_again(
    judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    runtime = judge_server.runtime()
    judge_all(answers[:4], bench=bench, settings=SETTINGS, runtime=runtime)
    files = sorted(Path(runtime.cache).rglob("*.json"))
    os.truncate(files[0], 50)
    files[1].write_bytes(files[2].read_bytes())
    files[3].unlink()
    files[3].with_suffix(".part").write_text('{"request": half a file of a killed process')
    assert judge_all(answers[:4], bench=bench, settings=SETTINGS, runtime=runtime).spent.calls == 3
    assert judge_all(answers[:4], bench=bench, settings=SETTINGS, runtime=runtime).spent.calls == 0


def test_reply_that_a_killed_process_had_not_put_in_its_place_is_taken_up(
    judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    runtime = judge_server.runtime()
    judge_all(answers[:4], bench=bench, settings=SETTINGS, runtime=runtime)
    for path in Path(runtime.cache).rglob("*.json"):
        path.rename(path.with_suffix(".part"))
    run = judge_all(answers[:4], bench=bench, settings=SETTINGS, runtime=runtime)
    assert (run.spent.calls, [j.score for j in run.judgments]) == (0, [7.0] * 8)
    assert kept(judge_server) == 8


def test_cache_behind_a_url_keeps_replies_too(
    judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer], s3_server: str
) -> None:
    runtime = judge_server.runtime(cache=f"{s3_server}/judge")
    assert judge_all(answers[:10], bench=bench, settings=SETTINGS, runtime=runtime).spent.calls == 20
    assert judge_all(answers[:10], bench=bench, settings=SETTINGS, runtime=runtime).spent.calls == 0
