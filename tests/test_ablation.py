"""The ablation as an experiment: what it plans, worked by hand, and what its finding makes of made-up worlds."""

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from mixgrid.cells import Selection, expand
from mixgrid.errors import StudyError
from mixgrid.evidence import Evidence
from mixgrid.findings import Finding
from mixgrid.law import fit_study
from mixgrid.paper import paper_evidence, paper_rows
from mixgrid.plan import Plan, make_plan
from mixgrid.report import render_report
from mixgrid.steps.download import DownloadSettings
from mixgrid.store import Store
from mixgrid.study import Study
from mixgrid.study_file import load_study, parse_study
from mixgrid.weighing import weigh_all

STUDY = """
name: without
abilities:
  sums:  {source: lab.math, benchmarks: [lab.math], filter: math}
  poems: {source: lab.code, benchmarks: [lab.code], filter: {name: verse, patterns: ['\\bsonnet\\b', '(?i)rhyme']}}
  chat:  {source: lab.general, benchmarks: [lab.general]}
specialised: [poems, sums]
models: [lab.small]
proportions: [1, 1/4]
experiments: [EXPERIMENTS]
recipe: {epochs: 1, batch_size: 16, peak_learning_rate: 1.0e-3, warmup_ratio: 0, schedule: constant}
"""
FILTERED = "filtered chat"


def study(experiments: str, **changes: str) -> Study:
    text = STUDY.replace("EXPERIMENTS", experiments)
    for old, new in changes.items():
        text = text.replace(old, new)
    return parse_study(text, path=Path("without.yaml"))


def plan(experiments: str, **changes: str) -> Plan:
    return make_plan(study(experiments, **changes), selection=Selection(), lock={})


def filtered(found: Plan) -> DownloadSettings:
    settings = found.sources[FILTERED].settings
    assert isinstance(settings, DownloadSettings)
    return settings


def test_ablation_is_rq2_with_the_general_source_filtered() -> None:
    cells = {cell.name: cell.stages for cell in expand(study("ablation"))}
    quarter = Fraction(1, 4)
    assert cells["lab.small:ablation:1/4:0"] == ({"poems": quarter, "sums": quarter, FILTERED: quarter},)
    assert len(cells) == 2


def test_ablation_uses_each_specialised_abilitys_own_filter() -> None:
    without = filtered(plan("ablation")).without
    assert [(f.name, f.version, f.patterns) for f in without] == [
        ("math", 1, ()),
        ("verse", None, ("\\bsonnet\\b", "(?i)rhyme")),
    ]


def test_ablation_leaves_other_keys_alone_and_asks_the_same_held_out_rows() -> None:
    before, after = plan("rq1, rq2"), plan("rq1, rq2, ablation")
    assert {key for key, step in before.steps.items() if step.kind != "aggregate"} <= set(after.steps)
    asked = {str(step.input_keys["data"]) for step in after.steps.values() if step.kind == "score"}
    assert after.sources["chat"].key in asked
    assert after.sources[FILTERED].key not in asked
    assert list(after.names.abilities) == ["sums", "poems", "chat"]


def test_filters_are_part_of_a_sources_key_whatever_their_order() -> None:
    general = "{source: lab.general,"
    one, other, fewer = (
        plan("rq2", **{general: f"{{source: {{name: lab.general, without: [{names}]}},"}).sources["chat"].key
        for names in ("code, math", "math, code", "math")
    )
    assert one == other != fewer != plan("rq2").sources["chat"].key


def test_ablation_of_an_ability_that_no_filter_tells_is_refused() -> None:
    with pytest.raises(StudyError, match=r"removes what looks like sums, and no filter tells it; add `filter: code`"):
        study("ablation", **{", filter: math": ""})
    with pytest.raises(StudyError, match=r"unknown filter 'maths'; did you mean 'math'"):
        study("ablation", **{"filter: math": "filter: maths"})
    with pytest.raises(StudyError, match=r"is no regular expression"):
        study("ablation", **{"(?i)rhyme": "("})


def test_experiment_that_counts_rows_does_not_guess_those_of_a_filtered_source() -> None:
    with pytest.raises(StudyError, match=r"how many rows chat has .*with `without` nobody knows"):
        study("matched_steps", **{"source: lab.general": "source: {name: lab.general, without: [math]}"})


def test_filtered_source_counts_as_the_whole_one_until_it_is_read(tmp_path: Path) -> None:
    store, text = Store(str(tmp_path)), study("ablation")
    planned = make_plan(text, selection=Selection(), lock={}, store=store)
    assert planned.sizes == {"sums": 512, "poems": 512, "chat": 512, FILTERED: 512}
    with store.attempt(planned.sources[FILTERED]) as attempt:
        attempt.commit(ledger={"read": 662, "rows": 300, "held_out": 150, "removed": {"math": 212}})
    again = make_plan(text, selection=Selection(), lock={}, store=store)
    assert again.sizes[FILTERED] == 300
    assert again.examples[again.chains["lab.small:ablation:1/4:0"][-1].key] == 128 + 128 + 75


