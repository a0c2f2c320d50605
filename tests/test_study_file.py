"""Study files: a good one loads; every mistake is answered with the file, the field, the value and what is allowed."""

import re
import subprocess
import sys
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from mixgrid.cells import Selection
from mixgrid.errors import InputError, StudyError
from mixgrid.plan import make_plan
from mixgrid.runtime import load_runtime
from mixgrid.study_file import load_study, parse_study

ARCHITECTURE_EXAMPLE = """\
name: forgetting
question: Do small models forget math and code when they learn to chat?
abilities:
  math:    {source: lab.math,    benchmarks: [lab.math]}
  code:    {source: lab.code,    benchmarks: [lab.code]}
  general: {source: lab.general, benchmarks: [lab.general]}
specialised: [code, math]        # in the order of sequential training
models: [lab.small, lab.large]
proportions: [1, 1/4, 1/16, 1/64]
seeds: [0, 1, 2]
experiments: [rq1, rq2, rq3, rq4, dmt]
recipe: {epochs: 3, batch_size: 16, peak_learning_rate: 2.0e-3, warmup_ratio: 0.03, schedule: cosine}
"""

MATH = "  math:    {source: lab.math,    benchmarks: [lab.math]}\n"
RECIPE = "recipe: {epochs: 3, batch_size: 16, peak_learning_rate: 2.0e-3, warmup_ratio: 0.03, schedule: cosine}"
SCRATCH = "hidden_size: 64, intermediate_size: 128, layers: 2, heads: 4, vocabulary_size: 512"


def change(old: str, new: str) -> str:
    """The example with one thing changed."""
    assert old in ARCHITECTURE_EXAMPLE
    return ARCHITECTURE_EXAMPLE.replace(old, new)


def without(field: str) -> str:
    """The example without a one-line field."""
    return "".join(line for line in ARCHITECTURE_EXAMPLE.splitlines(True) if not line.startswith(f"{field}:"))


def math(settings: str) -> str:
    """The example with other settings of the ability math."""
    return change("{source: lab.math,    benchmarks: [lab.math]}", settings)


def models(value: str) -> str:
    return change("[lab.small, lab.large]", value)


