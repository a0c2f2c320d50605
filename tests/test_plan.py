"""Plans: the paper's numbers by another count than ours, and what runs again when something is gone."""

import json
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixgrid.artifact import Artifact
from mixgrid.cells import Selection, expand
from mixgrid.errors import StepError, StudyError
from mixgrid.plan import Plan, make_plan
from mixgrid.record import Record
from mixgrid.runtime import StudyRuntime, TrainingRuntime, load_runtime
from mixgrid.step import Step
from mixgrid.steps import Work, subsample
from mixgrid.steps.subsample import SubsampleSettings, subset_size
from mixgrid.store import Store
from mixgrid.strategies import load_strategies, strategy_of
from mixgrid.study import Study
from mixgrid.study_file import load_study, parse_study

KS = [Fraction(1), Fraction(1, 4), Fraction(1, 16), Fraction(1, 64), Fraction(1, 256)]
SIZES = {"math": 110_142, "code": 20_022, "general": 86_060}
# PAPER.md, "Data": the printed and derived rows
TABLE = {
    "math": [110_142, 27_535, 6_883, 1_720, 430],
    "code": [20_022, 5_005, 1_251, 312, 78],
    "general": [86_060, 21_515, 5_378, 1_344, 336],
}
SMALL = """\
name: small
abilities:
  math: {source: lab.math, benchmarks: [lab.math]}
  code: {source: lab.code, benchmarks: [lab.code]}
  general: {source: lab.general, benchmarks: [lab.general]}
specialised: [code, math]
models: [lab.small, lab.large]
proportions: [1, 1/4, 1/16, 1/32, 1/64]
seeds: [0]
experiments: [rq1, rq2, rq3, rq4, dmt]
recipe: {epochs: 1, batch_size: 16, peak_learning_rate: 2.0e-3, warmup_ratio: 0.03, schedule: cosine}
"""
A_RECORD = Record(
    kind="",
    version=1,
    label="",
    key="",
    attempt="",
    settings={},
    inputs={},
    files={},
    ledger={"parameters": 7},
    provenance={},
)

Mixture = frozenset[tuple[str, Fraction]]


def mixture(**kept: Fraction | int) -> Mixture:
    return frozenset((source, Fraction(k)) for source, k in kept.items())


def paper_cells() -> list[tuple[Mixture, ...]]:
    """PAPER.md, "The grid", written out row by row; ablation and appendix H left out."""
    little, cells = Fraction(1, 64), []
    for k in KS:
        cells += [(mixture(math=k),), (mixture(code=k),), (mixture(general=k),)]  # RQ1
        cells += [(mixture(math=k, code=k, general=k),)]  # RQ2
        cells += [(mixture(math=k, code=k, general=1),)]  # RQ3a
        cells += [(mixture(math=1, code=1, general=k),)]  # RQ3b
        cells += [(mixture(math=k, code=k, general=little),)]  # RQ3c
        cells += [(mixture(math=1, code=1), mixture(general=1, math=k, code=k))]  # DMT
    cells += [(mixture(math=1),), (mixture(code=1),), (mixture(general=1),)]  # RQ4: one source
    cells += [(mixture(math=1, code=1, general=1),)]  # multi-task
    cells += [(mixture(code=1), mixture(math=1), mixture(general=1))]  # sequential
    cells += [(mixture(math=1, code=1), mixture(general=1))]  # mixed sequential
    return cells


def examples(stage: Mixture) -> int:
    return sum(TABLE[source][KS.index(k)] for source, k in stage)


def study_of(text: str = SMALL) -> Study:
    return parse_study(text, path=Path("small.yaml"))


def plan_of(study: Study, **selected: tuple[str, ...]) -> Plan:
    return make_plan(study, selection=Selection(**selected), lock={})  # type: ignore[arg-type]


def paper_plan(*models: str) -> Plan:
    return plan_of(load_study("paper").study, only=("rq1", "rq2", "rq3", "rq4", "dmt"), models=models)


def keys(plan: Plan, *kinds: str) -> set[str]:
    return {key for key, step in plan.steps.items() if step.kind in kinds}


def complete(plan: Plan) -> Plan:
    """The plan as if the store had everything."""
    plan.found = dict.fromkeys(plan.steps, A_RECORD)
    return plan


def missing_kinds(plan: Plan) -> dict[str, int]:
    kinds = [step.kind for step in plan.missing().values()]
    return {kind: kinds.count(kind) for kind in kinds}


