"""Cost: the estimate against numbers worked out by hand, and against records of trainings."""

import math
from pathlib import Path
from typing import Any

import pytest

from mixgrid.cells import Selection
from mixgrid.cost.devices import DEVICES, Hardware, find_device
from mixgrid.cost.estimate import actual_cost, choose_hardware, estimate_cost
from mixgrid.cost.measured import Measured, measure, trainings_of
from mixgrid.errors import InputError
from mixgrid.plan import Plan, make_plan
from mixgrid.record import Record
from mixgrid.status import study_status
from mixgrid.store import Store
from mixgrid.study_file import parse_study

STUDY = """\
name: toy
abilities:
  math: {source: {name: lab.math, rows: 100, held_out: 10}, benchmarks: [lab.math]}
  chat: {source: {name: lab.general, rows: 200, held_out: 10}, benchmarks: [lab.general]}
specialised: [math]
models: [{name: own, hub: someone/llama-7b}]
proportions: [1]
experiments: [rq4, dmt]
recipe: {epochs: 3, batch_size: 10, peak_learning_rate: 2.0e-3, warmup_ratio: 0.03, schedule: cosine, precision: bf16}
"""
LEDGER = {"tokens": 100, "flops": 5000.0, "seconds": 10.0}
H100 = Hardware(device=DEVICES["H100"], price=2.0, chosen="")


def plan_of(text: str = STUDY) -> Plan:
    return make_plan(parse_study(text, path=Path("toy.yaml")), selection=Selection(), lock={})


def record(kind: str, ledger: dict[str, Any], *, label: str = "x", device: str = "cpu") -> Record:
    return Record(
        kind=kind, version=1, label=label, key="", attempt="", settings={}, inputs={}, files={}, ledger=ledger,
        provenance={"device": device, "seconds": 7.0},
    )  # fmt: skip


def test_estimate_before_anything_is_known_is_six_flops_a_parameter_and_token() -> None:
    own = estimate_cost(plan_of(), H100, measured=Measured())["models"]["own"]
    # rq4: math, chat, multi-task, sequential and mixed sequential of two stages each; dmt of two
    naive = 100 + 200 + 300 + (100 + 200) + (100 + 200) + (100 + 300)
    # math alone is the first stage of three others; sequential is mixed sequential
    unique = 100 + 200 + 300 + 200 + 300
    for name, examples in (("naive", naive), ("unique", unique), ("to_run", unique)):
        tokens = examples * 3 * 40
        assert own[name]["tokens"] == tokens
        assert math.isclose(own[name]["flops"], 6 * 7e9 * tokens)
        assert math.isclose(own[name]["device_hours"], 6 * 7e9 * tokens / (0.4 * 989.4e12) / 3600)
        assert math.isclose(own[name]["money"], 2.0 * own[name]["device_hours"])


def test_estimate_takes_mean_lengths_of_tokenised_sources() -> None:
    plan = plan_of()
    math_rows = plan.sources["math"].key
    for key, step in plan.steps.items():
        if step.kind == "tokenize":
            tokens = 1000 if step.input_keys["rows"] == math_rows else 8000  # 10 and 40 an example
            examples = 100 if step.input_keys["rows"] == math_rows else 200
            plan.found[key] = record("tokenize", {"tokens": tokens, "examples": examples})
    cost = estimate_cost(plan, H100, measured=Measured())
    # unique: math in 100 + 100 + 100 examples, chat in 200 + 200 + 200 + 200
    assert cost["models"]["own"]["unique"]["tokens"] == 3 * (300 * 10 + 800 * 40)
    assert not any("tokens, before" in line for line in cost["assumed"])


def test_estimate_of_a_budget_in_steps_counts_what_the_steps_show() -> None:
    plan = plan_of(STUDY.replace("epochs: 3", "budget: {steps: 4}"))
    # five different stages of 4 steps with 10 examples of 40 tokens
    assert estimate_cost(plan, H100, measured=Measured())["models"]["own"]["unique"]["tokens"] == 5 * 4 * 10 * 40


