"""Findings on made-up studies whose truth is known, and the contract of every claim."""

import hashlib
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixgrid.artifact import Artifact
from mixgrid.evidence import Evidence, item_scores
from mixgrid.findings import Finding, load_claims
from mixgrid.store import Store
from mixgrid.weighing import findings_json, weigh, weigh_all

CHESS, POEMS, TALK = "chess", "poems", "talk"  # no claim may know the paper's names
ITEMS = 400
OFF = {"score": 0.0, "low": -0.1, "high": 0.1}
Truth = Callable[[str, tuple[dict[str, Fraction], ...]], float]
"""The chance of a right answer, by ability and stages."""


def made_up(
    designs: list[tuple[str, str, str, tuple[dict[str, str], ...]]], truth: Truth, *, seeds: int = 2,
    models: tuple[str, ...] = ("small",), items_kept: bool = True, bonus: Mapping[str, float] = MappingProxyType({}),
) -> Evidence:  # fmt: skip
    """A study of these (experiment, strategy, k, stages), whose answers are drawn from `truth`."""
    rows, kept = [], {}
    for model in models:
        for experiment, strategy, k, stages in designs:
            for seed in range(seeds):
                for ability in (CHESS, POEMS, TALK):
                    name = f"{model}{stages}{seed}{ability}"
                    draw, chance = random.Random(name), truth(ability, exact(stages)) + bonus.get(model, 0)
                    answers = [float(draw.random() < chance) for _ in range(ITEMS)]
                    score = sum(answers) / ITEMS
                    kept[name] = dict(enumerate(answers))
                    rows.append({
                        "model": model, "seed": seed, "experiments": [experiment], "strategy": strategy,
                        "proportion": k, "proportions": list(stages), "ability": ability,
                        "benchmark": f"my_{ability}", "score": score, "n": ITEMS,
                        "low": score - 0.05, "high": score + 0.05, "key": name,
                    })  # fmt: skip
    items = kept.get if items_kept else lambda _: None
    return Evidence(rows, specialised=(CHESS, POEMS), models=models, items=items)


def exact(stages: tuple[dict[str, str], ...]) -> tuple[dict[str, Fraction], ...]:
    return tuple({ability: Fraction(k) for ability, k in stage.items()} for stage in stages)


def everything() -> list[tuple[str, str, str, tuple[dict[str, str], ...]]]:
    """rq1, rq2, rq3, rq4, dmt and the reversed order at three proportions."""
    names, ks = (CHESS, POEMS, TALK), ("1/16", "1/4", "1")
    designs: list[tuple[str, str, str, tuple[dict[str, str], ...]]] = []
    both = {CHESS: "1", POEMS: "1"}
    for k in ks:
        designs += [("rq1", "single", k, ({name: k},)) for name in names]
        designs.append(("rq2", "multi_task", k, (dict.fromkeys(names, k),)))
        designs.append(("dmt", "dmt", k, (both, {TALK: "1", CHESS: k, POEMS: k})))
    for k in ks[:2]:
        designs.append(("rq3", "multi_task", k, ({CHESS: k, POEMS: k, TALK: "1"},)))
        designs.append(("rq3", "multi_task", k, ({**both, TALK: k},)))
    designs.append(("rq4", "sequential", "1", ({CHESS: "1"}, {POEMS: "1"}, {TALK: "1"})))
    designs.append(("rq4", "mixed_sequential", "1", (both, {TALK: "1"})))
    designs.append(("reversed_order", "sequential", "1", ({TALK: "1"}, {POEMS: "1"}, {CHESS: "1"})))
    return designs


def as_the_paper_says(ability: str, stages: tuple[dict[str, Fraction], ...]) -> float:
    """What is in the last stage is known by its amount, what came before is lost by half; talk needs little."""
    k = float(stages[-1].get(ability, 0))
    if ability == TALK:
        crowded = sum(float(other) for name, other in stages[-1].items() if name != TALK)
        return 0.0 if not any(TALK in stage for stage in stages) else 0.8 - 0.1 * crowded if k else 0.3
    if len(stages) > 1 and len(stages[-1]) > 1 and k:
        return 0.66 + 0.18 * k**0.5
    return 0.15 + 0.6 * k**0.5 if k else 0.3 if any(ability in stage for stage in stages) else 0.0


def found(evidence: Evidence) -> dict[str, Finding]:
    return {finding.name: finding for finding in weigh_all(evidence)}


def test_world_of_the_papers_claims_supports_those_that_its_grid_tests() -> None:
    findings = found(made_up(everything(), as_the_paper_says, seeds=4))
    verdicts = {name: finding.verdict for name, finding in findings.items()}
    for name in ("scaling", "forgetting", "dmt", "multi_task", "reversed_order"):
        assert verdicts[name] == "supported", name
    assert verdicts["size"] == verdicts["matched_steps"] == verdicts["equal_amounts"] == "not tested"