def test_budget_and_learning_rate_give_other_trainings_and_defaults_the_same_keys() -> None:
    plain = keys(plan_of(study_of()), "sft")
    assert keys(plan_of(study_of(SMALL + "evaluate_at: []\n")), "sft") == plain
    spelled_out = SMALL.replace("epochs: 1,", "epochs: 1, loss_average: token, precision: fp32,")
    assert keys(plan_of(study_of(spelled_out)), "sft") == plain
    budget = SMALL.replace("epochs: 1,", "budget: {steps: 20},")
    assert not keys(plan_of(study_of(budget)), "sft") & plain
    rates = plan_of(study_of(SMALL + "peak_learning_rates: [2.0e-3, 4.0e-3]\n"))
    assert keys(rates, "sft") > plain
    assert len(keys(rates, "sft")) == 2 * len(plain)


def test_only_takes_an_experiments_name_or_one_variants_label() -> None:
    study = study_of(SMALL + "peak_learning_rates: [1.0e-3, 2.0e-3]\n")
    everything, one = (expand(study, Selection(only=(name,))) for name in ("dmt", "dmt@0.001"))
    assert {cell.experiment for cell in everything} == {"dmt@0.001", "dmt@0.002"}
    assert len(everything) == 2 * len(one) == 20


def test_evaluating_on_the_way_adds_checkpoints_and_leaves_the_final_ones_alone() -> None:
    once = plan_of(study_of(), only=("dmt",), models=("lab.small",))
    study = study_of(SMALL + "evaluate_at: [1/4, 1/2, 1]\n")
    curves = plan_of(study, only=("dmt",), models=("lab.small",))
    # one stage 1 and five stages 2, each at two more points
    assert len(keys(curves, "sft")) == 3 * len(keys(once, "sft")) == 18
    assert keys(curves, "sft") > keys(once, "sft")
    points = [names for names in curves.names.checkpoints if names.at]
    assert sorted({(names.stage, names.at) for names in points}) == [
        (stage, at) for stage in (1, 2) for at in ("1", "1/2", "1/4")
    ]
    first = next(names for names in points if names.stage == 1)
    assert (first.strategy, first.proportions) == ("multi_task", ({"code": "1", "math": "1"},))


def test_parts_of_a_training_wait_for_the_earlier_ones() -> None:
    plan = plan_of(study_of(SMALL + "evaluate_at: [1/2, 1/4]\n"), only=("rq4",), models=("lab.small",))
    final = plan.chains["lab.small:rq4.math:1:0"][0]
    half = plan.steps[plan.after[final.key]]
    quarter = plan.steps[plan.after[half.key]]
    assert [step.settings.until for step in (quarter, half, final)] == [Fraction(1, 4), Fraction(1, 2), Fraction(1)]  # type: ignore[attr-defined]
    assert quarter.key not in plan.after


def test_plan_says_what_training_takes_in_memory_once_the_model_is_known() -> None:
    shape = "{hidden_size: 16, intermediate_size: 24, layers: 2, heads: 2, vocabulary_size: 300}"
    text = SMALL.replace("[lab.small, lab.large]", f"[{{name: own, scratch: {shape}}}, {{name: hub, hub: a/b}}]")
    # 300 x 16 twice; a layer: 4 x 16 x 16, 3 x 16 x 24 and two norms; one more norm
    parameters = 2 * 300 * 16 + 2 * (4 * 256 + 3 * 384 + 32) + 16
    plan = plan_of(study_of(text))
    assert plan.summary()["training_bytes"] == {"own": 16 * parameters, "hub": None}
    assert complete(plan).summary()["training_bytes"]["own"] == 16 * A_RECORD.ledger["parameters"]


def test_runtime_is_part_of_no_key() -> None:
    runtime = StudyRuntime(training=TrainingRuntime(processes=8, sharding="full", row_tokens=4096, compile=True))
    runtime = load_runtime("routes: {sft: gpu}\ndispatch: {tries: 5}\n", routes={"answer": "big"}).model_copy(
        update={"training": runtime.training}
    )
    assert runtime.routes == {"sft": "gpu", "answer": "big"}
    elsewhere = make_plan(study_of(), selection=Selection(), lock={}, runtime=runtime)
    assert elsewhere.steps.keys() == plan_of(study_of()).steps.keys()


def test_plan_of_the_paper_has_the_counts_of_its_tables() -> None:
    chains = paper_cells()
    prefixes = [chain[: i + 1] for chain in chains for i in range(len(chain))]
    summary = paper_plan("llama-7b").summary()
    assert (summary["cells"], len(chains)) == (46, 46)
    assert (summary["final_checkpoints"], len(set(chains))) == (38, 38)
    assert (summary["stages"]["naive"], len(prefixes)) == (54, 54)
    assert (summary["stages"]["unique"], len(set(prefixes))) == (40, 40)


