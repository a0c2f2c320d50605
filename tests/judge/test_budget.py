"""The budget: never exceeded, what is done is kept, and a later run goes on from there."""

from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from mixgrid.judge.judging import judge_all
from mixgrid.judge.questions import Bench
from mixgrid.judge.records import ModelAnswer
from mixgrid.judge.settings import JudgeRuntime, JudgeSettings

SETTINGS = JudgeSettings(model="judge", max_tokens=10)


def test_budget_of_calls_stops_cleanly_and_a_later_run_goes_on(
    judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    first = judge_all(answers, bench=bench, settings=SETTINGS, runtime=judge_server.runtime(budget_calls=50))
    assert first.spent.calls == sum(judge_server.completions.values()) == 50
    assert sum(j.score is not None for j in first.judgments) == 50
    assert {j.reason for j in first.open} == {"budget"}
    assert len(first.open) == 110
    second = judge_all(answers, bench=bench, settings=SETTINGS, runtime=judge_server.runtime(budget_calls=110))
    assert (second.spent.calls, len(second.open)) == (110, 0)
    assert list(judge_server.completions.values()) == [1] * 160


def test_budget_of_money_is_not_exceeded_by_calls_at_once(
    judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    """A call costs 100 * 10 + 10 * 100 = 2,000 millionths: 100 of them 0.2. At its longest it is counted higher."""
    runtime = judge_server.runtime(budget=0.2, price_in=10, price_out=100)
    run = judge_all(answers, bench=bench, settings=SETTINGS, runtime=runtime)
    assert run.spent.money == pytest.approx(run.spent.calls * 0.002)
    assert 98 <= run.spent.calls <= 100
    assert run.spent.tokens.prompt == run.spent.calls * 100
    assert len(run.open) == 160 - run.spent.calls


def test_endpoint_that_counts_no_tokens_is_metered_at_the_longest(
    judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    judge_server.always(usage="none")
    runtime = judge_server.runtime(budget=1e-4, price_out=1)
    run = judge_all(answers, bench=bench, settings=SETTINGS, runtime=runtime)
    assert run.spent.calls == 10
    assert run.spent.tokens.completion == 100


def test_no_budget_at_all_still_tells_what_is_kept(
    judge_server: Any, bench: Bench, answers: Sequence[ModelAnswer]
) -> None:
    judge_all(answers[:5], bench=bench, settings=SETTINGS, runtime=judge_server.runtime())
    run = judge_all(answers, bench=bench, settings=SETTINGS, runtime=judge_server.runtime(budget_calls=0))
    assert [j.question_id for j in run.judgments if j.score is not None] == [*range(81, 86)] * 2
    assert run.spent.calls == 0


@pytest.mark.parametrize(
    "field",
    [
        {"budget": 1.0},
        {"base_url": "localhost:8000"},
        {"base_url": "http://user:secret@host/v1"},
        {"base_url": "https://host/v1?key=secret"},
        {"concurrency": 0},
        {"api_key": "sk-1"},
    ],
)
def test_runtime_refuses_what_it_cannot_mean(field: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JudgeRuntime(**field)
