"""The recommendation: where one choice is plainly best, it is that one; weights and budgets change it."""

from typing import Any

import pytest

from mixgrid.errors import StudyError
from mixgrid.law import StudyLaw, fit_study, recommend
from mixgrid.law.candidates import Budget
from mixgrid.law.words import recommendation_lines
from mixgrid.report.law import render_law
from mixgrid.report.recommendation import render_recommendation

SIZES = {"sums": 1000, "chat": 1000}
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def law(rates: Rows) -> StudyLaw:
    return fit_study(rates, sizes=SIZES)


def only(said: dict[str, Any]) -> dict[str, Any]:
    (model,) = said["models"]
    return dict(model)


def test_recommend_takes_all_of_everything_where_others_do_no_harm(law: StudyLaw) -> None:
    best = only(recommend(law))["best"]
    assert best["proportions"][-1] == {"sums": "1", "chat": "1"}
    # own amount 1000: 0.9 x 31.6 / 32.6
    assert best["expected"]["sums"]["low"] < 0.872 < best["expected"]["sums"]["high"]


def test_recommend_with_weight_on_one_ability_and_a_budget_spends_it_there(law: StudyLaw) -> None:
    best = only(recommend(law, weights={"sums": 1}, budget=Budget(amount=600)))["best"]
    assert best["examples_an_epoch"] <= 600
    assert best["proportions"][-1].get("sums") == "1/2"
    assert "chat" not in best["proportions"][-1]


def test_recommend_counts_a_budget_in_tokens(law: StudyLaw) -> None:
    tokens = Budget(amount=60_000, tokens_each={"sums": 100.0, "chat": 100.0})
    best = only(recommend(law, weights={"sums": 1}, budget=tokens))["best"]
    assert (
        best["proportions"]
        == only(recommend(law, weights={"sums": 1}, budget=Budget(amount=600)))["best"]["proportions"]
    )


def test_recommend_names_next_cells_that_were_not_run(law: StudyLaw, rates: Rows) -> None:
    run = {str(row["proportions"]) for row in rates}
    said = only(recommend(law))
    assert 2 <= len(said["next"]) <= 3
    assert all(str(entry["proportions"]) not in run and entry["gain"] >= 0 for entry in said["next"])


def test_recommend_without_a_law_says_why(rates: Rows) -> None:
    few = fit_study([row for row in rates if row["proportion"] == "1"], sizes=SIZES)
    said = recommend(few)
    assert only(said)["best"] is None
    assert "too few cells for a law of sums" in "\n".join(recommendation_lines(said))


@pytest.mark.parametrize(
    ("weights", "message"),
    [({"sum": 1.0}, "did you mean 'sums'"), ({"sums": 0.0}, "above 0"), ({"sums": -1.0}, "0 or more")],
)
def test_recommend_with_wrong_weights_is_refused(law: StudyLaw, weights: dict[str, float], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        recommend(law, weights=weights)


def test_recommend_with_a_budget_below_everything_names_the_smallest(law: StudyLaw) -> None:
    with pytest.raises(StudyError, match="the smallest takes"):
        recommend(law, budget=Budget(amount=0.5))


def test_report_section_escapes_names_from_the_study(rates: Rows) -> None:
    hostile = "<script>alert(1)</script>"
    law = fit_study([{**row, "model": hostile} for row in rates], sizes=SIZES)
    section = render_law(law.document()) + render_recommendation(recommend(law))
    assert hostile not in section
    assert "&lt;script&gt;" in section