def test_plan_of_the_paper_has_the_examples_of_its_tables() -> None:
    prefixes = [chain[: i + 1] for chain in paper_cells() for i in range(len(chain))]
    naive, unique = (sum(examples(chain[-1]) for chain in chains) for chains in (prefixes, set(prefixes)))
    assert paper_plan("llama-7b").summary()["examples_per_epoch"] == {"naive": naive, "unique": unique}


def test_plan_of_the_paper_for_three_models_is_three_times_one() -> None:
    one, three = paper_plan("llama-7b").summary(), paper_plan("llama-7b", "llama-13b", "llama-33b").summary()
    for count in ("cells", "final_checkpoints"):
        assert three[count] == 3 * one[count]
    assert three["stages"] == {name: 3 * count for name, count in one["stages"].items()}
    assert three["steps"]["subsample"] == one["steps"]["subsample"]  # data does not depend on the model


def test_plan_of_the_paper_has_one_subsample_a_source_and_proportion() -> None:
    plan = paper_plan("llama-7b")
    summary = plan.summary()["steps"]
    mixtures = {stage for chain in paper_cells() for stage in chain}
    assert summary["subsample"]["unique"] == 3 * 5
    assert summary["mix"]["unique"] == len(mixtures)
    # gsm8k and humaneval ask all and the base; MATH and MBPP the base and RQ2's five
    assert summary["score"]["unique"] == (38 + 1) * 2 + (5 + 1) * 2


@pytest.mark.parametrize("source", TABLE)
def test_subset_size_of_the_paper_is_the_printed_row(source: str) -> None:
    assert [subset_size(k, SIZES[source]) for k in KS] == TABLE[source]


@given(st.fractions(0, 1, max_denominator=10**9), st.integers(0, 10**12))
def test_subset_size_is_the_greatest_whole_number_below_k_n(k: Fraction, rows: int) -> None:
    size = subset_size(k, rows)
    assert size <= k * rows < size + 1


def test_plan_shares_the_first_stage_of_dmt_with_mixed_sequential() -> None:
    chains = plan_of(study_of()).chains
    first = chains["lab.small:rq4.mixed_sequential:1:0"][0]
    assert all(chains[f"lab.small:dmt:{k}:0"][0] is first for k in ("1", "1/4", "1/64"))
    assert chains["lab.small:dmt:1/4:0"][1].key != chains["lab.small:dmt:1/16:0"][1].key


def test_plan_with_abilities_in_another_order_trains_the_same_mixtures() -> None:
    one = plan_of(study_of(), only=("rq2", "rq3", "dmt"))
    other = plan_of(study_of(SMALL.replace("[code, math]", "[math, code]")), only=("rq2", "rq3", "dmt"))
    assert keys(one, "mix", "sft", "answer") == keys(other, "mix", "sft", "answer")


def test_plan_with_abilities_in_another_order_trains_sequentially_in_that_order() -> None:
    def second_stage(text: str) -> Step:
        return plan_of(study_of(text)).chains["lab.small:rq4.sequential:1:0"][1]

    assert second_stage(SMALL).label.endswith("lab.code_1-lab.math_1")
    assert second_stage(SMALL.replace("[code, math]", "[math, code]")).label.endswith("lab.math_1-lab.code_1")


def test_plan_with_another_training_seed_keeps_data_and_bases() -> None:
    one, three = plan_of(study_of()), plan_of(study_of(SMALL.replace("[0]", "[0, 1, 2]")))
    kinds = ("download", "tokenizer", "tokenize", "subsample", "mix", "base")
    assert keys(one, *kinds) == keys(three, *kinds)
    assert keys(one, "sft") < keys(three, "sft")
    assert len(keys(three, "sft")) == 3 * len(keys(one, "sft"))


def test_plan_with_another_subset_seed_keeps_the_bases_only() -> None:
    one, other = plan_of(study_of()), plan_of(study_of(SMALL + "subset_seed: 1\n"))
    assert keys(one, "download", "base", "tokenize") == keys(other, "download", "base", "tokenize")
    assert not keys(one, "subsample", "mix", "sft") & keys(other, "subsample", "mix", "sft")


def test_plan_with_only_one_experiment_has_a_part_of_the_whole_plan() -> None:
    whole, part = plan_of(study_of()), plan_of(study_of(), only=("rq4",), models=("lab.large",))
    assert set(part.steps) - {part.aggregate.key} < set(whole.steps)
    assert {cell.model for cell in part.cells} == {"lab.large"}


