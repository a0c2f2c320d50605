"""The floors: imports go down only and a plan loads no torch; the contracts of the folders that contributors add to."""

import ast
import dataclasses
import importlib
import importlib.metadata
import pkgutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import flows
import mixgrid
import mixgrid.benchmarks
import mixgrid.experiments
import mixgrid.filters
import mixgrid.findings
import mixgrid.sources
import mixgrid.steps
import mixgrid.strategies
import tasks
from mixgrid.benchmarks import Answered, Benchmark, load_benchmarks
from mixgrid.conversations import Conversation, exchange
from mixgrid.experiments import Axes, load_experiments
from mixgrid.filters import FILTERED, load_filters, looks_of
from mixgrid.grading import Grading
from mixgrid.identity import Runtime, Settings
from mixgrid.sources import GeneratedSource, PublishedSource, load_sources
from mixgrid.sources.forms import FORMS, Normalised, normalise
from mixgrid.steps import KIND_ORDER, load_kinds
from mixgrid.strategies import Stages, Strategy, load_strategies

FLOORS = {"mixgrid": mixgrid, "tasks": tasks, "flows": flows}
NOT_FOR = {"mixgrid": {"prefect", "tasks", "flows"}, "tasks": {"flows"}, "flows": set[str]()}
HEAVY = {
    "scipy",
    "sklearn",
    "torch",
    "transformers",
    "datasets",
    "pandas",
    "numpy",
    "pyarrow",
    "s3fs",
    "prefect",
    "accelerate",
    "fastchat",
}

abilities = st.lists(st.sampled_from("abcdefg"), min_size=2, max_size=6, unique=True)
proportions = st.fractions(min_value=0, max_value=1, max_denominator=10_000).filter(lambda k: k > 0)


def files_of(floor: str) -> list[Path]:
    return sorted(Path(next(iter(FLOORS[floor].__path__))).rglob("*.py"))