def test_estimate_goes_on_from_what_was_measured() -> None:
    plan = plan_of()
    label = plan.bases["own"].label
    ledger = {"tokens": 100, "flops": 5000.0, "seconds": 10.0, "processes": 2}
    measured = Measured(
        trainings=trainings_of([record("sft", ledger, label=f"{label}-s0-x", device="NVIDIA H100 80GB")])
    )
    own = estimate_cost(plan, H100, measured=measured)["models"]["own"]["unique"]
    assert math.isclose(own["flops"], 50 * own["tokens"])
    assert math.isclose(own["device_hours"], own["flops"] / 250 / 3600)  # 5,000 in 10 seconds of two devices


def test_actual_cost_adds_up_the_records_of_this_study() -> None:
    plan = plan_of()
    chain = plan.chains["own:rq4.mixed_sequential:1:0"]
    ledger = {"tokens": 100, "flops": 5000.0, "seconds": 1800.0, "processes": 2}
    plan.found = {step.key: record("sft", ledger) for step in chain}
    plan.found[plan.sources["math"].key] = record("download", {"rows": 100})
    took = actual_cost(plan, H100)
    assert (took["own"]["trainings"], took["own"]["of"], took["own"]["tokens"]) == (2, 5, 200)
    seconds = 2 * 2 * 7.0  # two steps of 7 s from beginning to end, of two processes each
    assert math.isclose(took["own"]["device_hours"], seconds / 3600)
    assert math.isclose(took["own"]["money"], 2.0 * seconds / 3600)
    assert took["rest"]["steps"] == 1
    assert took["rest"]["kinds"].keys() == {"download"}
    assert math.isclose(took["rest"]["kinds"]["download"]["device_hours"], 7.0 / 3600)


def test_status_counts_the_hours_that_the_report_counts(tmp_path: Path) -> None:
    plan, store = plan_of(), Store(str(tmp_path))
    chain = plan.chains["own:rq4.mixed_sequential:1:0"]
    ledger = {"tokens": 100, "flops": 5000.0, "seconds": 3.0, "processes": 2}
    plan.found = {step.key: record("sft", ledger, device="NVIDIA H100") for step in chain}
    hours = study_status(plan, store)["hours"]
    took = actual_cost(plan, H100)["own"]["device_hours"]
    left = estimate_cost(plan, H100, measured=measure(plan, store))["models"]["own"]["to_run"]["device_hours"]
    assert hours["sft"]["used"] == pytest.approx(took, abs=1e-4)
    assert hours["sft"]["estimated"] == pytest.approx(took + left, abs=1e-4)
    assert hours["base"] == {"used": 0.0, "estimated": None}  # the first one is still to be made


@pytest.mark.parametrize(
    ("models", "device"),
    [
        ("[lab.small, lab.large]", "cpu"),
        ("[lab.small, {name: own, hub: someone/llama-7b}]", "H100"),
        (
            "[{name: wide, scratch: {hidden_size: 1024, intermediate_size: 2752, layers: 16, heads: 16,"
            " vocabulary_size: 32000}}]",
            "H100",
        ),
    ],
)
def test_device_of_a_study_that_never_ran_suits_its_models(models: str, device: str) -> None:
    plan = plan_of(STUDY.replace("[{name: own, hub: someone/llama-7b}]", models))
    assert choose_hardware(plan, Measured(), name=None, price=None).device.name == device


def test_device_is_the_one_that_trained_whatever_the_models_are() -> None:
    plan = plan_of(STUDY.replace("[{name: own, hub: someone/llama-7b}]", "[lab.small]"))
    measured = Measured(trainings=trainings_of([record("sft", LEDGER, device="NVIDIA L4")]))
    assert choose_hardware(plan, measured, name=None, price=None).device.name == "L4"


def test_unknown_size_gives_no_number_instead_of_a_wrong_one() -> None:
    cost = estimate_cost(plan_of(STUDY.replace("llama-7b", "mystery")), H100, measured=Measured())
    assert cost["models"]["own"]["unique"]["money"] is None
    assert any("unknown size" in line for line in cost["assumed"])


@pytest.mark.parametrize(
    ("said", "name"),
    [("NVIDIA H100 80GB HBM3", "H100"), ("NVIDIA H100 PCIe", "H100 PCIe"), ("NVIDIA L40S", "L40S"), ("h200", "H200")],
)
def test_find_device_knows_a_driver_by_a_part_of_its_words(said: str, name: str) -> None:
    found = find_device(said)
    assert found is not None
    assert found.name == name


def test_choose_hardware_without_a_known_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="did you mean 'H100'"):
        choose_hardware(plan_of(), Measured(), name="H10", price=None)
