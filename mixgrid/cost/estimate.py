"""The estimate of a plan's training, with cells that share stages and without, and what it took in the end.

    estimate_cost(plan, hardware, measured=measured)["models"]["lab.small"]
        -> {"naive": {"tokens": 9.1e6, "flops": 1.5e13, "device_hours": 0.08, "money": 0.004},
            "unique": {...}, "to_run": {...}}

Training only: pretraining a lab base, answering and grading are not in it, and `actual_cost` counts them apart. What is
known is used (a source's mean tokens once it is tokenised, a model's FLOPs a token and speed once it was trained); the
rest is assumed, and every assumption is listed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mixgrid.cost.devices import DEVICES, PRICES_OF, Hardware, find_device
from mixgrid.cost.measured import Measured, hours_of, trainings_of
from mixgrid.errors import InputError
from mixgrid.filters import FILTERED
from mixgrid.names import choose
from mixgrid.plan import Plan
from mixgrid.record import Record
from mixgrid.step import Step
from mixgrid.steps import KIND_ORDER
from mixgrid.steps.base import BaseSettings
from mixgrid.steps.sft import SftSettings

TOKENS_AN_EXAMPLE: Mapping[str, int] = {"sharegpt": 1200, "messages": 600, "alpaca": 150, "query_response": 200}
"""Assumed before a source is tokenised, by its form; generated ones have 40, as the lab's do on average."""
_GENERATED = 40


SMALL = 20_000_000
"""Parameters up to which a model that is drawn here trains on a core; what is larger, or from a hub, on a GPU.

On a core, ten million tokens of 20M parameters take nine hours; a lab model of 0.3M takes eight minutes.
"""


def choose_hardware(plan: Plan, measured: Measured, *, name: str | None, price: float | None) -> Hardware:
    """The device asked for, else the one that trained most so far, else one that suits the study's models.

    That is a core where all of them are small and drawn here, as the lab's are, and an H100 otherwise. Raises
    InputError if `name` is unknown.
    """
    if name is not None:
        found = find_device(name)
        if found is None:
            try:
                choose(name, DEVICES, what="device")
            except ValueError as error:
                raise InputError(f"--hardware: {error}") from None
        chosen = "asked for"
    else:
        seconds: dict[str, float] = {}
        for training in measured.trainings:
            known = find_device(training.device)
            if known is not None:
                seconds[known.name] = seconds.get(known.name, 0.0) + training.device_seconds
        small = all(_is_small(step.settings) for step in plan.bases.values())
        found = DEVICES[max(seconds, key=seconds.__getitem__) if seconds else "cpu" if small else "H100"]
        chosen = "it trained what is in the store" if seconds else "nothing was trained so far; choose with --hardware"
    assert found is not None
    return Hardware(device=found, price=found.price if price is None else price, chosen=chosen)


def _is_small(settings: Any) -> bool:
    return settings.shape is not None and settings.shape.parameters <= SMALL


def estimate_cost(plan: Plan, hardware: Hardware, *, measured: Measured) -> dict[str, Any]:
    """Tokens, FLOPs, device-hours and money by model; None where a source's size is not known yet."""
    assumed: dict[str, None] = {}
    missing = plan.missing()
    models: dict[str, Any] = {}
    for model in plan.bases:
        stages = [
            (step, tokens_of(plan, step, assumed))
            for cell in plan.cells if cell.model == model for step in plan.chains[cell.name]
        ]  # fmt: skip
        unique = {step.key: tokens for step, tokens in stages}
        a_token = _flops_a_token(plan, model, measured, assumed)
        speed = _speed(plan, model, hardware, measured, assumed)
        counted = {"naive": [t for _, t in stages], "unique": list(unique.values())}
        counted["to_run"] = [tokens for key, tokens in unique.items() if key in missing]
        models[model] = {name: _figures(t, a_token, speed, hardware.price) for name, t in counted.items()}
    assumed[
        f"a device-hour costs {hardware.price:g} (US dollars; round figures of {PRICES_OF}, set your own with --price)"
    ] = None
    return {
        "device": hardware.device.name, "device_chosen": hardware.chosen, "price_an_hour": hardware.price,
        "assumed": list(assumed), "models": models,
    }  # fmt: skip


def actual_cost(plan: Plan, hardware: Hardware) -> dict[str, dict[str, Any]]:
    """What each model's trainings took that are in the store, and under the name "rest" all other steps, by kind too.

    Hours are `hours_of`, as in `mixgrid status`.
    """
    found: dict[str, dict[str, Any]] = {}
    for model in plan.bases:
        keys = {step.key for cell in plan.cells if cell.model == model for step in plan.chains[cell.name]}
        records = [plan.found[key] for key in keys if key in plan.found]
        trainings = trainings_of(records)
        found[model] = {
            "tokens": sum(t.tokens for t in trainings), "flops": sum(t.flops for t in trainings),
            **_spent(records, hardware), "trainings": len(records), "of": len(keys),
        }  # fmt: skip
    rest = [record for record in plan.found.values() if record.kind != "sft"]
    kinds = {kind: [record for record in rest if record.kind == kind] for kind in KIND_ORDER}
    found["rest"] = {
        **_spent(rest, hardware), "steps": len(rest),
        "kinds": {kind: {**_spent(of, hardware), "steps": len(of)} for kind, of in kinds.items() if of},
    }  # fmt: skip
    return found


