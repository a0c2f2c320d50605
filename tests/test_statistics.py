"""Intervals, against numbers from the literature, from tables, and worked by hand."""

import math
import random
from statistics import fmean, stdev
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from mixgrid.statistics import (
    Contrast,
    Interval,
    Sample,
    contrast,
    detectable_difference,
    holm,
    items_needed,
    mean_over_seeds,
    paired_difference,
    rate_difference,
    ratio_interval,
    t_quantile,
    wilson_interval,
)  # fmt: skip


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


def test_rate_difference_published_counts_give_published_interval() -> None:
    difference, interval = rate_difference((56, 70), (48, 80))  # Newcombe 1998, table II, contrast (a), method 10
    assert difference == pytest.approx(0.2)
    assert (interval.low, interval.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_paired_difference_of_right_and_wrong_is_mcnemars_exact_test() -> None:
    first, second = [1] * 8 + [0] * 2 + [1] * 5 + [0] * 5, [0] * 8 + [1] * 2 + [1] * 5 + [0] * 5
    found = paired_difference(first, second)
    assert found.difference == pytest.approx(6 / 20)
    assert found.p == pytest.approx(2 * (1 + 10 + 45) / 2**10)  # 8 against 2 of ten coins
    # one more item each way: 9/22 and 3/22, error sqrt((12/22 - (6/22)^2) / 22)
    half = 1.959964 * math.sqrt((12 / 22 - (6 / 22) ** 2) / 22)
    assert (found.interval.low, found.interval.high) == pytest.approx((6 / 22 - half, 6 / 22 + half), abs=1e-6)


def test_paired_difference_is_sharper_than_the_unpaired_one_where_items_agree() -> None:
    first, second = [1] * 60 + [0] * 40, [1] * 50 + [0] * 50
    paired, unpaired = paired_difference(first, second).interval, rate_difference((60, 100), (50, 100))[1]
    assert paired.high - paired.low < 0.6 * (unpaired.high - unpaired.low)
    assert paired.low > 0 > unpaired.low


def test_paired_difference_of_ratings_is_near_the_t_interval_and_turns_with_its_sides() -> None:
    draw = random.Random(1)
    second = [draw.gauss(5, 2) for _ in range(80)]
    first = [rating + draw.gauss(0.4, 1) for rating in second]
    found, turned = paired_difference(first, second), paired_difference(second, first)
    error = stdev([a - b for a, b in zip(first, second, strict=True)]) / math.sqrt(80)
    assert found.interval.low == pytest.approx(found.difference - 1.99 * error, abs=0.3 * error)
    assert found.interval.high == pytest.approx(found.difference + 1.99 * error, abs=0.3 * error)
    assert turned.difference == pytest.approx(-found.difference)
    assert turned.interval.low == pytest.approx(-found.interval.high, abs=0.3 * error)


@pytest.mark.parametrize(("first", "second", "named"), [([1], [1], "1 item"), ([1, 0], [1], "2 and 1")])
def test_paired_difference_of_what_is_not_paired_is_refused(
    first: list[float], second: list[float], named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        paired_difference(first, second)


def test_holm_worked_by_hand() -> None:
    # .01 x 4; .03 x 2 after .02 x 3; .04 x 1 cannot fall below .06
    assert holm([0.01, 0.04, 0.03, 0.02]) == pytest.approx([0.04, 0.06, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_helps_and_keeps_the_order(probabilities: list[float]) -> None:
    adjusted = holm(probabilities)
    assert all(p <= q <= 1 for p, q in zip(probabilities, adjusted, strict=True))
    by_p = sorted(zip(probabilities, adjusted, strict=True))
    assert [q for _, q in by_p] == sorted(adjusted)


def sample(scores: list[list[int]], *, weight: float = 1.0, cell: str = "a", measure: str = "m") -> Sample:
    """A cell's right and wrong answers, a list a seed."""
    return Sample(
        weight=weight, cell=cell, measure=measure, scores=[fmean(seed) for seed in scores],
        items=[dict(enumerate(seed)) for seed in scores], n=len(scores[0]),
    )  # fmt: skip


def test_contrast_of_one_seed_is_the_paired_interval_of_its_items() -> None:
    first, second = [1] * 8 + [0] * 2 + [1] * 90, [0] * 8 + [1] * 2 + [1] * 90
    found = contrast([sample([first]), sample([second], weight=-1, cell="b")])
    assert found is not None
    paired = paired_difference(first, second)
    assert found.value == pytest.approx(paired.difference)
    assert (found.seeds, found.paired, found.n) == (1, True, 100)
    assert found.interval().low == pytest.approx(paired.interval.low, abs=2e-3)  # t instead of z
    assert found.interval().high == pytest.approx(paired.interval.high, abs=2e-3)


def test_contrast_of_seeds_alone_is_welchs_interval() -> None:
    # every item says the same, so only seeds differ: .2, .4, .6 against .1, .1, .4, as ratings
    ratings = {"a": [0.2, 0.4, 0.6], "b": [0.1, 0.1, 0.4]}
    samples = [
        Sample(
            weight=1 if cell == "a" else -1, cell=cell, measure="m", scores=scores, is_rate=False,
            items=[dict.fromkeys(range(10), score) for score in scores],
        )
        for cell, scores in ratings.items()
    ]  # fmt: skip
    found = contrast(samples)
    assert found is not None
    welch = scipy.stats.ttest_ind(ratings["a"], ratings["b"], equal_var=False)
    wanted = welch.confidence_interval()
    assert found.interval().low == pytest.approx(wanted.low, abs=1e-9)
    assert found.p == pytest.approx(welch.pvalue, abs=1e-9)


def test_contrast_of_counts_alone_is_newcombes_interval() -> None:
    def known(right: int, n: int, weight: float) -> Sample:
        interval = wilson_interval(right, n)
        return Sample(weight=weight, cell=right, measure="m", scores=[right / n], interval=interval, n=n)

    found = contrast([known(56, 70, 1), known(48, 80, -1)])
    assert found is not None
    assert not found.paired
    assert (found.interval().low, found.interval().high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.p < 0.05


def test_contrast_whose_noise_is_unknown_has_no_interval() -> None:
    assert contrast([Sample(weight=1, cell="a", measure="mt_bench", scores=[6.02], n=80)]) is None


def test_contrast_is_never_certain_of_rates_that_all_agree() -> None:
    found = contrast([sample([[1] * 50] * 3), sample([[0] * 50] * 3, weight=-1, cell="b")])
    assert found is not None
    assert 0.85 < found.interval().low < 1 < found.interval().high


@given(st.lists(st.tuples(st.lists(st.booleans(), min_size=6, max_size=6), st.booleans()), min_size=2, max_size=4))
def test_contrast_turned_round_has_its_interval_turned_round(cells: list[tuple[list[bool], bool]]) -> None:
    def weighed(sign: int) -> Contrast:
        signs = [sign if up else -sign for _, up in cells]
        parts = enumerate(zip(cells, signs, strict=True))
        found = contrast([sample([list(map(int, c))], weight=s, cell=str(i)) for i, ((c, _), s) in parts])
        assert found is not None
        return found

    one, other = weighed(1).interval(), weighed(-1).interval()
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_power_of_a_known_test() -> None:
    # Fleiss: (1.96 + .8416) standard errors; 164 items at 3 points of error see 8.4 points
    assert detectable_difference(0.03) == pytest.approx(0.03 * 2.8016, abs=1e-5)
    needed = items_needed(0.03, n=164, difference=0.02)
    assert needed == math.ceil(164 * (0.03 * 2.801585 / 0.02) ** 2)


COVERAGE = 1500


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rate", "other", "n", "seeds", "seed_noise", "weight"),
    [
        (0.5, 0.4, 150, 1, 0.0, -1), (0.03, 0.02, 164, 1, 0.0, -1), (0.98, 0.02, 150, 1, 0.0, -1),
        (0.5, 0.4, 150, 3, 0.3, -1), (0.5, 0.4, 150, 3, 1.0, -0.85), (0.9, 0.8, 300, 5, 0.5, -0.85),
        (0.5, 0.4, 150, 3, 0.0, -1), (0.05, 0.02, 150, 3, 0.3, -1),
        (0.5, 0.4, 150, 2, 0.3, -1),
    ],
)  # fmt: skip
def test_contrast_covers_the_truth_as_often_as_it_says(
    rate: float, other: float, n: int, seeds: int, seed_noise: float, weight: float
) -> None:
    """Items have a difficulty that both cells share, each training a luck of its own, both on the logit scale."""
    draw = np.random.default_rng(0)

    def chances(p: float, items: Any, luck: Any) -> Any:
        return scipy.special.expit(scipy.special.logit(p) + items + seed_noise * luck)

    many = draw.normal(size=(2, 400_000))
    truth = chances(rate, *many).mean() + weight * chances(other, *many).mean()
    hits = 0
    for _ in range(COVERAGE):
        items = draw.normal(size=n)
        cells = [(1.0, rate, "a"), (weight, other, "b")]
        answers = {
            c: [(draw.random(n) < chances(p, items, draw.normal())).tolist() for _ in range(seeds)] for _, p, c in cells
        }
        found = contrast([sample(answers[cell], weight=w, cell=cell) for w, _, cell in cells])
        assert found is not None
        hits += truth in found.interval()
    assert (0.93 if seeds != 2 else 0.91) <= hits / COVERAGE <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("p", "n"), [(0.03, 164), (0.15, 164), (0.5, 30), (0.49, 1319), (0.99, 150)])
def test_wilson_covers_the_truth_as_often_as_it_says(p: float, n: int) -> None:
    rights = scipy.stats.binom(n, p)
    covered = sum(rights.pmf(k) for k in range(n + 1) if p in wilson_interval(k, n))  # exact, not drawn
    assert 0.92 <= covered <= 0.99


@pytest.mark.slow
@pytest.mark.parametrize(("p", "q", "n"), [(0.18, 0.15, 164), (0.49, 0.42, 1319), (0.02, 0.05, 100), (0.99, 0.9, 80)])
def test_unpaired_difference_covers_the_truth_as_often_as_it_says(p: float, q: float, n: int) -> None:
    draw = np.random.default_rng(0)
    counts = zip(draw.binomial(n, p, COVERAGE).tolist(), draw.binomial(n, q, COVERAGE).tolist(), strict=True)
    hits = sum(p - q in rate_difference((a, n), (b, n))[1] for a, b in counts)
    assert 0.93 <= hits / COVERAGE <= 0.985


@pytest.mark.slow
def test_paired_bootstrap_covers_the_truth_as_often_as_it_says() -> None:
    draw, hits = np.random.default_rng(0), 0
    for _ in range(300):
        both = draw.gamma(2, size=80)  # skewed, as ratings are
        hits += 0.5 in paired_difference((both + draw.gamma(1, size=80)).tolist(), (both + 0.5).tolist()).interval
    assert 0.91 <= hits / 300 <= 0.985


@pytest.mark.slow
@pytest.mark.parametrize("seeds", [3, 5])
def test_mean_over_seeds_covers_the_truth_as_often_as_it_says(seeds: int) -> None:
    draw, hits = np.random.default_rng(0), 0
    for _ in range(COVERAGE):
        interval = mean_over_seeds(draw.normal(0.6, 0.1, seeds).tolist()).interval
        assert interval is not None
        hits += 0.6 in interval
    assert 0.935 <= hits / COVERAGE <= 0.965


@pytest.mark.slow
def test_holm_errs_in_one_family_of_twenty() -> None:
    draw = np.random.default_rng(0)
    wrong = sum(min(holm(draw.random(12).tolist())) < 0.05 for _ in range(4000))
    assert 0.04 <= wrong / 4000 <= 0.06
