"""The step `represent` in a study: planned beside everything else, made from a real tiny model, shown in the report."""

import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from flows.command_line import main
from mixgrid.cells import Selection
from mixgrid.clean import find_garbage
from mixgrid.errors import StudyError
from mixgrid.execute import WorkOrder, execute
from mixgrid.plan import Plan, make_plan
from mixgrid.progress import silent
from mixgrid.representation.panels import read_hidden_states
from mixgrid.schedule import Schedule
from mixgrid.status import study_status
from mixgrid.step import Step
from mixgrid.steps.represent import RepresentSettings
from mixgrid.store import Store
from mixgrid.study_file import parse_study

STUDY = """
name: tiny
abilities:
  math:    {source: {name: lab.math, rows: 24, held_out: 12}, benchmarks: [response_loss]}
  general: {source: {name: lab.general, rows: 24, held_out: 12}}
specialised: [math]
models:
  - name: nano
    scratch: {hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, vocabulary_size: 320}
    template: plain
proportions: [1, 1/4]
seeds: [5, 3]
experiments: [rq4, dmt]
recipe: {epochs: 1, batch_size: 8, peak_learning_rate: 2.0e-3, warmup_ratio: 0.1, schedule: cosine}
"""
HIDDEN = "hidden_states: {layer: 1, samples: 8, cells: [dmt:1/4, rq4.multi_task:1]}\n"


def plan_of(hidden: str = HIDDEN, store: Store | None = None, **selected: tuple[str, ...]) -> Plan:
    study = parse_study(STUDY + hidden, path=Path("tiny.yaml"))
    selection = Selection(**selected)  # type: ignore[arg-type]
    plan = make_plan(study, selection=selection, lock={}, store=store)
    if store is not None:
        plan.look_up(store)
    return plan