def test_world_where_nothing_is_forgotten_contradicts_forgetting() -> None:
    def keeps(ability: str, stages: tuple[dict[str, Fraction], ...]) -> float:
        return 0.8 if any(ability in stage for stage in stages) else 0.0

    finding = found(made_up(everything(), keeps))["forgetting"]
    assert finding.verdict == "contradicted"
    against = {effect.ability for effect in finding.effects if effect.verdict == "against"}
    assert against == {CHESS, POEMS}


def test_world_of_own_amounts_alone_supports_that_the_ratio_hardly_matters() -> None:
    def own_amount(ability: str, stages: tuple[dict[str, Fraction], ...]) -> float:
        return 0.9 * float(stages[-1].get(ability, 0)) ** 0.5

    assert found(made_up(everything(), own_amount, seeds=3))["ratio"].verdict == "supported"


def test_world_of_ratios_alone_contradicts_that_they_hardly_matter() -> None:
    def ratio(ability: str, stages: tuple[dict[str, Fraction], ...]) -> float:
        return float(stages[-1].get(ability, 0) / sum(stages[-1].values()))

    assert found(made_up(everything(), ratio))["ratio"].verdict == "contradicted"


@pytest.mark.parametrize(
    ("models", "verdict"), [(("small", "large"), "supported"), (("large", "small"), "contradicted")]
)
def test_models_are_compared_in_the_order_of_size_that_the_study_gives(models: tuple[str, ...], verdict: str) -> None:
    alone = [design for design in everything() if design[0] == "rq1"]
    evidence = made_up(alone, lambda *_: 0.3, models=models, seeds=3, bonus={"large": 0.3})
    finding = found(evidence)["size"]
    assert finding.verdict == verdict
    assert {effect.ground for effect in finding.effects} == {models[1]}


def test_study_without_general_abilities_has_findings_and_no_error() -> None:
    designs = [design for design in everything() if design[0] in ("rq1", "rq2")]
    evidence = made_up(designs, as_the_paper_says)
    alone = Evidence(
        [row for cell in evidence.cells for row in rows_of(cell)], specialised=(CHESS, POEMS, TALK), models=("small",)
    )
    assert {f.verdict for f in weigh_all(alone)} <= {"supported", "contradicted", "undecided", "not tested"}


def rows_of(cell: Any) -> list[dict[str, Any]]:
    stages = [{ability: str(k) for ability, k in stage} for stage in cell.stages]
    return [
        {"model": cell.model, "seed": score.seed, "experiments": list(cell.experiments), "strategy": cell.strategy,
         "proportion": str(cell.proportion), "proportions": stages, "ability": measure.ability,
         "benchmark": measure.benchmark, "score": score.score, "n": value.n, "low": None, "high": None,
         "key": score.key}
        for measure, value in cell.values.items() for score in value.scores
    ]  # fmt: skip


def test_claim_without_cells_is_not_tested_and_names_the_experiment() -> None:
    designs = [design for design in everything() if design[0] == "rq1"]
    findings = found(made_up(designs, as_the_paper_says))
    assert findings["dmt"].verdict == "not tested"
    assert "dmt" in findings["dmt"].experiment
    assert findings["dmt"].effects == ()


def test_claim_of_which_a_part_has_no_cells_is_not_supported() -> None:
    designs = [d for d in everything() if not (d[1] == "single" and d[3] == ({POEMS: "1"},))]
    finding = found(made_up(designs, as_the_paper_says))["forgetting"]
    assert finding.verdict == "undecided"
    assert any(POEMS in part for part in finding.missing)


def test_one_seed_is_said_and_unpaired_items_are_said() -> None:
    notes = found(made_up(everything(), as_the_paper_says, seeds=1, items_kept=False))["dmt"].notes
    assert any("one training seed" in note for note in notes)
    assert any("unpaired" in note for note in notes)
    assert found(made_up(everything(), as_the_paper_says))["dmt"].notes == ()


def test_two_worlds_that_differ_by_chance_alone_leave_the_trade_undecided() -> None:
    assert found(made_up(everything(), lambda *_: 0.5))["mixing"].verdict in ("undecided", "contradicted")
    effects = found(made_up(everything(), lambda *_: 0.5))["mixing"].effects
    assert all(effect.detectable and 0.05 < effect.detectable < 0.6 for effect in effects)


def test_single_source_of_as_many_steps_is_what_the_control_compares() -> None:
    mix = ("rq2", "multi_task", "1/16", (dict.fromkeys((CHESS, POEMS, TALK), "1/16"),))
    evidence = made_up([mix], lambda *_: 0.2)
    rows = [row for cell in evidence.cells for row in rows_of(cell)]
    for name, recipe, score in (
        ("rq1", (), 0.1),
        ("matched_steps", (("epochs", "null"), ("budget", '{"steps": 9}')), 0.6),
    ):
        rows += [
            {**row, "experiments": [name], "strategy": "single", "proportions": [{row["ability"]: "1/16"}],
             "recipe": recipe, "score": score, "low": score - 0.02, "high": score + 0.02, "key": f"{name} {row['key']}"}
            for row in rows if row["experiments"] == ["rq2"]
        ]  # fmt: skip
    rows = [row | {"low": row["score"] - 0.02, "high": row["score"] + 0.02} for row in rows]
    findings = found(Evidence(rows, specialised=(CHESS, POEMS)))
    assert findings["matched_steps"].verdict == "contradicted"
    assert all(effect.value == pytest.approx(-0.4, abs=0.08) for effect in findings["matched_steps"].effects)