def test_plan_of_the_whole_paper_adds_five_ablations_and_three_equal_amounts() -> None:
    # PAPER.md's grid: 46 cells, 38 checkpoints and 40 stages without these, none of which is another's training
    found = make_plan(load_study("paper").study, selection=Selection(models=("llama-7b",)), lock={})
    summary = found.summary()
    assert (summary["cells"], summary["final_checkpoints"]) == (46 + 5 + 3, 38 + 5 + 3)
    assert summary["stages"] == {"naive": 54 + 5 + 3, "unique": 40 + 5 + 3}
    # rows of k = 1/16, 1/64 and 1/256 in the card's table, summed and divided by three
    each = [(6_883 + 1_251 + 5_378) // 3, (1_720 + 312 + 1_344) // 3, (430 + 78 + 336) // 3]
    amounts = {"math": 110_142, "code": 20_022, "general": 86_060}
    planned = [cell.stages[0] for cell in found.cells if cell.experiment == "equal_amounts"]
    assert [{int(k * amounts[name]) for name, k in stage.items()} for stage in planned] == [{n} for n in each]
    assert each == [4504, 1125, 281]


def row(experiment: str, k: str, sources: tuple[str, ...], ability: str, score: float, seed: int) -> dict[str, Any]:
    stage, strategy = dict.fromkeys(sources, k), "multi_task" if len(sources) > 1 else "single"
    return {
        "model": "small", "seed": seed, "experiments": [experiment], "strategy": strategy,
        "proportion": k, "proportions": [stage], "ability": ability, "benchmark": f"my_{ability}", "score": score,
        "n": 400, "low": score - 0.04, "high": score + 0.04, "key": f"{experiment} {k} {sources} {ability} {seed}",
    }  # fmt: skip


def world(filtered_score: dict[str, float]) -> list[dict[str, Any]]:
    """rq1 and rq2 with a gain at 1/16 and a loss in full; `filtered_score` by k for the ablation."""
    mixed, alone, draw = {"1/16": 0.40, "1": 0.50}, {"1/16": 0.20, "1": 0.70}, random.Random(1)
    rows = []
    for ability in ("poems", "sums"):
        for k in mixed:
            for seed in range(3):
                noise = draw.uniform(-0.01, 0.01)
                rows += [
                    row("rq1", k, (ability,), ability, alone[k] + noise, seed),
                    row("rq2", k, ("poems", "sums", "chat"), ability, mixed[k] + noise, seed),
                    row("ablation", k, ("poems", "sums", FILTERED), ability, filtered_score[k] + noise, seed),
                ]
    return rows


def finding(evidence: Evidence) -> Finding:
    return next(f for f in weigh_all(evidence) if f.name == "ablation")


def weighed(filtered_score: dict[str, float]) -> Finding:
    return finding(Evidence(world(filtered_score), specialised=("poems", "sums"), general=("chat",)))


def test_look_alikes_that_cost_make_the_ablation_supported_and_ones_that_gain_contradict_it() -> None:
    assert weighed({"1/16": 0.40, "1": 0.70}).verdict == "supported"
    gone = weighed({"1/16": 0.05, "1": 0.70})
    assert gone.verdict == "contradicted"
    assert {effect.words for effect in gone.effects if effect.verdict == "against"} == {
        "mixed with filtered general minus alone, k = 1/16"
    }


def test_ablation_is_no_mix_of_all_abilities_for_the_other_claims() -> None:
    evidence = Evidence(world({"1/16": 0.0, "1": 0.0}), specialised=("poems", "sums"), general=("chat",))
    (ground,) = evidence.grounds
    mix = ground.mix(Fraction(1))
    assert mix is not None
    assert mix.experiments == ("rq2",)
    assert [cell.label for cell in ground.cells if cell.is_filtered] == [
        "multi-task, k = 1/16, filtered", "multi-task, filtered",
    ]  # fmt: skip


def test_papers_ablation_has_the_effects_of_its_printed_numbers() -> None:
    found = finding(paper_evidence())
    effects = {(e.ability, e.words.rpartition(" ")[2]): e.value for e in found.effects}
    # 49.05 - 47.53 and 17.68 - 14.63 in full; 15.31 - 12.70 and 11.37 - 5.48 at 1/256
    printed = {("math", "1"): 0.0152, ("code", "1"): 0.0305, ("math", "1/256"): 0.0261, ("code", "1/256"): 0.0589}
    assert effects == pytest.approx(printed)
    assert found.verdict == "undecided"
    assert {e.ground for e in found.effects} == {"llama-7b"}


def test_law_leaves_cells_of_a_filtered_source_out_and_says_so() -> None:
    rows = [r for r in paper_rows() if r["model"] == "llama-7b" and {"ablation", "rq2"} & set(r["experiments"])]
    laws = fit_study(rows, sizes={"math": 110_142, "code": 20_022, "general": 86_060})
    assert laws.notes == ("left out, trained on other sources: ablation",)
    assert {name for cell in laws.cells for name in cell.experiments} >= {"rq2"}
    assert len(laws.cells) == 5


def test_page_draws_the_ablation_only_where_there_is_one() -> None:
    rows = world({"1/16": 0.3, "1": 0.6})
    asked = {"study": "without", "question": "?", "complete": True}
    page = render_report(rows=rows, **asked)  # type: ignore[arg-type]
    assert "Look-alikes in the general source" in page
    assert "multi-task, filtered" in page
    plain = render_report(rows=[r for r in rows if r["experiments"] != ["ablation"]], **asked)  # type: ignore[arg-type]
    assert "Look-alikes" not in plain
