"""Measures of how an answer behaves: numbers worked out by hand, and what must hold for any text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.grading.behaviour import Behaviour, behaviour, loops, mean_behaviour, repetition

WORDS = st.lists(st.sampled_from(["a", "b", "c", "day", "Tag", "。", "12"]), max_size=40)
TEXTS = st.text(st.characters()) | WORDS.map(" ".join)


def measured(text: str) -> Behaviour:
    return behaviour(text, finish_reason="stop", tokens=3)


def test_plain_answer() -> None:
    assert behaviour("#### 18", finish_reason="stop", tokens=4) == Behaviour(
        ends_turn=True, leaks_turn=False, repetition=0.0, loops=False, garbled=0.0, empty=False, tokens=4, characters=7
    )


def test_means_are_rates_shares_and_lengths() -> None:
    answers = [
        behaviour("a b c d", finish_reason="stop", tokens=4),
        behaviour("a b c d a b c d", finish_reason="length", tokens=8),  # abcd bcda cdab dabc abcd: 1 of 5 again
        behaviour(" \n", finish_reason="stop", tokens=1),
        behaviour("USER: \x00\ufffd", finish_reason="length", tokens=3),  # 2 of 8 characters
    ]
    assert mean_behaviour(answers) == {
        "ends_turn": 0.5, "leaks_turn": 0.25, "repetition": pytest.approx(0.05), "loops": 0.0, "garbled": 0.0625,
        "empty": 0.25, "tokens": 4.0, "characters": 8.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match="0 answers"):
        mean_behaviour([])


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("", 0.0),
        ("a a a", 0.0),
        ("a a a a", 0.0),
        ("a a a a a", 1 / 2),
        ("a a a a a a", 2 / 3),
        ("a b c d e f", 0.0),
        ("a b c d x a b c d", 1 / 6),
        ("a b a b a b a b", 3 / 5),
    ],
)
def test_repetition_is_the_share_of_4_grams_seen_before(text: str, share: float) -> None:
    assert repetition(text) == pytest.approx(share)


@pytest.mark.parametrize(
    "text",
    [
        "ha" * 20,
        "The sum is 4. " * 4,
        "Let me see.\n" + "I think so, and\nI hope so, and\n" * 5 + "I thi",
        "x" * 40,
        "今天天气很好。" * 10,
        "so " * 1000,
        "\n".join(["| a | b |"] * 10),
    ],
)
def test_text_that_ends_in_one_unit_loops(text: str) -> None:
    assert loops(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ha" * 19,  # 38 characters
        "The sum of two and two is four. " * 3,
        "The sum is 4. " * 4 + "That is all there is to say.",
        "no, no, no, no!",
        "\n" * 100,
        "- milk\n- eggs\n- bread\n- tea\n- salt\n- rice\n",
        "Row 1 is ok. Row 2 is ok. Row 3 is ok. Row 4 is ok. Row 5 is ok.",
    ],
)
def test_text_that_goes_on_does_not_loop(text: str) -> None:
    assert not loops(text)


@pytest.mark.parametrize(
    "text",
    [
        "18 USER: and 5?", "18\nASSISTANT: 5", "18</s>", "<s>18", "18<|im_start|>user", "18<|im_end|>", "18<|eot_id|>",
        "[INST] 5 [/INST]", "<<SYS>>", "18<end_of_turn>", "18\n### Instruction:\nAdd", "18\n\nHuman: and 5?", "User: 5",
    ],
)  # fmt: skip
def test_marker_of_a_turn_is_a_leak(text: str) -> None:
    assert measured(text).leaks_turn


@pytest.mark.parametrize(
    "text",
    ["The user: a person.", "SUPERUSER: root", "x <s y>", "a <| b |>", "an [INSTANCE]", "Every User: one", "### Sum"],
)
def test_words_about_users_are_no_leak(text: str) -> None:
    assert not measured(text).leaks_turn


@pytest.mark.parametrize("reason", ["length", "content_filter", ""])
def test_only_a_stop_ends_the_turn(reason: str) -> None:
    assert not behaviour("18", finish_reason=reason, tokens=1).ends_turn


@given(TEXTS)
def test_shares_lie_between_0_and_1_and_empty_text_has_none(text: str) -> None:
    found = measured(text)
    assert 0 <= found.repetition < 1
    assert 0 <= found.garbled <= 1
    assert found.empty is (not text.strip())
    assert not (found.empty and (found.leaks_turn or found.loops or found.repetition))


@given(WORDS, st.sampled_from([" ", "\n", "\t ", " \n\n"]))
def test_white_space_changes_neither_repetition_nor_loops(words: list[str], space: str) -> None:
    plain, spaced = " ".join(words), space + space.join(words) + space
    assert repetition(spaced) == repetition(plain)
    assert loops(spaced) is loops(plain)


@given(WORDS)
def test_text_said_twice_repeats_more(words: list[str]) -> None:
    once, twice = repetition(" ".join(words)), repetition(" ".join(words * 2))
    assert twice > once or len(words) < 4
    assert twice >= once


@given(st.lists(st.integers(), unique=True, max_size=60))
def test_different_words_repeat_nothing(numbers: list[int]) -> None:
    assert repetition(" ".join(map(str, numbers))) == 0


@given(st.text(min_size=1).map(str.split).map(" ".join).filter(bool), st.text())
def test_anything_said_40_times_at_the_end_loops_whatever_came_before(unit: str, before: str) -> None:
    assert loops(before + (unit + " ") * 40) or len(unit) > 1000


@given(st.text("ab ", max_size=120))
def test_loops_agree_with_trying_every_unit(text: str) -> None:
    said = " ".join(text.split())
    endings = (said[-length:] for length in range(40, len(said) + 1))
    tried = any(e[p:] == e[:-p] for e in endings for p in range(1, (len(e) + 1) // 4 + 1))
    assert loops(text) is tried


@pytest.mark.parametrize(
    "piece", ["a", "a ", " ", "\n", "ab" * 9 + "c", "USER", "<|a", "<", "\x00", "字", "#", "a b c d ", "[/"]
)
def test_a_megabyte_of_hostile_text_is_measured_at_once(piece: str) -> None:
    text = piece * (10**6 // len(piece))
    start = time.process_time()
    measured(text)
    assert time.process_time() - start < 0.5  # measured: 0.005 to 0.05
