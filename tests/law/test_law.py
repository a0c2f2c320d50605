"""The law against surfaces that are known, and against guesses without one."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixgrid.law import StudyLaw, fit_study
from mixgrid.law.amounts import amounts_of, matrix
from mixgrid.law.crossing import parting
from mixgrid.law.designs import finer
from mixgrid.law.forecast import in_closed_form
from mixgrid.law.front import pareto
from mixgrid.law.scale import Scale
from mixgrid.law.validation import interpolation, validate, validate_on

SIZES = {"sums": 1000, "chat": 1000}
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def law(losses: Rows) -> StudyLaw:
    return fit_study(losses, sizes=SIZES)


def expected(law: StudyLaw, ability: str, *stages: dict[str, Fraction]) -> tuple[float, float, float]:
    """Score, low and high of one cell that may not have been run."""
    forecast = law.headline("toy")[ability]
    amounts = matrix([amounts_of(stages, SIZES)], tuple(SIZES))
    return forecast.intervals(forecast.at(amounts), seeds=2)[0]


@pytest.mark.parametrize("k", [Fraction(3, 4), Fraction(1, 6), Fraction(1, 48)])
def test_law_foretells_a_cell_between_those_that_were_run(law: StudyLaw, k: Fraction) -> None:
    n = int(k * 1000)
    truth = 0.2 + 3 * (1 + n / 20) ** -0.9
    value, low, high = expected(law, "sums", {"sums": k})
    assert math.isclose(value, truth, rel_tol=0.05)
    assert low < truth < high


def test_law_left_out_cells_lie_in_their_intervals_and_its_error_is_below_every_guess(law: StudyLaw) -> None:
    for forecast in law.forecasts.values():
        checked = validate(forecast)
        assert checked.inside >= 0.85
        assert checked.beats_all


def test_law_of_half_a_grid_foretells_the_other_half(law: StudyLaw) -> None:
    seen = law.headline("toy")["sums"].observations
    odd = (np.round(np.log2(1000 / np.where(seen.amounts > 0, seen.amounts, 1000))) % 2 == 1).any(axis=1)
    assert 8 <= odd.sum() < len(seen)
    checked = validate_on(seen, odd)
    assert checked.errors["law"] < checked.errors["interpolation"]
    assert checked.inside >= 0.85


def test_law_of_rates_stays_between_nothing_and_everything(rates: Rows) -> None:
    law = fit_study(rates, sizes=SIZES)
    value, low, high = expected(law, "sums", {"sums": Fraction(1, 10)})
    assert math.isclose(value, 0.45, abs_tol=0.04)  # n = 100: u = 1
    assert 0 <= low < value < high <= 1


def test_law_of_too_few_cells_is_refused_with_what_it_takes(losses: Rows) -> None:
    few = [row for row in losses if row["strategy"] == "single" and row["proportion"] in ("1", "1/2")]
    law = fit_study(few, sizes=SIZES)
    assert not law.forecasts
    assert "4 with 3 different amounts of its data; it takes 8 with 3" in law.document()["refused"][0]["reason"]


def test_law_leaves_out_what_was_trained_with_another_recipe(losses: Rows) -> None:
    control = [
        {
            **row,
            "experiments": ["matched"],
            "score": row["score"] + 5,
            "key": row["key"] + " m",
            "recipe": [["epochs", "9"]],
        }
        for row in losses
        if row["strategy"] == "single"
    ]
    law = fit_study([*losses, *control], sizes=SIZES)
    assert "matched" in law.document()["notes"][0]
    assert len(law.headline("toy")["sums"].observations) == 32  # 8 k: two single sources, mixed, DMT


def test_law_document_is_plain_json_and_the_same_twice(losses: Rows, law: StudyLaw) -> None:
    text = json.dumps(law.document(), allow_nan=False)
    assert text == json.dumps(fit_study(losses, sizes=SIZES).document(), allow_nan=False)


def test_front_of_dmt_has_a_point_a_k_and_mixed_sequential(law: StudyLaw) -> None:
    points = law.document()["fronts"]["toy"]
    assert [point["k"] for point in points] == ["0", *(f"1/{2**i}" for i in range(7, 0, -1)), "1"]
    assert all(point["specialised"]["low"] <= point["specialised"]["value"] for point in points)
    values = [(point["specialised"]["value"], point["general"]["value"]) for point in points]
    best = max(values)
    assert points[values.index(best)]["on_front"]


def test_pareto_keeps_what_nothing_beats_on_both_sides() -> None:
    points = np.array([[1.0, 0.0], [0.5, 0.5], [0.4, 0.5], [0.0, 1.0], [0.0, 1.0]])
    assert list(pareto(points)) == [True, True, False, True, True]


def test_crossing_of_known_curves_is_where_they_meet(make_rows: Any) -> None:
    def loss(stages: list[dict[str, Fraction]], ability: str) -> float:
        own = float(stages[-1].get(ability, 0)) * 1000
        alone = 2 * (1 + own / 10) ** -0.6
        # mixing halves the loss at little data and adds to it at much: the two are equal at n = 100
        return alone * ((1 + own) / 101) ** 0.25 if len(stages[-1]) == 2 and own else alone

    law = fit_study(make_rows(loss), sizes=SIZES)
    found = next(e["crossing"] for e in law.document()["laws"] if e["ability"] == "sums")
    assert found["better_below"] == "mixed"
    assert found["low"] < 100 < found["high"]
    assert math.isclose(math.log(found["examples"]), math.log(100), abs_tol=0.7)


def test_parting_lies_between_gains_and_losses_whatever_wiggles_before() -> None:
    places = np.arange(6.0)
    assert parting(np.array([1.0, -0.1, 1.0, 1.0, -2.0, -2.0]), places) == (3.5, True)
    assert parting(np.array([-1.0, -1.0, -1.0, -1.0, -1.0, 2.0]), places) == (4.5, False)
    assert parting(np.ones(6), places) is None


def test_finer_proportions_lie_between_their_neighbours() -> None:
    ks = [Fraction(1, 64), Fraction(1, 16), Fraction(1, 2), Fraction(1)]
    assert finer(ks) == [*map(Fraction, ("1/64", "1/32", "1/16", "2/11", "1/2", "7/10", "1"))]


def test_interpolation_is_linear_in_log_amount(law: StudyLaw) -> None:
    seen = law.headline("toy")["sums"].observations
    alone = (seen.amounts[:, 0] > 0) & (seen.amounts[:, 1:].sum(axis=1) == 0)
    line = seen.without(~alone)
    lowest, highest = line.amounts[:, 0].min(), line.amounts[:, 0].max()
    ends = line.without(~np.isin(line.amounts[:, 0], [lowest, highest]))
    middle = np.array([[ends.unit * (math.sqrt(2 * (1 + highest / ends.unit)) - 1), 0, 0, 0]])  # half-way in log1p
    assert math.isclose(interpolation(ends, middle), ends.values.mean(), rel_tol=1e-6)


@given(st.floats(0, 1), st.integers(1, 2000))
def test_scale_bends_a_rate_there_and_back(rate: float, items: int) -> None:
    scale = Scale(lower_is_better=False, items=items)
    assert math.isclose(float(scale.unbend(scale.bend(np.array([rate])))[0]), rate, abs_tol=1e-9)


@given(st.floats(1e-6, 50))
def test_scale_bends_a_loss_there_and_back(loss: float) -> None:
    scale = Scale(lower_is_better=True)
    assert math.isclose(float(scale.unbend(scale.bend(np.array([loss])))[0]), loss, rel_tol=1e-6, abs_tol=1e-9)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0, 12), min_size=9, max_size=9), st.sampled_from(["response_loss", "exact"]))
def test_law_of_any_scores_is_finite_and_its_intervals_hold_their_value(scores: list[float], benchmark: str) -> None:
    rows = [
        {
            "model": "toy", "seed": 0, "experiments": ["rq1"], "strategy": "single", "proportion": f"1/{2**i}",
            "proportions": [{"sums": f"1/{2**i}"}], "ability": "sums", "benchmark": benchmark, "score": score, "n": 50,
            "low": score - 0.1, "high": score + 0.1, "key": str(i),
        }
        for i, score in enumerate(scores)
    ]  # fmt: skip
    law = fit_study(rows, sizes={"sums": 1000})
    json.dumps(law.document(), allow_nan=False)
    value, low, high = law.headline("toy")["sums"].intervals(
        law.headline("toy")["sums"].at(np.array([[300.0, 0.0]])), seeds=1
    )[0]
    assert low <= value <= high


def test_law_cells_left_out_in_closed_form_are_foretold_as_by_fits_of_their_own(law: StudyLaw) -> None:
    for forecast in law.forecasts.values():
        fitted = forecast.observations, forecast.curve, forecast.misfit, forecast.departures
        left, curve, errors = in_closed_form(*fitted)
        assert np.abs(left - forecast.left_out).max() < 0.5 * forecast.left_out_errors.max()
        assert np.median(np.abs(left - forecast.left_out)) < 0.1 * np.median(forecast.left_out_errors)
        assert np.median(errors / forecast.left_out_errors) == pytest.approx(1, abs=0.1)
        assert np.median(np.abs(curve - forecast.left_out_curve)) < 0.02