def test_loss_counts_with_its_sign_turned() -> None:
    evidence = made_up(everything(), as_the_paper_says)
    rows = [
        row | {"benchmark": "response_loss"} | {name: 2 + off - row["score"] for name, off in OFF.items()}
        for cell in evidence.cells for row in rows_of(cell)
    ]  # fmt: skip
    effects = found(Evidence(rows, specialised=(CHESS, POEMS)))["scaling"].effects
    more_data = [effect for effect in effects if effect.ability == CHESS]
    assert [effect.value > 0 and effect.unit == "nats/token" for effect in more_data] == [True]


def test_findings_are_one_json_object_with_every_claim() -> None:
    document = json.loads(findings_json(weigh_all(made_up(everything(), as_the_paper_says)), study="mine"))
    assert [finding["number"] for finding in document["findings"]] == list(range(1, 12))
    effect = document["findings"][0]["effects"][0]
    assert effect["low"] <= effect["value"] <= effect["high"]


@pytest.mark.parametrize("claim", load_claims(), ids=lambda claim: claim.name)
@settings(max_examples=10)
@given(data=st.data())
def test_claim_of_any_part_of_a_grid_gives_a_verdict_that_its_effects_explain(claim: Any, data: Any) -> None:
    designs = data.draw(st.lists(st.sampled_from(everything()), unique_by=str, max_size=12))
    finding = weigh(claim, made_up(designs, as_the_paper_says, seeds=data.draw(st.integers(1, 2))))
    says = {effect.verdict for effect in finding.effects}
    assert (finding.verdict == "not tested") == (not finding.effects)
    assert (finding.verdict == "contradicted") == ("against" in says)
    assert finding.verdict != "supported" or (says == {"for"} and not finding.missing)
    assert bool(finding.experiment) == (finding.verdict in ("undecided", "not tested"))


def test_verdict_hangs_on_the_clearest_effect_against_or_the_weakest_for() -> None:
    chance, paper = made_up(everything(), lambda *_: 0.5), made_up(everything(), as_the_paper_says, seeds=4)
    findings = found(paper)
    for finding in (*weigh_all(chance), *findings.values()):
        if (effect := finding.deciding) is not None:
            own = [e.p for e in finding.effects if finding.verdicts[e.ground] == finding.verdict and e.p is not None]
            assert effect.p == (max(own) if finding.verdict != "contradicted" else effect.p)
            assert (effect.verdict == "against") == (finding.verdict == "contradicted")
    assert findings["forgetting"].deciding is not None


@pytest.mark.parametrize("claim", load_claims(), ids=lambda claim: claim.name)
def test_claim_names_experiments_and_says_itself_in_a_sentence(claim: Any) -> None:
    assert claim.words.endswith(".")
    assert claim.experiments


@dataclass(frozen=True)
class Graded:
    """What the store needs to know of a score step."""

    benchmark: str
    kind: str = "score"
    version: int = 2
    label: str = "mine"
    input_keys: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        return hashlib.sha256(self.benchmark.encode()).hexdigest()

    @property
    def folder(self) -> str:
        return f"score/mine-{self.key[:16]}"

    @property
    def identity(self) -> dict[str, Any]:
        return {"benchmark": self.benchmark}


def kept(folder: Path, benchmark: str, table: dict[str, list[Any]] | None) -> Artifact:
    """A score artifact with these items."""
    store, step = Store(str(folder)), Graded(benchmark)
    with store.attempt(step) as attempt:
        if table is not None:
            pd.DataFrame(table).to_parquet(attempt.folder / "items.parquet", index=False)
        record = attempt.commit(ledger={})
    return store.open(record)


def test_items_of_a_rate_are_its_headline_verdicts(tmp_path: Path) -> None:
    verdicts = {"item": [4, 9], "strict": [True, False], "flexible": [True, True]}
    assert item_scores(kept(tmp_path, "gsm8k", verdicts)) == {4: 1.0, 9: 0.0}


def test_items_of_a_loss_have_the_loss_as_their_mean(tmp_path: Path) -> None:
    items = item_scores(kept(tmp_path, "response_loss", {"item": [0, 1], "nats": [1.0, 5.0], "tokens": [1, 3]}))
    assert items == {0: 1.5 - 0.25, 1: 1.5 + 0.25}  # 6 nats over 4 tokens; residuals -1/2 and 1/2, times 2/4


def test_items_that_a_judge_left_without_a_rating_do_not_count(tmp_path: Path) -> None:
    ratings = {"item": [0, 1, 2], "rating": [7.0, None, 5.5]}
    assert item_scores(kept(tmp_path, "mt_bench", ratings)) == {0: 7.0, 2: 5.5}


def test_score_without_items_has_none(tmp_path: Path) -> None:
    assert item_scores(kept(tmp_path, "gsm8k", None)) is None
