"""Intervals, against numbers from the literature, from tables, and worked by hand."""

import math
import random

import pytest

from mixgrid.statistics import Interval, mean_over_seeds, ratio_interval, t_quantile, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),  # Newcombe 1998, table I, method 3
        (15, 148, 0.0624, 0.1605),  # the same table
        (1, 29, 0.0061, 0.1718),  # the same table
        (5, 10, 0.2366, 0.7634),  # by hand: .5 -+ z / (2 sqrt(10 + z^2))
        (0, 10, 0.0, 0.2775),  # by hand: z^2 / (10 + z^2)
    ],
)
def test_wilson_published_counts_give_published_interval(successes: int, n: int, low: float, high: float) -> None:
    interval = wilson_interval(successes, n)
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=5e-5)


def test_wilson_ends_are_exact_when_nothing_or_everything_succeeds() -> None:
    assert wilson_interval(0, 7).low == 0.0
    assert wilson_interval(7, 7).high == 1.0


def test_wilson_wider_confidence_contains_narrower() -> None:
    narrow, wide = wilson_interval(30, 100, confidence=0.8), wilson_interval(30, 100, confidence=0.99)
    assert wide.low < narrow.low < 0.3 < narrow.high < wide.high


@pytest.mark.parametrize(("successes", "n", "named"), [(0, 0, "n is 0"), (11, 10, "11"), (-1, 10, "-1")])
def test_wilson_impossible_counts_are_refused_by_value(successes: int, n: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        wilson_interval(successes, n)


def test_wilson_percent_for_confidence_is_refused_by_value() -> None:
    with pytest.raises(ValueError, match="95"):
        wilson_interval(1, 2, confidence=95)


def test_ratio_worked_by_hand() -> None:
    # ratio 6/4; residuals -1/2, 1/2; standard error sqrt(2/1 * (1/4 + 1/4)) / 4 = 1/4
    ratio, interval = ratio_interval([1, 5], [1, 3])
    assert ratio == 1.5
    assert (interval.low, interval.high) == pytest.approx((1.5 - 1.959964 / 4, 1.5 + 1.959964 / 4), abs=1e-6)


def test_ratio_same_loss_in_every_example_leaves_no_doubt() -> None:
    assert ratio_interval([2.0, 4.0, 8.0], [1, 2, 4]) == (2.0, Interval(2.0, 2.0))


def test_ratio_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    draw, hits = random.Random(0), 0
    for _ in range(400):
        tokens = [draw.randint(5, 60) for _ in range(80)]
        nats = [t * draw.gammavariate(4, 0.5) for t in tokens]  # 2 nats a token on average
        interval = ratio_interval(nats, tokens)[1]
        hits += interval.low <= 2 <= interval.high
    assert 0.91 <= hits / 400 <= 0.98


@pytest.mark.parametrize(
    ("numerators", "denominators", "named"),
    [([1.0], [2.0], "1 example"), ([1.0, 2.0], [1.0], "2 numerators and 1"), ([1.0, 1.0], [0.0, 0.0], "sum to 0")],
)
def test_ratio_without_a_value_is_refused(numerators: list[float], denominators: list[float], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        ratio_interval(numerators, denominators)


@pytest.mark.parametrize(
    ("degrees", "tabled"),  # two-sided 95 %: any printed t table
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (5, 2.571), (9, 2.262), (10, 2.228), (30, 2.042), (120, 1.980)],
)
def test_t_quantile_equals_printed_table(degrees: int, tabled: float) -> None:
    assert t_quantile(0.95, degrees=degrees) == pytest.approx(tabled, abs=5e-4)


def test_seeds_three_scores_give_t_interval() -> None:
    summary = mean_over_seeds([0.2, 0.3, 0.4])
    assert summary.mean == pytest.approx(0.3)
    assert (summary.seeds, summary.lowest, summary.highest) == (3, 0.2, 0.4)
    assert summary.interval is not None
    assert summary.interval.high == pytest.approx(0.3 + 4.3027 * 0.1 / math.sqrt(3), abs=1e-5)


def test_seeds_two_scores_give_range_but_no_interval() -> None:
    summary = mean_over_seeds([0.5, 0.25])
    assert (summary.lowest, summary.highest, summary.interval) == (0.25, 0.5, None)


def test_seeds_no_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="0 scores"):
        mean_over_seeds([])