def make(store: Store, plan: Plan, wanted: Step) -> None:
    """One step and all that it needs."""
    needed, stack = set(), [wanted]
    while stack:
        step = stack.pop()
        if store.find(step) is None:
            needed.add(step.key)
            stack += step.parents()
    schedule = Schedule(plan.steps, missing=needed)
    while (ready := schedule.take()) is not None:
        execute(WorkOrder.of(ready), store, silent)
        schedule.finish(ready.key)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The base and the cell of DMT at 1/4, trained, with their hidden states."""
    store = Store(str(tmp_path_factory.mktemp("store")))
    plan = plan_of()
    for _, step in plan.represented[:2]:
        make(store, plan, step)
    return store


def test_study_with_hidden_states_plans_base_and_cells_at_their_first_seed_and_changes_no_other_key() -> None:
    without, plan = plan_of(""), plan_of()
    assert [(names.strategy, names.seed, names.proportion) for names, _ in plan.represented] == [
        ("base", None, None), ("dmt", 5, "1/4"), ("multi_task", 5, "1"),
    ]  # fmt: skip
    new = {key for key, step in plan.steps.items() if step.kind == "represent"}
    assert len(new) == 3
    assert set(plan.steps) == set(without.steps) | new
    assert plan.aggregate.key == without.aggregate.key
    assert plan.summary()["steps"]["represent"] == {"unique": 3, "cached": 0, "to_run": 3}


def test_selection_that_leaves_none_of_the_cells_leaves_no_hidden_states() -> None:
    assert plan_of(only=("rq4",)).represented[1][0].strategy == "multi_task"
    assert len(plan_of(only=("rq4",)).represented) == 2
    study = STUDY.replace("[rq4, dmt]", "[rq1, rq4, dmt]") + HIDDEN
    plan = make_plan(parse_study(study, path=Path("x")), selection=Selection(only=("rq1",)), lock={})
    assert plan.represented == []


@pytest.mark.parametrize(
    ("hidden", "said"),
    [
        ("{layer: 3, cells: [dmt:1]}", "layer: 3: model nano has 2 blocks; use one of 0 to 2"),
        ("{layer: -1, cells: [dmt:1]}", "hidden_states.layer: -1: Input should be greater than or equal to 0"),
        ("{layer: 0, cells: [dmt:1]}", "layer 0 is the embedding of the last token"),
        ("{layer: 1, cells: []}", "hidden_states.cells: []"),
        ("{layer: 1}", "hidden_states.cells: is missing; add it"),
        ("{layer: 1, cells: [dmt:1, dmt:1]}", "cell dmt:1 stands twice"),
        ("{layer: 1, cells: [dmt:1], samples: 4}", "hidden_states.samples: 4"),
        ("{layer: 1, cells: [dmt:1], pooling: first}", "hidden_states.pooling: first"),
        ("{layer: 1, cells: [dmt:1/8]}", "hidden_states.cells: unknown cell 'dmt:1/8'; did you mean 'dmt:1"),
    ],
)
def test_hidden_states_that_cannot_be_are_told_with_value_and_remedy(hidden: str, said: str) -> None:
    with pytest.raises(StudyError) as told:
        plan_of(f"hidden_states: {hidden}\n")
    assert said in str(told.value)


def test_hidden_states_of_one_ability_are_refused() -> None:
    alone = re.sub(r"  general.*\n", "", STUDY).replace("[rq4, dmt]", "[rq1]")
    with pytest.raises(StudyError, match="compares sources, and this study has one ability"):
        parse_study(alone + "hidden_states: {layer: 1, cells: [rq1.math:1]}\n", path=Path("x"))


def test_represented_checkpoint_leaves_states_of_its_own_layer_map_and_purity(store: Store) -> None:
    from mixgrid.models import load_model, load_tokenizer

    plan = plan_of(store=store)
    step = plan.represented[1][1]
    record = plan.found[step.key]
    kept = store.open(record)
    table, states = pd.read_parquet(kept.path("queries.parquet")), np.load(kept.path("states.npy"))
    assert table["source"].tolist() == [0] * 8 + [1] * 8
    assert states.shape == (16, 32)
    checkpoint = next(s for s in step.parents() if s.kind == "sft")
    folder = store.open(plan.found[checkpoint.key]).local_folder()
    model, tokenizer = load_model(folder).eval(), load_tokenizer(folder)
    ids = tokenizer(f"USER: {table['query'][3]} ASSISTANT:", return_tensors="pt")["input_ids"]
    own = model(ids, output_hidden_states=True).hidden_states[1][0, -1].detach().numpy()
    assert states[3] == pytest.approx(own, rel=1e-4, abs=1e-5)
    distances = np.linalg.norm(states[:, None] - states[None], axis=2)
    near = np.argsort(distances + np.diag([np.inf] * 16), axis=1)[:, :7]
    assert record.ledger["neighbours"] == 7
    source = table["source"].to_numpy()
    assert record.ledger["purity"] == pytest.approx((source[near] == source[:, None]).mean())
    assert record.ledger["low"] <= record.ledger["purity"] <= record.ledger["high"]
    assert record.ledger["sources"][0] == {"source": "lab.math", "part": "held_out", "queries": 8, "of": 12}


def test_represented_checkpoint_gives_the_same_bytes_again(store: Store, tmp_path: Path) -> None:
    plan = plan_of(store=store)
    step = plan.represented[0][1]
    other = Store(str(tmp_path / "other"))
    make(other, plan, step)
    again = other.find(step)
    assert again is not None
    assert again.files == plan.found[step.key].files


def test_other_layer_or_pooling_is_another_step_and_another_file_of_the_same_checkpoint(store: Store) -> None:
    plan = plan_of(store=store)
    found = {"last 1": np.load(store.open(plan.found[plan.represented[0][1].key]).path("states.npy"))}
    for layer, pooling in ((2, "last"), (1, "mean")):
        text = f"hidden_states: {{layer: {layer}, pooling: {pooling}, samples: 8, cells: [dmt:1/4]}}\n"
        other = plan_of(text, store)
        step = other.represented[0][1]
        assert isinstance(step.settings, RepresentSettings)
        make(store, other, step)
        record = store.find(step)
        assert record is not None
        found[f"{pooling} {layer}"] = np.load(store.open(record).path("states.npy"))
    assert len({states.tobytes() for states in found.values()}) == 3


def test_clean_keeps_hidden_states_that_a_study_asks_for_and_status_counts_them(store: Store) -> None:
    plan = plan_of(store=store)
    kept = {step.folder for _, step in plan.represented}
    assert not {item.path for item in find_garbage([plan], store, older_than_s=0).found} & kept
    gone = {item.path for item in find_garbage([plan_of("", store)], store, older_than_s=0).found}
    assert {step.folder for _, step in plan.represented[:2]} <= gone
    assert study_status(plan, store)["steps"]["represent"] == {"done": 2, "running": 0, "failed": 0, "missing": 1}


def test_report_shows_base_beside_cell_with_every_query_and_its_purity(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tiny.yaml"
    file.write_text(STUDY + HIDDEN)
    assert main(["report", str(file), "--store", store.url]) == 0
    page = Path(capsys.readouterr().out.strip())
    section = re.search(r"<section><h2>Hidden states</h2>.*?</section>", page.read_text(encoding="utf-8"), re.DOTALL)
    assert section
    panels = re.findall(r"<h4>(.*?)</h4>(<svg.*?</svg>)", section[0])
    assert [label for label, _ in panels] == ["base", "DMT, k = 1/4"]
    for _, drawing in panels:
        paths = re.findall(r'<path d="(.*?)"', drawing)
        # a path a source with a marker a query, then one marker a source for the legend
        assert [path.count("M") for path in paths] == [8, 8, 1, 1]
        assert paths[0].split("m")[1:][0] != paths[1].split("m")[1:][0]
    plan = plan_of(store=store)
    for _, step in plan.represented[:2]:
        assert f"{100 * plan.found[step.key].ledger['purity']:.1f} %" in section[0]
    with (page.parent / "hidden_states.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert len(rows) == 2 * 16
    means = {
        label: np.mean([float(row["purity"]) for row in rows if row["checkpoint"] == label]) for label, _ in panels
    }
    assert list(means.values()) == pytest.approx([plan.found[s.key].ledger["purity"] for _, s in plan.represented[:2]])


def test_report_of_a_study_without_hidden_states_has_no_word_of_them(store: Store) -> None:
    assert read_hidden_states(plan_of("", store), store) is None