@pytest.mark.parametrize(
    ("selected", "message"),
    [
        ({"only": ("rq9",)}, "--only: unknown experiment 'rq9'"),
        ({"models": ("lab.smal",)}, "--models: unknown model 'lab.smal'; did you mean 'lab.small'"),
        ({"seeds": (7,)}, "--seeds: unknown seed '7'"),
    ],
)
def test_plan_with_an_unknown_selection_is_refused(selected: dict[str, tuple[str, ...]], message: str) -> None:
    with pytest.raises(StudyError, match=message):
        plan_of(study_of(), **selected)


@pytest.mark.parametrize("added", ["", "question: another?\n"])
def test_plan_twice_has_the_same_keys_whatever_the_question(added: str) -> None:
    one, again = plan_of(study_of()), plan_of(study_of(SMALL + added))
    assert set(one.steps) - {one.aggregate.key} == set(again.steps) - {again.aggregate.key}


def test_plan_steps_come_after_their_inputs() -> None:
    seen: set[str] = set()
    for key, step in plan_of(study_of()).steps.items():
        assert {parent.key for parent in step.parents()} <= seen
        seen.add(key)


def test_missing_of_an_empty_store_is_everything_that_a_score_needs() -> None:
    plan = plan_of(study_of())
    assert set(plan.missing()) == set(plan.steps)


def test_missing_of_a_full_store_is_nothing() -> None:
    assert complete(plan_of(study_of())).missing() == {}


def test_missing_without_a_first_stage_whose_scores_are_there_is_nothing() -> None:
    plan = complete(plan_of(study_of()))
    del plan.found[plan.chains["lab.small:rq4.mixed_sequential:1:0"][0].key]
    assert plan.missing() == {}


def test_missing_without_checkpoints_and_data_but_with_scores_is_nothing() -> None:
    plan = complete(plan_of(study_of()))
    plan.found = dict.fromkeys(keys(plan, "score", "aggregate"), A_RECORD)
    assert plan.missing() == {}


def test_missing_without_the_scores_grades_the_kept_answers() -> None:
    plan = complete(plan_of(study_of()))
    scores = keys(plan, "score")
    for key in scores:
        del plan.found[key]
    assert missing_kinds(plan) == {"score": len(scores)}


def test_missing_without_the_report_aggregates_alone() -> None:
    plan = complete(plan_of(study_of()))
    del plan.found[plan.aggregate.key]
    assert missing_kinds(plan) == {"aggregate": 1}


def test_missing_without_a_final_checkpoint_and_one_score_grades_its_answers() -> None:
    plan = complete(plan_of(study_of()))
    checkpoint = plan.chains["lab.small:dmt:1/4:0"][-1]
    score = next(s for s in plan.scores if checkpoint.label in s.label)
    plan.found.pop(checkpoint.key)
    plan.found.pop(score.key)
    assert missing_kinds(plan) == {"score": 1}


def test_missing_without_answers_and_chain_trains_the_chain_again_and_no_data() -> None:
    plan = complete(plan_of(study_of()))
    chain = plan.chains["lab.small:dmt:1/4:0"]
    gone = {s.key for s in chain} | {s.key for s in plan.steps.values() if s.label.endswith(chain[-1].label)}
    plan.found = {key: A_RECORD for key in plan.steps if key not in gone}
    assert missing_kinds(plan) == {"sft": 2, "answer": 3, "score": 3}


def test_missing_comes_in_the_order_of_the_steps() -> None:
    plan = plan_of(study_of())
    positions = [list(plan.steps).index(key) for key in plan.missing()]
    assert positions == sorted(positions)


def made_subset(folder: Path, k: Fraction, *, rows: int, seed: int = 0) -> list[int]:
    """What the subsample step leaves for a source of `rows` rows."""
    source = Artifact(store=Store(str(folder)), record=A_RECORD.model_copy(update={"ledger": {"rows": rows}}))
    settings = SubsampleSettings(proportion=k, seed=seed)
    subsample.make(Work(settings=settings, inputs={"rows": source}, folder=folder))
    return [int(row) for row in np.load(folder / "rows.npy")]


@settings(max_examples=40)
@given(st.integers(256, 3000), st.integers(0, 2**31 - 1))
def test_subsample_of_any_source_nests_and_has_no_row_twice(
    tmp_path_factory: pytest.TempPathFactory, rows: int, seed: int
) -> None:
    folder = tmp_path_factory.getbasetemp()
    subsets = [made_subset(folder, k, rows=rows, seed=seed) for k in KS]
    assert sorted(subsets[0]) == list(range(rows))
    assert [len(subset) for subset in subsets] == [int(k * rows) for k in KS]
    assert all(subset == subsets[0][: len(subset)] for subset in subsets)


