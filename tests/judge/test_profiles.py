"""Profiles: requests in the form a judge was trained on, and scales of their own."""

import pytest

from mixgrid.errors import SourceError, StudyError
from mixgrid.judge.profiles import PROFILES, Case, again, profile_named
from mixgrid.judge.questions import Bench

HEADINGS = ["###Task Description:", "###The instruction to evaluate:", "###Response to evaluate:", "###Score Rubrics:"]


@pytest.mark.parametrize("name", PROFILES)
def test_rating_on_the_scale_is_read_and_one_off_it_is_not(name: str) -> None:
    profile = profile_named(name)
    form = profile.reminder.partition('"')[2].rpartition('"')[0]  # such as `Rating: [[5]]`
    digit = next(letter for letter in form if letter.isdigit())
    for rating in (profile.scale.low, profile.scale.high):
        assert profile.rating(form.replace(digit, f"{rating:.0f}")) == rating
    assert profile.rating(form.replace(digit, f"{profile.scale.high + 1:.0f}")) is None


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("turns", [("one",), ("one", "two {x}")])
@pytest.mark.parametrize("question_id", [81, 111])
def test_request_ends_with_the_user_and_holds_all_that_is_judged(
    name: str, turns: tuple[str, ...], question_id: int, bench: Bench
) -> None:
    question, references = bench.questions[question_id], bench.references.get(question_id, ())
    _, messages = profile_named(name).render(Case(question, turns, references), bench)
    assert messages[-1]["role"] == "user"
    for text in (*question.turns[: len(turns)], *turns, *references[len(turns) - 1 : len(turns)]):
        assert text in messages[-1]["content"]


def test_prometheus_gets_its_sections_in_order_and_a_reference_only_where_there_is_one(bench: Bench) -> None:
    render = profile_named("prometheus").render
    _, (message,) = render(Case(bench.questions[81], ("one",)), bench)
    text = message["content"]
    assert [text.index(heading) for heading in HEADINGS] == sorted(text.index(heading) for heading in HEADINGS)
    assert text.endswith("###Feedback: ")
    assert "###Reference Answer" not in text
    _, (message,) = render(Case(bench.questions[111], ("one",), ("R1",)), bench)
    assert "###Reference Answer (Score 5):\nR1\n" in message["content"]


def test_second_request_keeps_roles_alternating() -> None:
    first = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert [m["role"] for m in again(first, "no idea", "rate!")] == ["system", "user", "assistant", "user"]
    assert again(first, "", "rate!") == [first[0], {"role": "user", "content": "u\n\nrate!"}]


def test_unknown_profile_and_missing_prompt_are_named(bench: Bench) -> None:
    with pytest.raises(StudyError, match="'nobody' is unknown; choose one of mt-bench, prometheus"):
        profile_named("nobody")
    question = bench.questions[81].model_copy(update={"category": "math"})
    with pytest.raises(SourceError, match=r"has the field 'ref_answer_1'; it may have question"):
        profile_named("mt-bench").render(Case(question, ("one",)), bench)
