"""Purity of neighbourhoods: a case by hand, deletions made one by one as the oracle, and simulated coverage."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from mixgrid.statistics import Purity, nearest, purity, purity_difference, wilson_interval

#            A  A  A  B  B
LINE = np.array([[0.0], [1.0], [5.0], [6.0], [7.5]])
GROUPS = [0, 0, 0, 1, 1]


def test_nearest_of_points_on_a_line_are_in_order_of_distance() -> None:
    assert nearest(LINE, 2).tolist() == [[1, 2], [0, 2], [3, 4], [2, 4], [3, 2]]


def test_purity_of_points_on_a_line_is_what_a_hand_counts() -> None:
    """0 and 1 have each other, 5 and 6 each other too but are of two groups, 7.5 has 6."""
    near = nearest(LINE, 2)
    found = purity(near, groups=GROUPS)
    assert (found.value, found.n) == (3 / 5, 5)
    assert found.chance == pytest.approx((3 * 2 + 2 * 1) / (5 * 4))
    first, second = (purity(near, groups=GROUPS, of=group) for group in (0, 1))
    assert (first.value, first.n, first.chance) == (pytest.approx(2 / 3), 3, pytest.approx(2 / 4))
    assert (second.value, second.n, second.chance) == (pytest.approx(1 / 2), 2, pytest.approx(1 / 4))


def by_deletion(
    points: NDArray[np.float64], groups: list[int], count: int, of: int | None = None
) -> tuple[float, float]:
    """Purity, and its variance from points that are really left out."""

    def value(kept: list[int]) -> float:
        near = nearest(points[kept], count)
        own = [groups[i] for i in kept]
        shares = [
            sum(own[j] == own[i] for j in near[i]) / count for i in range(len(kept)) if of is None or own[i] == of
        ]
        return sum(shares) / len(shares)

    everyone = list(range(len(groups)))
    variance = 0.0
    for group in set(groups):
        without = [value([i for i in everyone if i != left]) for left in everyone if groups[left] == group]
        variance += (len(without) - 1) * float(np.var(without))
    return value(everyone), variance


@given(st.integers(0, 9999), st.integers(1, 3), st.sampled_from([None, 0, 1]))
def test_purity_and_its_interval_equal_those_of_points_that_are_really_left_out(
    seed: int, count: int, of: int | None
) -> None:
    points = np.random.default_rng(seed).normal(size=(13, 2))
    groups = [0] * 5 + [1] * 8
    value, variance = by_deletion(points, groups, count, of)
    found = purity(nearest(points, count + 1), groups=groups, of=of)
    assert found.value == pytest.approx(value)
    if 0 < value < 1 and variance > 0:
        size = max(1.0, value * (1 - value) / variance)
        assert found.interval.low == pytest.approx(wilson_interval(value * size, size).low)
        assert found.interval.high == pytest.approx(wilson_interval(value * size, size).high)


def test_purity_of_groups_far_apart_is_whole_and_not_certain() -> None:
    points = np.concatenate([np.random.default_rng(0).normal(size=(20, 2)) + 100 * group for group in (0, 1)])
    found = purity(nearest(points, 6), groups=[0] * 20 + [1] * 20)
    assert found.value == found.interval.high == 1
    assert found.interval.low == pytest.approx(wilson_interval(40, 40).low)


def test_purity_difference_of_a_space_and_itself_is_nothing_for_sure_unless_points_are_few() -> None:
    near = nearest(np.random.default_rng(0).normal(size=(30, 3)), 6)
    groups = [0] * 15 + [1] * 15
    difference, interval = purity_difference(near, near, groups=groups)
    assert difference == 0
    assert interval.low == pytest.approx(0, abs=0.05)
    assert interval.high == pytest.approx(0, abs=0.05)


def test_purity_difference_has_the_sign_of_first_minus_second_and_mirrors() -> None:
    rng = np.random.default_rng(3)
    groups = [0] * 25 + [1] * 25
    noise, shift = rng.normal(size=(50, 4)), np.repeat([[0.0], [4.0]], 25, axis=0)
    apart, mixed = nearest(noise + shift, 6), nearest(noise, 6)
    difference, interval = purity_difference(apart, mixed, groups=groups)
    assert difference == pytest.approx(purity(apart, groups=groups).value - purity(mixed, groups=groups).value)
    assert 0 < interval.low < difference < interval.high < 1
    back, mirrored = purity_difference(mixed, apart, groups=groups)
    assert (back, mirrored.low) == (pytest.approx(-difference), pytest.approx(-interval.high))


@pytest.mark.slow
@pytest.mark.parametrize(("size", "first", "second"), [(20, 0.5, 1.5), (20, 3, 4), (50, 1.5, 3), (50, 4, 6)])
def test_purity_intervals_cover_the_mean_of_draws_in_95_of_100(size: int, first: float, second: float) -> None:
    rng, groups = np.random.default_rng(0), [group for group in range(3) for _ in range(size)]
    centres = np.zeros((3 * size, 8))
    centres[:size, 0] = centres[size : 2 * size, 1] = 1
    drawn: list[tuple[Purity, Purity, tuple[float, object]]] = []
    for _ in range(150):
        noise, other = rng.normal(size=(2, 3 * size, 8))
        one, two = nearest(noise + first * centres, 11), nearest(noise + 0.3 * other + second * centres, 11)
        whole, of_one = purity(two, groups=groups), purity(two, groups=groups, of=2)
        drawn.append((whole, of_one, purity_difference(two, one, groups=groups)))
    least = 0.95 - 3 * math.sqrt(0.95 * 0.05 / len(drawn))
    for number in (0, 1, 2):
        value_and_interval = [(draw[number][0], draw[number][1]) for draw in drawn]
        mean = float(np.mean([value for value, _ in value_and_interval]))
        assert np.mean([mean in interval for _, interval in value_and_interval]) >= least  # type: ignore[operator]
