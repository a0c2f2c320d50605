"""The client: what fails is not kept, what cannot succeed ends the run, and the key is nowhere to be read."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from mixgrid.errors import JudgeError, StoreError
from mixgrid.judge.judging import judge_all
from mixgrid.judge.questions import Bench
from mixgrid.judge.records import ModelAnswer
from mixgrid.judge.settings import JudgeSettings

SETTINGS = JudgeSettings(model="judge")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ({"text": None}, "empty reply"),
        ({"text": "\n"}, "empty reply"),
        ({"body": b"<html>"}, "unreadable reply"),
        ({"body": b'{"choices": [{"message": {"content": ["a"]}}]}'}, "unreadable reply"),
        ({"body": b"\xff"}, "unreadable reply"),
        ({"status": 400, "body": b'{"error": {"message": "too long"}}'}, "error"),
        ({"status": 403, "body": b"flagged"}, "error"),
        ({"drop": True}, "error"),
    ],
)
def test_failure_is_never_cached_and_a_later_run_fills_it(
    behaviour: dict[str, Any], reason: str, judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    runtime = judge_server.runtime(max_retries=0)
    judge_server.always(**behaviour)
    run = judge_all(answers[:2], bench=bench, settings=SETTINGS, runtime=runtime)
    assert [(j.score, j.reason) for j in run.open] == [(None, reason)] * 4
    assert not [path for path in Path(runtime.cache).rglob("*") if path.is_file()]
    judge_server.always()
    assert not judge_all(answers[:2], bench=bench, settings=SETTINGS, runtime=runtime).open


@pytest.mark.parametrize(
    ("status", "code", "fault"),
    [
        (401, "invalid_api_key", "the key is wrong"),
        (402, None, "no money left"),
        (404, "model_not_found", "no such model"),
        (429, "insufficient_quota", "no money left"),
    ],
)
def test_wrong_key_or_model_ends_the_run_at_once_and_the_key_stays_secret(
    status: int, code: str | None, fault: str, judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    error = {"error": {"message": f"no good: {judge_server.key}", "code": code}}
    judge_server.always(status=status, body=json.dumps(error).encode())
    with pytest.raises(JudgeError, match=fault) as caught:
        judge_all(answers, bench=bench, settings=SETTINGS, runtime=judge_server.runtime(max_retries=0))
    assert judge_server.key not in str(caught.value)
    assert len(judge_server.requests) <= 16


def test_key_is_in_no_reason_and_no_file(judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]) -> None:
    error = json.dumps({"error": {"message": f"no good: {judge_server.key}"}}).encode()
    judge_server.behave = lambda request, _: (
        {"status": 400, "body": error} if "81" in request["messages"][-1]["content"] else {"text": "[[5]]"}
    )
    runtime = judge_server.runtime()
    run = judge_all(answers[:4], bench=bench, settings=SETTINGS, runtime=runtime)
    assert "[key]" in run.judgments[0].detail
    assert judge_server.key not in repr((run, runtime, SETTINGS))
    files = [path for path in Path(runtime.cache).rglob("*") if path.is_file()]
    assert len(files) == 6
    assert not [path for path in files if judge_server.key in path.read_text()]


def test_openai_without_a_key_is_refused_before_any_call(
    monkeypatch: pytest.MonkeyPatch, judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(JudgeError, match="OPENAI_API_KEY is not set"):
        judge_all(
            answers, bench=bench, settings=SETTINGS,
            runtime=judge_server.runtime(base_url="https://api.openai.com/v1"),
        )  # fmt: skip
    run = judge_all(
        answers[:1], bench=bench, settings=SETTINGS, runtime=judge_server.runtime()
    )  # a local one needs none
    assert run.judgments[0].score == 7


def test_cache_that_takes_no_reply_stops_the_run(
    judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer], tmp_path: Path
) -> None:
    (tmp_path / "cache").mkdir()
    for shard in range(256):
        (tmp_path / "cache" / f"{shard:02x}").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"judge cache .*cannot write"):
        judge_all(answers, bench=bench, settings=SETTINGS, runtime=judge_server.runtime())
    assert not judge_server.requests


def test_each_request_is_sent_under_one_name_that_survives_the_process(
    judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    names = []
    for _ in range(2):  # nothing is kept the first time, as if each process had been killed before its reply came
        judge_server.always(drop=True)
        judge_all(answers[:2], bench=bench, settings=SETTINGS, runtime=judge_server.runtime(max_retries=0))
        assert None not in judge_server.idempotency_keys
        names.append(sorted(set(judge_server.idempotency_keys)))
        judge_server.idempotency_keys.clear()
    assert names[0] == names[1]
    assert len(names[0]) == 4  # two answers of two turns