def _spent(records: Sequence[Record], hardware: Hardware) -> dict[str, float]:
    hours = hours_of(records)
    return {"device_hours": hours, "money": hours * hardware.price}


def tokens_of(plan: Plan, step: Step, assumed: dict[str, None]) -> float | None:
    """The tokens that one training sees: its examples, as often as they are shown, at their sources' mean length."""
    settings = step.settings
    assert isinstance(settings, SftSettings)
    mixture, tokenized = step.inputs["mixture"], step.inputs["tokenized"]
    assert isinstance(mixture, Step)
    assert not isinstance(tokenized, Step)
    subsamples = mixture.inputs["subsamples"]
    assert not isinstance(subsamples, Step)
    examples = tokens = 0.0
    for subsample, arrays in zip(subsamples, tokenized, strict=True):
        ability = next(a for a, source in plan.sources.items() if source.key == subsample.input_keys["rows"])
        rows = plan.sizes[ability]
        if rows is None:
            return None
        if ability.startswith(FILTERED) and plan.sources[ability].key not in plan.found:
            assumed[f"{ability} has as many rows as {ability.removeprefix(FILTERED)}, before it is read"] = None
        kept = float(subsample.settings.proportion * rows)  # type: ignore[attr-defined]
        examples += int(kept)
        tokens += int(kept) * _tokens_an_example(plan, ability, arrays, assumed)
    budget = settings.recipe.budget
    if budget is None:
        return tokens * (settings.recipe.epochs or 1)
    shown = budget.examples or (budget.steps or 0) * min(settings.recipe.batch_size, examples)
    return tokens / examples * shown


def _tokens_an_example(plan: Plan, ability: str, arrays: Step, assumed: dict[str, None]) -> float:
    record = plan.found.get(arrays.key)
    if record is not None and record.ledger["examples"]:
        return float(record.ledger["tokens"]) / float(record.ledger["examples"])
    form = getattr(plan.sources[ability].settings, "form", None)
    tokens = min(TOKENS_AN_EXAMPLE.get(str(form), _GENERATED), plan.study.max_length)
    assumed[f"an example of {ability} has {tokens} tokens, before it is tokenised"] = None
    return tokens


def _flops_a_token(plan: Plan, model: str, measured: Measured, assumed: dict[str, None]) -> float | None:
    known = measured.flops_a_token(model=plan.bases[model].label)
    if known is not None:
        return known
    parameters = _parameters(plan, model, assumed)
    if parameters is not None:
        assumed[f"{model}: 6 FLOPs a parameter and token"] = None
        return 6.0 * parameters
    assumed[f"{model}: unknown size, so that FLOPs, hours and money are unknown before its base is there"] = None
    return None


def _parameters(plan: Plan, model: str, assumed: dict[str, None]) -> float | None:
    """From the base's record, its shape, or a name such as llama-13b."""
    base = plan.bases[model]
    record, settings = plan.found.get(base.key), base.settings
    assert isinstance(settings, BaseSettings)
    if record is not None:
        return float(record.ledger["parameters"])
    if settings.shape is not None:
        return float(settings.shape.parameters)
    named = re.search(r"(?<![\d.])(\d+(?:\.\d+)?)([bm])(?![a-z])", (settings.hub or model).lower())
    if named is None:
        return None
    parameters = float(named[1]) * (1e9 if named[2] == "b" else 1e6)
    assumed[f"{model} has {parameters:,.0f} parameters, as its name says"] = None
    return parameters


def _speed(plan: Plan, model: str, hardware: Hardware, measured: Measured, assumed: dict[str, None]) -> float:
    """FLOP/s of one device."""
    device = hardware.device
    known = measured.speed(device=device.name, model=plan.bases[model].label)
    half = plan.study.recipe.precision == "bf16"
    if known is not None:
        reached, of = known
        assumed[f"{model}: {reached / device.peak(half=half):.0%} of {device.name}'s peak, as {of} reached so far"] = (
            None
        )
        return reached
    assumed[f"{model}: {device.share:.0%} of {device.name}'s peak; nothing was measured there"] = None
    return device.share * device.peak(half=half)


def _figures(
    tokens: Iterable[float | None], flops_a_token: float | None, speed: float, price: float
) -> dict[str, float | None]:
    known = list(tokens)
    if any(t is None for t in known):
        return {"tokens": None, "flops": None, "device_hours": None, "money": None}
    total = sum(t or 0.0 for t in known)
    flops = None if flops_a_token is None else total * flops_a_token
    hours = None if flops is None else flops / speed / 3600
    money = None if hours is None else hours * price
    return {"tokens": round(total), "flops": flops, "device_hours": hours, "money": money}