def test_subsample_with_another_seed_draws_other_rows(tmp_path: Path) -> None:
    one, other = (made_subset(tmp_path, Fraction(1, 16), rows=1600, seed=seed) for seed in (0, 1))
    assert len(set(one) & set(other)) < 30  # 100 of 1,600 twice: 6 in common are to be expected


def test_subsample_that_would_be_empty_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="1/64 of 63 rows is less than one row"):
        made_subset(tmp_path, Fraction(1, 64), rows=63)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("multi_task", [{"code": "1/4", "math": "1/4", "general": "1/4"}]),
        ("sequential", [{"code": "1"}, {"math": "1"}, {"general": "1"}]),
        ("mixed_sequential", [{"code": "1", "math": "1"}, {"general": "1"}]),
        ("dmt", [{"code": "1", "math": "1"}, {"general": "1", "code": "1/4", "math": "1/4"}]),
    ],
)
def test_strategy_has_the_stages_of_the_paper(name: str, expected: list[dict[str, str]]) -> None:
    rule = load_strategies()[name].stages
    stages = rule(specialised=("code", "math"), general=("general",), k=Fraction(1, 4))
    assert [{ability: str(k) for ability, k in stage.items()} for stage in stages] == expected
    assert strategy_of(stages) == name


def test_cells_of_a_study_have_different_names() -> None:
    names = [cell.name for cell in expand(study_of(SMALL.replace("[0]", "[0, 1]")))]
    assert len(names) == len(set(names)) == 2 * 2 * 46


def test_plan_of_ten_thousand_cells_is_whole() -> None:
    seeds = ", ".join(map(str, range(110)))
    start = time.monotonic()
    plan = plan_of(study_of(SMALL.replace("[0]", f"[{seeds}]")))
    summary = plan.summary()
    print(f"planned 10,120 cells in {time.monotonic() - start:.1f} s")
    assert summary["cells"] == 46 * 2 * 110
    assert summary["stages"] == {"naive": 54 * 2 * 110, "unique": 40 * 2 * 110}
    assert summary["steps"]["sft"]["to_run"] == 40 * 2 * 110


PLANNER = """
import sys
sys.addaudithook(lambda event, _: event in ("socket.connect", "socket.getaddrinfo") and sys.exit("network: " + event))
from flows.command_line import main
status = main(["plan", "paper", "--json", "--store", sys.argv[1]])
heavy = {"torch", "prefect", "pandas", "transformers", "datasets", "numpy", "pyarrow", "s3fs"} & set(sys.modules)
print(sorted(heavy), file=sys.stderr)
sys.exit(status)
"""


def test_plan_of_the_paper_on_the_command_line_needs_neither_network_nor_torch(tmp_path: Path) -> None:
    command = [sys.executable, "-c", PLANNER, str(tmp_path / "runs")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "[]\n")
    summary = json.loads(ended.stdout)
    assert summary["stages"]["unique"] == 3 * (40 + 5 + 3)  # with the ablation and equal amounts
    assert not (tmp_path / "runs").exists()


def test_strategy_of_two_general_abilities_keeps_its_name() -> None:
    for name in ("sequential", "mixed_sequential", "dmt", "multi_task"):
        stages = load_strategies()[name].stages(specialised=("a", "b"), general=("c", "d"), k=Fraction(1, 4))
        assert strategy_of(stages) == name


def test_benchmark_of_another_abilitys_source_asks_what_that_one_holds_out() -> None:
    text = """
name: leak
abilities:
  math:    {source: {name: lab.math, rows: 100, held_out: 10}, benchmarks: [lab.math]}
  general: {source: {name: lab.general, rows: 100, held_out: 10}, benchmarks: [lab.math]}
models: [lab.small]
proportions: [1]
experiments: [rq1]
recipe: {epochs: 1, batch_size: 8, peak_learning_rate: 1.0e-3, warmup_ratio: 0, schedule: constant}
"""
    plan = make_plan(parse_study(text, path=Path("leak.yaml")), selection=Selection(), lock={})
    downloads = [s for s in plan.steps.values() if s.kind == "download" and s.settings.source == "lab.math"]
    assert len(downloads) == 1


def test_reason_names_a_long_list_by_its_length() -> None:
    from mixgrid.why import shortened

    assert shortened([{"model": "lab.small", "seed": seed} for seed in range(40)]) == "40 entries"
    assert shortened([1, 2]) == "[1, 2]"
    assert shortened("x" * 70) == "x" * 60 + "..."