MALFORMED: dict[str, tuple[str, list[str]]] = {
    "not yaml": ("name: [a\n", ["not YAML", "line 2"]),
    "a tab": ("name:\n\t- a", ["not YAML", "line 2"]),
    "unknown tag": ("name: !!python/object/apply:os.system [ls]", ["not YAML"]),
    "an alias in itself": ("a: &a [*a]\nname: x", ["nested too deeply"]),
    "a date that is none": (change("forgetting", "2024-13-45"), ["not YAML"]),
    "a flag that is none": (change("forgetting", "!!bool x"), ["not YAML"]),
    "a time that is none": (change("forgetting", "!!timestamp x"), ["not YAML"]),
    "a mapping of a list": (change("forgetting", "!!map [a]"), ["not YAML"]),
    "a number of 5,000 digits": (change("[0, 1, 2]", f"[{'9' * 5000}]"), ["not YAML"]),
    "a mapping as a key": ("{a: 1}: 2", ["not YAML"]),
    "nested a thousand deep": ("[" * 1000 + "]" * 1000, ["nested too deeply"]),
    "mappings a thousand deep": ("{a: " * 1000 + "}" * 1000, ["nested too deeply"]),
    "duplicate key": (ARCHITECTURE_EXAMPLE + "seeds: [4]\n", ["'seeds' stands twice", "line 13"]),
    "duplicate ability": (change(MATH, MATH + MATH), ["'math' stands twice"]),
    "empty": ("", ["a study is a mapping", "None"]),
    "a list": ("- name\n- models\n", ["a study is a mapping", "['name', 'models']"]),
    "a text": ("paper", ["a study is a mapping", "paper"]),
    "no name": (without("name"), ["name: is missing"]),
    "no models": (without("models"), ["models: is missing"]),
    "no recipe": (without("recipe"), ["recipe: is missing"]),
    "no experiments": (without("experiments"), ["experiments: is missing"]),
    "no proportions": (without("proportions"), ["proportions: is missing"]),
    "no epochs": (change("epochs: 3, ", ""), ["recipe", "epochs is missing", "budget: {steps: 200}"]),
    "epochs and a budget": (change("epochs: 3", "epochs: 3, budget: {steps: 9}"), ["exclude each other"]),
    "budget of nothing": (change("epochs: 3", "budget: {}"), ["recipe.budget", "exactly one of steps and examples"]),
    "budget of 0 steps": (change("epochs: 3", "budget: {steps: 0}"), ["recipe.budget.steps: 0", "greater than"]),
    "unknown adapter": (change("cosine}", "cosine, adapter: lara}"), ["recipe.adapter.name: lara", "'lora'"]),
    "unknown loss average": (change("cosine}", "cosine, loss_average: row}"), ["loss_average: row", "'example'"]),
    "evaluate_at 0": (ARCHITECTURE_EXAMPLE + "evaluate_at: [0]\n", ["evaluate_at[0]: 0", "outside (0, 1]"]),
    "learning rate twice": (ARCHITECTURE_EXAMPLE + "peak_learning_rates: [1e-3, 0.001]\n", ["stands twice"]),
    "experiment twice under one label": (
        change("rq1,", "rq1, {name: rq2, label: rq1},"), ["experiment rq1 stands twice"]
    ),
    "experiment with a wrong recipe": (
        change("[rq1,", "[{name: rq1, recipe: {epoch: 3}},"),
        ["the study: experiment rq1, recipe.epoch: unknown setting"],
    ),
    "no source": (math("{benchmarks: [lab.math]}"), ["abilities.math.source: is missing"]),
    "no benchmark at all": (re.sub(r", +benchmarks: [^}]*", "", ARCHITECTURE_EXAMPLE), ["no ability has a benchmark"]),
    "judged without a judge": (
        change("benchmarks: [lab.general]", "benchmarks: [{name: mt_bench, path: q.jsonl}]"),
        ["mt_bench is scored by a judge", "judge: {model: gpt-4"],
    ),
    "judge without its prompts": (
        ARCHITECTURE_EXAMPLE + "judge: {model: gpt-4}\n", ["set `prompts` to your judge_prompts.jsonl"]
    ),
    "unknown judge profile": (
        ARCHITECTURE_EXAMPLE + "judge: {model: gpt-4, profile: prometeus}\n",
        ["unknown judge profile 'prometeus'", "did you mean 'prometheus'?"],
    ),
    "unknown engine": (ARCHITECTURE_EXAMPLE + "generation: {engine: vllm}\n", ["generation.engine: vllm", "'server'"]),
    "unknown setting at the top": (ARCHITECTURE_EXAMPLE + "epoch: 3\n", ["epoch: unknown setting"]),
    "unknown setting of the recipe": (change("epochs: 3", "epochs: 3, epoch: 3"), ["recipe.epoch: unknown setting"]),
    "unknown setting of a source": (
        math("{source: {name: lab.math, row: 5}, benchmarks: [lab.math]}"),
        ["abilities.math.source.row: unknown setting"],
    ),
    "unknown setting of a benchmark": (
        math("{source: lab.math, benchmarks: [{name: lab.math, item: 5}]}"),
        ["abilities.math.benchmarks[0].item: unknown setting"],
    ),
    "unknown setting of a shape": (
        models(f"[{{name: a, scratch: {{{SCRATCH}, depth: 2}}}}]"),
        ["models[0].scratch.depth: unknown setting"],
    ),
    "a number as setting": (ARCHITECTURE_EXAMPLE + "3: 4\n", ["3", "unknown setting"]),
    "proportion 0": (change("1/64", "0"), ["proportions[3]: 0: outside (0, 1]", "such as 1/16"]),
    "proportion 1.5": (change("1/64", "1.5"), ["proportions[3]: 1.5: outside (0, 1]"]),
    "proportion -1/4": (change("1/64", "-1/4"), ["proportions[3]: -1/4: outside (0, 1]"]),
    "proportion abc": (change("1/64", "abc"), ["proportions[3]: abc: not a fraction; write a fraction such as 1/16"]),
    "proportion 1/0": (change("1/64", "1/0"), ["proportions[3]: 1/0: not a fraction"]),
    "proportion true": (change("1/64", "true"), ["proportions[3]: True: not a fraction"]),
    "proportion nan": (change("1/64", ".nan"), ["proportions[3]: nan: not a fraction"]),
    "proportion twice": (change("1/64", "0.25"), ["proportions", "1/4 stands twice"]),
    "proportions empty": (change("[1, 1/4, 1/16, 1/64]", "[]"), ["proportions: []", "at least 1"]),
    "proportions a number": (change("[1, 1/4, 1/16, 1/64]", "1/4"), ["proportions: 1/4", "list"]),
    "own proportion twice": (change("[rq1,", "[{name: rq1, proportions: [1, 1]},"), ["experiments[0]", "stands twice"]),
    "own seeds twice": (change("[rq1,", "[{name: rq1, seeds: [1, 1]},"), ["experiments[0]", "stands twice"]),
    "seed negative": (change("[0, 1, 2]", "[-1]"), ["seeds[0]: -1", "greater than or equal to 0"]),
    "seed true": (change("[0, 1, 2]", "[true]"), ["seeds[0]: True", "integer"]),
    "seed a text": (change("[0, 1, 2]", "[first]"), ["seeds[0]: first", "integer"]),
    "seed huge": (change("[0, 1, 2]", "[4294967296]"), ["seeds[0]: 4294967296", "less than"]),
    "seed twice": (change("[0, 1, 2]", "[1, 1]"), ["seeds", "1 stands twice"]),
    "seeds a number": (change("[0, 1, 2]", "3"), ["seeds: 3", "list"]),
    "unknown source": (
        math("{source: lab.maths, benchmarks: [lab.math]}"),
        ["abilities.math.source", "unknown source 'lab.maths'; did you mean 'lab.math'? Allowed: ", "sharegpt"],
    ),
    "unknown benchmark": (
        math("{source: lab.math, benchmarks: [gsm8]}"),
        ["abilities.math.benchmarks[0].name: gsm8", "did you mean 'gsm8k'?", "lab.code"],
    ),
    "unknown experiment": (change("[rq1,", "[rq11,"), ["experiments[0].name: rq11", "did you mean 'rq1'?", "dmt"]),
    "unknown model": (models("[lab.smal]"), ["models[0]: lab.smal", "did you mean 'lab.small'?", "lab.large"]),
    "unknown lab model": (models("[{name: a, lab: lab.smal}]"), ["models[0]", "did you mean 'lab.small'?"]),
    "unknown template": (ARCHITECTURE_EXAMPLE + "template: vicunia\n", ["template: vicunia", "'vicuna'", "'plain'"]),
    "specialised no ability": (change("[code, math]", "[cod]"), ["unknown ability 'cod'; did you mean 'code'?"]),
    "specialised twice": (change("[code, math]", "[code, code]"), ["specialised", "code stands twice"]),
    "all specialised": (
        change("[code, math]", "[code, math, general]"),
        ["experiment rq3 compares", "general is []", "name some of the abilities"],
    ),
    "none specialised": (without("specialised"), ["experiment rq3 compares", "specialised is []"]),
    "abilities empty": (
        "name: x\nabilities: {}\nmodels: [lab.small]\nproportions: [1]\nexperiments: [rq1]\n" + RECIPE,
        ["abilities: {}", "at least 1"],
    ),
    "abilities a list": (
        "name: x\nabilities: [math]\nmodels: [lab.small]\nproportions: [1]\nexperiments: [rq1]\n" + RECIPE,
        ["abilities: ['math']", "must be a mapping"],
    ),
    "models empty": (models("[]"), ["models: []", "at least 1"]),
    "models a text": (models("lab.small"), ["models: lab.small", "list"]),
    "experiments empty": (change("[rq1, rq2, rq3, rq4, dmt]", "[]"), ["experiments: []", "at least 1"]),
    "benchmarks a text": (math("{source: lab.math, benchmarks: x}"), ["abilities.math.benchmarks", "must be a list"]),
    "name with a slash": (change("forgetting", "a/b"), ["name: a/b", "letters, digits"]),
    "name of two dots": (change("forgetting", "'..'"), ["name: ..", "letters, digits"]),
    "name a number": (change("forgetting", "12"), ["name: 12", "string"]),
    "ability with a slash": (change("  math: ", "  ma/th: "), ["abilities.ma/th", "letters, digits"]),
    "model with a colon": (models("[{name: 'a:b', lab: lab.small}]"), ["models[0].name: a:b", "letters, digits"]),
    "model of two kinds": (models("[{name: a, hub: b/c, lab: lab.small}]"), ["models[0]", "exactly one", "lab, hub"]),
    "model of no kind": (models("[{name: a}]"), ["models[0]", "exactly one of lab, path, hub and scratch", "none"]),
    "model without a name": (models("[{hub: b/c}]"), ["models[0].name: is missing"]),
    "model twice": (models("[lab.small, lab.small]"), ["model lab.small stands twice"]),
    "model revision without hub": (models("[{name: a, lab: lab.small, revision: x}]"), ["models[0]", "belongs to"]),
    "model path without a model": (models("[{name: a, path: nowhere}]"), ["nowhere", "config.json"]),
    "heads do not divide": (
        models(f"[{{name: a, scratch: {{{SCRATCH.replace('heads: 4', 'heads: 5')}}}}}]"),
        ["models[0].scratch", "hidden_size 64 is no multiple of 2 x heads (10)"],
    ),
    "vocabulary too small": (
        models(f"[{{name: a, scratch: {{{SCRATCH.replace('512', '256')}}}}}]"),
        ["models[0].scratch.vocabulary_size: 256", "300"],
    ),
    "path of no file": (
        math("{source: {form: alpaca, path: nowhere.json}, benchmarks: [lab.math]}"),
        ["nowhere.json: no such file"],
    ),
    "path with an unset variable": (
        math("{source: {form: alpaca, path: '${MIXGRID_NOT_SET}/a.json'}, benchmarks: [lab.math]}"),
        ["abilities.math.source.path", "${MIXGRID_NOT_SET}/a.json", "environment variable MIXGRID_NOT_SET; set it"],
    ),
    "path a number": (
        math("{source: {form: alpaca, path: 3}, benchmarks: [lab.math]}"),
        ["abilities.math.source.path: 3", "list"],
    ),
    "path empty": (
        math("{source: {form: alpaca, path: []}, benchmarks: [lab.math]}"),
        ["abilities.math.source.path: []", "at least 1"],
    ),
    "generated source with path": (
        math("{source: {name: lab.math, path: a.json}, benchmarks: [lab.math]}"),
        ["abilities.math.source", "lab.math is generated; only `rows` and `held_out` can be set"],
    ),
    "path and hub": (
        math("{source: {form: alpaca, path: a.json, hub: b/c}, benchmarks: [lab.math]}"),
        ["abilities.math.source", "`path` and `hub` exclude each other"],
    ),
    "own data without form": (
        math("{source: {path: a.json}, benchmarks: [lab.math]}"),
        ["abilities.math.source", "`form` and `path` or `hub`"],
    ),
    "own data without place": (
        math("{source: {form: alpaca}, benchmarks: [lab.math]}"),
        ["abilities.math.source", "needs `path`"],
    ),
    "unknown form": (
        math("{source: {form: alpacca, path: a.json}, benchmarks: [lab.math]}"),
        ["abilities.math.source.form: alpacca", "'alpaca'"],
    ),
    "source a list": (math("{source: [lab.math], benchmarks: [lab.math]}"), ["abilities.math.source", "['lab.math']"]),
    "source rows 0": (
        math("{source: {name: lab.math, rows: 0}, benchmarks: [lab.math]}"),
        ["abilities.math.source.rows: 0", "greater than or equal to 1"],
    ),
    "epochs 0": (change("epochs: 3", "epochs: 0"), ["recipe.epochs: 0", "greater than or equal to 1"]),
    "epochs true": (change("epochs: 3", "epochs: true"), ["recipe.epochs: True", "integer"]),
    "epochs a text": (change("epochs: 3", "epochs: '3'"), ["recipe.epochs: 3", "integer"]),
    "batch size 2.5": (change("batch_size: 16", "batch_size: 2.5"), ["recipe.batch_size: 2.5", "integer"]),
    "learning rate without a dot": (change("2.0e-3", "-2e-5"), ["peak_learning_rate: -2e-5", "greater than 0"]),
    "learning rate fast": (change("2.0e-3", "fast"), ["recipe.peak_learning_rate: fast", "number"]),
    "learning rate -1": (change("2.0e-3", "-1"), ["recipe.peak_learning_rate: -1", "greater than 0"]),
    "learning rate nan": (change("2.0e-3", ".nan"), ["recipe.peak_learning_rate: nan"]),
    "learning rate inf": (change("2.0e-3", ".inf"), ["recipe.peak_learning_rate: inf", "finite"]),
    "learning rate true": (change("2.0e-3", "true"), ["recipe.peak_learning_rate: True", "number"]),
    "unknown schedule": (change("cosine", "cosinus"), ["recipe.schedule: cosinus", "'cosine', 'linear' or 'constant'"]),
    "warmup 2": (change("0.03", "2"), ["recipe.warmup_ratio: 2", "less than or equal to 1"]),
    "unknown precision": (change("cosine}", "cosine, precision: fp8}"), ["recipe.precision: fp8", "'bf16'"]),
    "recipe a text": (change(RECIPE, "recipe: default"), ["recipe: default"]),
    "max_length 0": (ARCHITECTURE_EXAMPLE + "max_length: 0\n", ["max_length: 0", "greater than or equal to 8"]),
    "generated benchmark with path": (
        math("{source: lab.math, benchmarks: [{name: lab.math, path: a.json}]}"),
        ["abilities.math.benchmarks[0]", "lab.math"],
    ),
    "response_loss with path": (
        math("{source: lab.math, benchmarks: [{name: response_loss, path: a.json}]}"),
        ["abilities.math.benchmarks[0]", "response_loss"],
    ),
    "benchmark path of no file": (
        math("{source: lab.math, benchmarks: [{name: gsm8k, path: nowhere.jsonl}]}"),
        ["nowhere.jsonl: no such file"],
    ),
    "benchmark twice": (
        math("{source: lab.math, benchmarks: [lab.math, lab.math]}"),
        ["abilities.math", "benchmark lab.math stands twice"],
    ),
    "experiment twice": (change("[rq1, rq2", "[rq1, rq1"), ["experiment rq1 stands twice"]),
    "own seeds empty": (change("[rq1,", "[{name: rq1, seeds: []},"), ["experiments[0].seeds: []", "at least 1"]),
    "response_loss without held_out": (
        math("{source: {name: lab.math, held_out: 0}, benchmarks: [response_loss]}"),
        ["response_loss asks held-out rows of math's source", "held_out: 200"],
    ),
    "proportion that leaves no row": (
        math("{source: {name: lab.math, rows: 63}, benchmarks: [lab.math]}"),
        ["1/64 of math's 63 rows is less than one row", "at least 1/63"],
    ),
    "several mistakes": (
        change("epochs: 3", "epochs: 0").replace("[0, 1, 2]", "[-1]").replace("2.0e-3", "fast"),
        ["recipe.epochs: 0", "seeds[0]: -1", "recipe.peak_learning_rate: fast"],
    ),
    "a very long value": (change("forgetting", "x" * 10_000), ["name: xxxx", "..."]),
}  # fmt: skip