def imported(tree: ast.AST) -> set[str]:
    """The top names of all imports in the tree, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            found.add(str(node.module).partition(".")[0])
    return found


def loaded_by(code: str) -> set[str]:
    """The top names of all modules after running the code in a fresh process."""
    command = [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in ended.stdout.split()}


@pytest.mark.parametrize("floor", FLOORS)
def test_floor_imports_nothing_from_above(floor: str) -> None:
    above = {str(path): imported(ast.parse(path.read_text())) & NOT_FOR[floor] for path in files_of(floor)}
    assert len(above) > 1
    assert {path: names for path, names in above.items() if names} == {}


def test_command_line_imports_only_mixgrid_and_the_standard_library_at_its_top() -> None:
    path = next(path for path in files_of("flows") if path.name == "command_line.py")
    top = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert imported(ast.Module(top, [])) <= {"mixgrid", *sys.stdlib_module_names}


def test_command_line_help_loads_nothing_heavy() -> None:
    assert loaded_by("from flows.command_line import parser; parser().format_help()") & HEAVY == set()


def test_all_of_mixgrid_that_a_plan_uses_loads_nothing_heavy() -> None:
    code = (
        "import mixgrid.plan, mixgrid.why, mixgrid.status, mixgrid.lock, mixgrid.results, mixgrid.texts\n"
        "from mixgrid.steps import load_kinds\nload_kinds()"
    )
    assert loaded_by(code) & HEAVY == set()


def test_prefect_server_starts_with_the_pinned_fastapi() -> None:
    """fastapi 0.151 breaks prefect 3.8.8: `Body() got an unexpected keyword argument 'min_items'`."""
    command = [sys.executable, "-W", "ignore", "-c", "import prefect.server.api.server"]
    subprocess.run(command, check=True, capture_output=True)


def test_flow_file_that_prefect_may_load_by_its_bare_name_is_named_like_no_other_module() -> None:
    own = {path.stem for path in files_of("flows")} - {"__init__"}
    installed = set(importlib.metadata.packages_distributions()) - set(FLOORS)
    assert own & (set(sys.stdlib_module_names) | installed) == set()


@pytest.mark.parametrize(
    ("package", "attribute"),
    [
        (mixgrid.sources, "SOURCE"), (mixgrid.strategies, "STRATEGY"), (mixgrid.experiments, "EXPERIMENT"),
        (mixgrid.benchmarks, "BENCHMARK"), (mixgrid.steps, "KIND"), (mixgrid.findings, "CLAIM"),
        (mixgrid.filters, "FILTER"),
    ],
)  # fmt: skip
def test_folder_of_things_has_one_a_file_each_with_a_name_of_its_own(package: ModuleType, attribute: str) -> None:
    machinery = {"files", "forms", "fields", "benchmark_forms", "reading"}
    modules = [m.name for m in pkgutil.iter_modules(package.__path__) if m.name not in machinery]
    things = [getattr(importlib.import_module(f"{package.__name__}.{name}"), attribute) for name in modules]
    names = [thing.name for thing in things]
    assert len(set(names)) == len(names)
    assert {name.replace(".", "_") for name in names} == set(modules)


def test_step_kinds_are_those_of_the_graph_with_frozen_settings() -> None:
    kinds = load_kinds()
    assert set(kinds) == set(KIND_ORDER)
    assert all(issubclass(kind.settings, Settings) and kind.settings.model_config["frozen"] for kind in kinds.values())
    assert all(kind.runtime is None or issubclass(kind.runtime, Runtime) for kind in kinds.values())


def stages_of(strategy: Strategy, names: list[str], split: int, k: Fraction) -> Stages:
    """`single` takes one ability, all others specialised and general ones."""
    if strategy.name == "single":
        return strategy.stages(specialised=names[:1], general=(), k=k)
    return strategy.stages(specialised=tuple(names[:split]), general=tuple(names[split:]), k=k)


@pytest.mark.parametrize("name", load_strategies())
@settings(max_examples=25)
@given(names=abilities, k=proportions, data=st.data())
def test_strategy_is_pure_and_trains_every_ability(name: str, names: list[str], k: Fraction, data: Any) -> None:
    strategy, split = load_strategies()[name], data.draw(st.integers(1, len(names) - 1))
    given_names = list(names)
    stages = stages_of(strategy, names, split, k)
    assert stages == stages_of(strategy, names, split, k)
    assert names == given_names
    trained = {ability for stage in stages for ability in stage}
    assert trained == (set(names[:1]) if name == "single" else set(names))
    assert all(0 < kept <= 1 for stage in stages for kept in stage.values())


@pytest.mark.parametrize("name", load_strategies())
@settings(max_examples=25)
@given(names=abilities, one=proportions, other=proportions)
def test_strategy_varies_with_k_as_it_says(name: str, names: list[str], one: Fraction, other: Fraction) -> None:
    strategy = load_strategies()[name]
    same = stages_of(strategy, names, 1, one) == stages_of(strategy, names, 1, other)
    assert same == (one == other or not strategy.varies)


@pytest.mark.parametrize("name", load_experiments())
@settings(max_examples=25)
@given(names=abilities, ks=st.lists(proportions, min_size=1, max_size=4, unique=True), data=st.data())
def test_experiment_has_different_names_and_abilities_of_the_study(
    name: str, names: list[str], ks: list[Fraction], data: Any
) -> None:
    split = data.draw(st.integers(1, len(names) - 1))
    rows = dict.fromkeys(names, 20_000)
    axes = Axes(specialised=tuple(names[:split]), general=tuple(names[split:]), proportions=tuple(ks), rows=rows)
    designs = list(load_experiments()[name].designs(axes))
    assert designs == list(load_experiments()[name].designs(axes))
    assert len({(design.arm, design.k) for design in designs}) == len(designs) > 0
    sources = {source for design in designs for stage in design.stages for source in stage}
    assert {source.removeprefix(FILTERED) for source in sources} <= set(names)
    assert all(0 < kept <= 1 for design in designs for stage in design.stages for kept in stage.values())


@pytest.mark.parametrize("name", [n for n, s in load_sources().items() if isinstance(s, PublishedSource)])
def test_published_source_declares_a_known_form_and_its_rows(name: str) -> None:
    source = load_sources()[name]
    assert isinstance(source, PublishedSource)
    assert source.form in FORMS
    assert source.rows > 0
    assert source.homepage


@pytest.mark.parametrize("name", load_filters())
def test_filter_has_a_version_and_each_rule_finds_its_own_example_by_itself(name: str) -> None:
    filter_ = load_filters()[name]
    assert filter_.version
    for rule in filter_.rules:
        alone = dataclasses.replace(filter_, rules=(rule,))
        assert looks_of([alone], exchange(rule.example, "Yes."))[name].rule == rule.name
        assert bool(looks_of([alone], exchange("Go on.", rule.example))) == (rule.turns == "any")


def plain(rows: list[Conversation]) -> list[list[tuple[str, str]]]:
    return [[(message.role, message.content) for message in row.messages] for row in rows]


@pytest.mark.parametrize("name", [n for n, s in load_sources().items() if isinstance(s, GeneratedSource)])
def test_generated_source_keeps_its_counts_and_no_prompt_on_both_sides(name: str) -> None:
    source = load_sources()[name]
    assert isinstance(source, GeneratedSource)
    rows, held_out = source.generate(rows=60, held_out=20, seed=0)
    again, _ = source.generate(rows=60, held_out=20, seed=0)
    assert (len(rows), len(held_out)) == (60, 20)
    assert plain(rows) == plain(again)
    assert {row.prompt for row in rows} & {row.prompt for row in held_out} == set()


ROWS: dict[str, tuple[dict[str, Any], str]] = {
    "gsm8k_test": ({"question": "?", "answer": "48/2=24\n#### 24"}, "so 24\n#### 24"),
    "hendrycks_math": ({"problem": "?", "solution": "It is $\\boxed{\\frac12}$."}, "$\\boxed{0.5}$"),
    "human_eval": (
        {
            "task_id": "mine/0", "prompt": 'def add(a, b):\n    """The sum."""\n', "entry_point": "add",
            "test": "def check(candidate):\n    assert candidate(1, 2) == 3\n",
        },
        "```python\ndef add(a, b):\n    return a + b\n```",
    ),
    "mbpp": (
        {"task_id": 1, "text": "Write a function to add.", "code": "def add(a, b):\n    return a + b",
         "test_list": ["assert add(1, 2) == 3"]},
        "def add(a, b):\n    return b + a",
    ),
    "ifeval": ({"key": 1, "prompt": "?", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}, "None."),
}  # fmt: skip
"""A row of each published source that benchmarks ask, and a right answer to it."""


def item_of(benchmark: Benchmark) -> tuple[Conversation, str]:
    """An item and a right answer: one of the lab's own rows, or one written by hand."""
    source = load_sources()[str(benchmark.data)]
    if isinstance(source, GeneratedSource):
        item = source.generate(rows=1, held_out=1, seed=0)[1][0]
        return item, item.response
    row, answer = ROWS[source.name]
    read = normalise(source.form, row, origin=0)
    assert isinstance(read, Normalised)
    return read.conversation, answer


@pytest.mark.parametrize("name", [n for n, b in load_benchmarks().items() if b.generates and not b.judged])
def test_benchmark_grades_a_right_answer_right_and_silence_wrong(name: str) -> None:
    benchmark: Benchmark = load_benchmarks()[name]
    assert benchmark.grade is not None
    item, answer = item_of(benchmark)
    assert benchmark.ask(item).messages[-1].role == "user"
    right, silent = Answered(item=item, turns=(answer,)), Answered(item=item, turns=("",))
    verdicts = benchmark.grade([right, silent], Grading())
    assert [verdict[benchmark.headline] for verdict in verdicts] == [True, False]
