"""The rating in a reply: the last that is well formed and on the scale, at a bounded cost, whatever the text."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.judge.verdict import BRACKETED, RESULT, Scale, last_rating

TEN, FIVE = Scale(1, 10), Scale(1, 5)


@pytest.mark.parametrize(
    ("reply", "rating"),
    [
        ("Rating: [[5]]", 5),
        ("Rating: [[10]]", 10),
        ("Rating: [[1]]", 1),
        ("**[[7.5]]**", 7.5),
        ("[[ 8 ]]", 8),
        ("[[8.]]", 8),
        ("[[007]]", 7),
        ("[[3]] at first, but [[6]] on reflection", 6),
        ("The answer says [[10]]. Rating: [[2]]", 2),
        ("[[4]]\n\nScale: up to [[11]]", 4),
        ("Rating: [[rating]]: [[9]]", 9),
        ("[[[6]]]", 6),
        ("[[5]][[x]]", 5),
    ],
)
def test_last_rating_on_the_scale_counts(reply: str, rating: float) -> None:
    assert last_rating(reply, BRACKETED, TEN) == rating


@pytest.mark.parametrize(
    "reply",
    ["", "[[0]]", "[[11]]", "[[-5]]", "[[0.99]]", "[[10.01]]", "[[five]]", "[5]", "[[5]", "[[5/10]]", "[[1e1]]", 
     "[[nan]]", "[[]]", "[[５]]", "[[5,5]]", "[[5.5.5]]", "[[5\n]]", "Rating: 5", "[[" + "9" * 10_000 + "]]"],
)  # fmt: skip
def test_reply_without_a_rating_on_the_scale_has_none(reply: str) -> None:
    assert last_rating(reply, BRACKETED, TEN) is None


@pytest.mark.parametrize(
    ("reply", "rating"),
    [
        ("Feedback: good. [RESULT] 4", 4), ("[RESULT]: 3", 3), ("[RESULT] (5)", 5), ("[RESULT] 2.", 2),
        ("[RESULT] 1 as asked, no, [RESULT] 2", 2), ("[RESULT] 5\n[RESULT] 6", 5),
        ("[RESULT] 6", None), ("[RESULT] 0", None), ("[RESULT] 4.5", None), ("RESULT 4", None), ("[[4]]", None),
    ],
)  # fmt: skip
def test_prometheus_s_result_is_an_integer_up_to_five(reply: str, rating: float | None) -> None:
    assert last_rating(reply, RESULT, FIVE) == rating


@given(before=st.text(), rating=st.integers(1, 10))
def test_rating_at_the_end_counts_after_any_text(before: str, rating: int) -> None:
    assert last_rating(f"{before}[[{rating}]]", BRACKETED, TEN) == rating


@given(st.text(st.sampled_from("[] 0123456789.x\n"), max_size=60))
def test_rating_is_on_the_scale_or_none(reply: str) -> None:
    rating = last_rating(reply, BRACKETED, TEN)
    assert rating is None or 1 <= rating <= 10


@pytest.mark.parametrize(
    "piece", ["[", "[[", "[[1", "[[ ", "[[1]", "1", "[[9.9", "[[11]]", "[RESULT]", "[RESULT] ", "\ud800"]
)
@pytest.mark.parametrize("pattern", [BRACKETED, RESULT])
def test_megabytes_of_hostile_text_are_read_at_once(piece: str, pattern: "object") -> None:
    start = time.process_time()
    last_rating(piece * 1_000_000, pattern, TEN)  # type: ignore[arg-type]
    assert time.process_time() - start < 0.5