def planned(text: str, folder: Path) -> None:
    """Load and plan a study as `mixgrid plan` would."""
    (folder / "mine.yaml").write_text(text)
    make_plan(load_study(str(folder / "mine.yaml")).study, selection=Selection(), lock={})


@pytest.mark.parametrize("case", MALFORMED)
def test_study_with_a_mistake_is_refused_with_file_field_value_and_remedy(case: str, tmp_path: Path) -> None:
    text, fragments = MALFORMED[case]
    with pytest.raises(InputError) as raised:
        planned(text, tmp_path)
    message = str(raised.value)
    if isinstance(raised.value.__cause__, ValidationError):
        assert all(line.startswith(f"{tmp_path / 'mine.yaml'}, ") for line in message.splitlines())
    assert [fragment for fragment in fragments if fragment not in message] == [], message
    assert len(message) < 1500


def test_study_with_more_held_out_than_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"query": "1 + 1?", "response": "2"}\n{"query": "2?", "response": "2"}\n')
    source = "{form: query_response, path: a.jsonl, held_out: 5}"
    with pytest.raises(InputError, match="held_out 5 leaves none of its 2 rows"):
        planned(math(f"{{source: {source}, benchmarks: [response_loss]}}"), tmp_path)


def test_study_with_own_data_without_usable_rows_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": 1}\n')
    with pytest.raises(InputError, match="no usable row among 1 read as form 'alpaca'"):
        planned(math("{source: {form: alpaca, path: a.jsonl}, benchmarks: [lab.math]}"), tmp_path)


