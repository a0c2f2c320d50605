"""Benchmarks that are out of domain: whom they ask, and that they stand apart in every table, finding and law."""

import json
from pathlib import Path

import pytest

from flows.command_line import main
from mixgrid.cells import Selection
from mixgrid.errors import StudyError
from mixgrid.plan import Plan, make_plan
from mixgrid.results import recipe_rows, result_rows
from mixgrid.store import Store
from mixgrid.study import Study
from mixgrid.study_file import load_study, parse_study

STUDY = """
name: far
question: How far does math reach?
abilities:
  math:    {source: lab.math, benchmarks: [lab.math, {name: lab.math_far, out_of_domain: true, experiments: [rq2]}]}
  code:    {source: lab.code, benchmarks: [lab.code]}
  general: {source: lab.general, benchmarks: [lab.general]}
specialised: [code, math]
models: [lab.small]
proportions: [1, 1/4]
experiments: [rq1, rq2, rq4, ablation]
recipe: {epochs: 1, batch_size: 16, peak_learning_rate: 1.0e-3, warmup_ratio: 0, schedule: constant}
"""


def study(text: str = STUDY) -> Study:
    return parse_study(text, path=Path("far.yaml"))


def plan(text: str = STUDY, **selected: tuple[str, ...]) -> Plan:
    return make_plan(study(text), selection=Selection(**selected), lock={})  # type: ignore[arg-type]


def asked(found: Plan, benchmark: str) -> list[tuple[str, ...]]:
    """The experiments of each checkpoint that a benchmark asks."""
    names = [name for name in found.names.scores if name.benchmark == benchmark]
    return [found.names.checkpoints[name.checkpoint].experiments for name in names]


def test_benchmark_asks_the_bases_and_the_checkpoints_of_its_experiments() -> None:
    assert asked(plan(), "lab.math_far") == [(), ("rq2", "rq4"), ("rq2",)]
    assert len(asked(plan(), "lab.math")) == len(plan().names.checkpoints) == 1 + 6 + 2 + 2 + 2
    assert asked(plan(only=("rq1",)), "lab.math_far") == []


def test_benchmark_asks_an_experiment_at_every_learning_rate() -> None:
    rates = STUDY + "peak_learning_rates: [1.0e-3, 2.0e-3]\n"
    assert len(asked(plan(rates), "lab.math_far")) == 1 + 2 * 2


def test_benchmark_of_some_experiments_changes_no_other_key() -> None:
    plain = plan(STUDY.replace(", {name: lab.math_far, out_of_domain: true, experiments: [rq2]}", ""))
    added = [step for key, step in plan().steps.items() if key not in plain.steps and step.kind != "aggregate"]
    assert sorted(step.kind for step in added) == ["answer"] * 3 + ["download"] + ["score"] * 3


def test_benchmark_of_an_experiment_that_the_study_lacks_is_refused() -> None:
    with pytest.raises(StudyError, match=r"unknown experiment of this study, for lab.math_far, 'dmt'"):
        study(STUDY.replace("experiments: [rq2]}", "experiments: [dmt]}"))


def test_data_of_a_benchmark_that_asks_nobody_need_not_be_looked_up() -> None:
    paper = load_study("paper").study
    for experiments, needed in ((("rq1", "rq2"), True), (("rq1", "dmt"), False)):
        chosen = Selection(only=experiments, models=("llama-7b",))
        unpinned = make_plan(paper, selection=chosen, lock={}).unpinned
        assert any("hendrycks_math" in name for name in unpinned) == needed
        assert "datasets/openai/gsm8k" in unpinned


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with a made-up score for everything but the aggregate step, and the filtered source's record."""
    folder = tmp_path_factory.mktemp("far")
    (folder / "far.yaml").write_text(STUDY)
    kept, found = Store(str(folder / "store")), plan()
    for name, step in zip(found.names.scores, found.scores, strict=True):
        score = 0.0625 if name.benchmark == "lab.math_far" else 0.5
        with kept.attempt(step) as attempt:
            attempt.commit(ledger={"score": score, "n": 400, "low": score - 0.05, "high": score + 0.05})
    with kept.attempt(found.sources["filtered general"]) as attempt:
        removed = {"code": 75, "code + math": 11, "math": 81}
        attempt.commit(ledger={"read": 662, "rows": 345, "held_out": 150, "removed": removed})
    return folder


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert main([*words]) == 0
    return capsys.readouterr().out


def test_results_name_what_is_out_of_domain(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--store", str(store / "store"), "--format", "json")
    found = json.loads(printed(capsys, "results", str(store / "far.yaml"), *options))
    assert found["out_of_domain"] == [{"ability": "math", "benchmark": "lab.math_far"}]
    assert sum(row["benchmark"] == "lab.math_far" for row in found["rows"]) == 3


def test_report_has_a_section_of_its_own_and_the_counts_of_the_filter(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = Path(printed(capsys, "report", str(store / "far.yaml"), "--store", str(store / "store")).strip())
    sections = {part.partition("</h2>")[0]: part for part in page.read_text(encoding="utf-8").split("<h2>")}
    assert "lab.math_far" in sections["Out of domain"]
    assert "6.2" in sections["Out of domain"]  # .0625 of a rate, in percent
    assert "lab.math_far" not in sections["Strategies"] + sections["Findings"] + sections["Score against amount"]
    assert "75 code; 11 code + math; 81 math" in sections["All numbers"]


def test_findings_and_laws_do_not_rest_on_it(store: Path) -> None:
    found = plan()
    found.look_up(Store(str(store / "store")))
    judged = {row["benchmark"] for row in recipe_rows(found.names, found.scored)}
    shown = {row["benchmark"] for row in result_rows(found.names, found.scored)}
    assert shown - judged == {"lab.math_far"}
