"""The controls as experiments: what they plan, worked by hand, and that they leave other cells' keys alone."""

from fractions import Fraction
from pathlib import Path

import pytest

from mixgrid.cells import Cell, Selection, expand
from mixgrid.errors import StudyError
from mixgrid.plan import Plan, make_plan
from mixgrid.study import Study
from mixgrid.study_file import parse_study

SIZES = {"sums": 1000, "code": 500, "chat": 300}
STUDY = """
name: controls
abilities:
  sums: {source: {name: lab.math, rows: 1000, held_out: 10}, benchmarks: [lab.math]}
  code: {source: {name: lab.code, rows: 500, held_out: 10}, benchmarks: [lab.code]}
  chat: {source: {name: lab.general, rows: 300, held_out: 10}, benchmarks: [lab.general]}
specialised: [code, sums]
models: [lab.small]
proportions: [1, 1/4]
experiments: [EXPERIMENTS]
recipe: {epochs: 3, batch_size: 16, peak_learning_rate: 1.0e-3, warmup_ratio: 0, schedule: constant}
"""


def study(experiments: str, **changes: str) -> Study:
    text = STUDY.replace("EXPERIMENTS", experiments)
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse_study(text, path=Path("controls.yaml"))


def plan(experiments: str) -> Plan:
    return make_plan(study(experiments), selection=Selection(), lock={})


def cells(experiments: str) -> dict[str, Cell]:
    return {cell.name: cell for cell in expand(study(experiments))}


def test_matched_single_source_takes_the_steps_of_the_mix() -> None:
    # a quarter: 250 + 125 + 75 = 450 examples, 29 batches of 16, 3 epochs
    found = cells("matched_steps")
    budget = found["lab.small:matched_steps.chat:1/4:0"].recipe.budget
    assert budget is not None
    assert budget.steps == 87
    assert found["lab.small:matched_steps:1/4:0"].recipe == study("rq2").recipe


def test_matched_mix_is_the_same_training_as_rq2() -> None:
    chains = plan("rq2, matched_steps").chains
    assert chains["lab.small:rq2:1/4:0"][-1].key == chains["lab.small:matched_steps:1/4:0"][-1].key
    alone = plan("rq1, matched_steps").chains
    assert alone["lab.small:rq1.chat:1/4:0"][-1].key != alone["lab.small:matched_steps.chat:1/4:0"][-1].key


def test_budgeted_recipe_is_matched_already() -> None:
    budgeted = [f"{{name: {name}, recipe: {{budget: {{steps: 9}}}}}}" for name in ("rq1", "matched_steps")]
    chains = plan(", ".join(budgeted)).chains
    assert chains["lab.small:rq1.chat:1:0"][-1].key == chains["lab.small:matched_steps.chat:1:0"][-1].key


def test_reversed_order_ends_with_the_first_specialised_ability() -> None:
    (cell,) = cells("reversed_order").values()
    assert [list(stage) for stage in cell.stages] == [["chat"], ["sums"], ["code"]]


def test_equal_amounts_have_the_total_of_equal_proportions() -> None:
    found = cells("equal_amounts")
    assert list(found) == ["lab.small:equal_amounts:1/4:0"]  # at 1 the 300 rows of chat are too few
    amounts = {name: int(k * SIZES[name]) for name, k in found["lab.small:equal_amounts:1/4:0"].stages[0].items()}
    assert amounts == {"sums": 150, "code": 150, "chat": 150}


def test_equal_amounts_that_no_proportion_allows_are_refused() -> None:
    with pytest.raises(StudyError, match=r"equal_amounts.*proportions: \[1/16\]"):
        study("{name: equal_amounts, proportions: [1]}")


def test_control_that_counts_rows_asks_for_them() -> None:
    with pytest.raises(StudyError, match=r"chat.*rows: N"):
        study("matched_steps", **{"{name: lab.general, rows: 300, held_out: 10}": "{form: messages, path: chat.jsonl}"})


def test_controls_beside_other_experiments_leave_their_keys_as_they_were() -> None:
    before, after = plan("rq1, rq2, rq4, dmt"), plan("rq1, rq2, rq4, dmt, matched_steps, reversed_order, equal_amounts")
    same = {key for key, step in before.steps.items() if step.kind != "aggregate"}
    assert same <= set(after.steps)
    assert len(after.chains) - len(before.chains) == 8 + 1 + 1


def test_recipe_of_a_control_is_told_to_the_aggregate_step() -> None:
    names = plan("rq1, matched_steps").names.checkpoints
    told = {n.experiments: dict(n.recipe) for n in names if n.proportions == ({"chat": "1/4"},)}
    assert told[("rq1",)] == {}
    assert told[("matched_steps",)]["epochs"] == "null"
    assert '"steps": 87' in told[("matched_steps",)]["budget"]
    assert Fraction(1, 4) in study("rq1").proportions