def test_experiment_with_a_recipe_of_its_own_changes_these_settings_alone() -> None:
    text = change("rq2,", "{name: rq2, label: matched, recipe: {budget: {steps: 9}, loss_average: example}},")
    variants = {v.label: v for v in parse_study(text, path=Path("mine.yaml")).variants()}
    assert variants["matched"].name == "rq2"
    assert variants["matched"].recipe == variants["rq1"].recipe.changed(
        {"budget": {"steps": 9}, "loss_average": "example"}
    )
    assert (variants["matched"].recipe.epochs, variants["rq1"].recipe.epochs) == (None, 3)


def test_learning_rates_are_an_axis_of_every_experiment() -> None:
    study = parse_study(ARCHITECTURE_EXAMPLE + "peak_learning_rates: [1e-3, 3e-3]\n", path=Path("mine.yaml"))
    rates = {v.label: v.recipe.peak_learning_rate for v in study.variants() if v.name == "dmt"}
    assert rates == {"dmt@0.001": 0.001, "dmt@0.003": 0.003}


def test_learning_rates_that_are_nearly_the_same_have_labels_of_their_own() -> None:
    study = parse_study(ARCHITECTURE_EXAMPLE + "peak_learning_rates: [1e-5, 1.00000001e-5]\n", path=Path("mine.yaml"))
    assert [v.label for v in study.variants() if v.name == "dmt"] == ["dmt@1e-05", "dmt@1.00000001e-05"]


MALFORMED_RUNTIME = {
    "interval a number": ("{snapshot_every: 5}", "training.snapshot_every: 5: give minutes, steps or both, such as"),
    "interval in hours": ("{snapshot_every: {hours: 1}}", "training.snapshot_every: {'hours': 1}: give minutes, steps"),
    "nothing to shard over": ("{sharding: full}", "sharding: full has nothing to spread over; add processes: 2"),
    "unknown setting": ("{proceses: 8}", "training.proceses: unknown setting; remove it or correct its name"),
    "a list": ("[8]", "training: [8]: must be a mapping of settings"),
}


@pytest.mark.parametrize("case", MALFORMED_RUNTIME)
def test_runtime_file_with_a_mistake_is_refused_with_field_value_and_remedy(case: str, tmp_path: Path) -> None:
    text, fragment = MALFORMED_RUNTIME[case]
    (tmp_path / "runtime.yaml").write_text(f"training: {text}\n")
    with pytest.raises(StudyError) as raised:
        load_runtime(str(tmp_path / "runtime.yaml"))
    assert str(raised.value).startswith(f"runtime file {tmp_path / 'runtime.yaml'}, training")
    assert fragment in str(raised.value)


def test_study_of_the_architecture_document_loads() -> None:
    study = parse_study(ARCHITECTURE_EXAMPLE, path=Path("mine.yaml"))
    assert study.proportions == (Fraction(1), Fraction(1, 4), Fraction(1, 16), Fraction(1, 64))
    assert [model.name for model in study.models] == ["lab.small", "lab.large"]
    assert list(study.abilities) == ["math", "code", "general"]
    assert (study.specialised, study.seeds, study.recipe.peak_learning_rate) == (("code", "math"), (0, 1, 2), 0.002)


@pytest.mark.parametrize("name", ["nostudy", "", ".", "/", "../paper", "no.yaml", "paper.yaml", "a\0b"])
def test_study_that_is_not_there_is_refused_with_the_built_in_ones(name: str) -> None:
    with pytest.raises(StudyError, match=r"neither a file nor built in; built in: .*paper"):
        load_study(name)


def test_study_with_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(StudyError, match=r"no study 'aaa.*\.\.\.': File name too long"):
        load_study("a" * 5000)


@pytest.mark.parametrize("depth", [10, 200, 300, 900])
@pytest.mark.parametrize("field", ["", "question: ", "name: ", "path: "])
def test_study_nested_to_any_depth_is_refused(depth: int, field: str) -> None:
    with pytest.raises(StudyError):
        parse_study(field + "[" * depth + "]" * depth, path=Path("mine.yaml"))


def test_study_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_bytes(b"name: \xff")
    with pytest.raises(StudyError, match=r"mine\.yaml: cannot be read as UTF-8"):
        load_study(str(tmp_path / "mine.yaml"))


def test_study_paths_are_relative_to_the_file_and_know_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXGRID_TEST_FOLDER", "/data")
    source = "{form: alpaca, path: [a.json, '${MIXGRID_TEST_FOLDER}/b.json', 's3://bucket/c.json']}"
    study = parse_study(math(f"{{source: {source}, benchmarks: [lab.math]}}"), path=tmp_path / "mine.yaml")
    assert study.abilities["math"].source.path == (f"{tmp_path}/a.json", "/data/b.json", "s3://bucket/c.json")


@settings(max_examples=150)
@given(st.data())
def test_study_with_any_characters_cut_or_replaced_loads_or_is_refused(data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(ARCHITECTURE_EXAMPLE)))
    end = data.draw(st.integers(start, min(start + 20, len(ARCHITECTURE_EXAMPLE))))
    inserted = data.draw(st.text(alphabet="{}[]:,#&*!|>'\"%@`-? \n\t\0a1/.é", max_size=6))
    with suppress(StudyError):
        parse_study(ARCHITECTURE_EXAMPLE[:start] + inserted + ARCHITECTURE_EXAMPLE[end:], path=Path("mine.yaml"))


@pytest.mark.parametrize("case", ["nested a thousand deep", "proportion 1.5", "proportion that leaves no row"])
def test_command_line_with_a_wrong_study_ends_with_2_and_no_traceback(case: str, tmp_path: Path) -> None:
    text, fragments = MALFORMED[case]
    (tmp_path / "mine.yaml").write_text(text)
    command = [sys.executable, "-m", "flows.command_line", "plan", str(tmp_path / "mine.yaml")]
    ended = subprocess.run([*command, "--store", str(tmp_path / "runs")], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    assert fragments[0] in ended.stderr
