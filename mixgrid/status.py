"""Where a study stands: which of its steps are done, running, failed or missing.

study_status(plan, store)
    -> {"study": "demo", "steps": {"sft": {"done": 40, "running": 2, "failed": 0, "missing": 52}, ...}, "failures": []}
"""

from collections.abc import Iterator
from typing import Any

from mixgrid.cost.estimate import choose_hardware, estimate_cost
from mixgrid.cost.measured import hours_of, measure
from mixgrid.live import last_failures, running_now, waits_on_pools
from mixgrid.plan import Plan
from mixgrid.steps import KIND_ORDER
from mixgrid.store import Store

EXPENSIVE = ("base", "sft", "answer")


def study_status(plan: Plan, store: Store) -> dict[str, Any]:
    """Counts by step kind. Failed: in the newest run, and not made since."""
    failures, running = last_failures(store, plan.study.name), running_now(store, plan.study.name)
    missing = plan.missing()
    counts = {kind: {"done": 0, "running": 0, "failed": 0, "missing": 0} for kind in KIND_ORDER}
    failed = []
    for key, step in plan.steps.items():
        if key in plan.found:
            state = "done"
        elif key not in missing:
            continue
        elif step.folder in running:
            state = "running"
        elif step.folder in failures:
            state = "failed"
            failed.append({"step": step.title, "message": failures[step.folder]})
        else:
            state = "missing"
        counts[step.kind][state] += 1
    routed = waits_on_pools(store, plan.study.name)
    leased = {name.removesuffix(".json") for name in store.names("leases")} if routed else set()
    queued = sum(step.folder in routed and key not in leased for key, step in missing.items())
    scored = len(plan.scores) - plan.scored.count(None)
    return {
        "study": plan.study.name,
        "scores": {"done": scored, "all": len(plan.scores)},
        "steps": counts,
        "failures": failed,
        "pools": {"working": len(routed) - queued, "queued": queued},
        "hours": _hours(plan, store),
    }


def _hours(plan: Plan, store: Store) -> dict[str, dict[str, float | None]]:
    """Device-hours by kind, as `mixgrid report` gives them, and what they will be once all is made.

    Of trainings that is what `mixgrid plan` estimates for those to run; of other steps, as long as the mean so far:
    None before the first of a kind is made.
    """
    hours = {}
    for kind in EXPENSIVE:
        made = [record for record in plan.found.values() if record.kind == kind]
        left = sum(step.kind == kind for step in plan.missing().values())
        used = hours_of(made)
        more = used * left / len(made) if made else None if left else 0.0
        if kind == "sft" and left:
            more = _training_left(plan, store)
        hours[kind] = {"used": round(used, 4), "estimated": None if more is None else round(used + more, 4)}
    return hours


def _training_left(plan: Plan, store: Store) -> float | None:
    measured = measure(plan, store)
    hardware = choose_hardware(plan, measured, name=None, price=None)
    models = estimate_cost(plan, hardware, measured=measured)["models"].values()
    hours = [model["to_run"]["device_hours"] for model in models]
    return None if None in hours else sum(hours)


def data_lines(plan: Plan) -> Iterator[str]:
    """A line for each source whose rows were not all taken as they are, or not all trained on in full."""
    for key, step in plan.steps.items():
        record = plan.found.get(key)
        if record is None:
            continue
        ledger = record.ledger
        counts = {**ledger.get("rejected", {}), **ledger.get("trimmed", {})} if step.kind == "download" else {}
        if step.kind == "tokenize":
            counts = {name.replace("_", " "): ledger[name] for name in ("truncated", "fully_masked") if ledger[name]}
        if counts:
            total = ledger["read"] if step.kind == "download" else ledger["examples"]
            yield f"{step.title}: of {total:,} rows, " + ", ".join(f"{n} {reason}" for reason, n in counts.items())


def cell_lines(plan: Plan) -> Iterator[str]:
    """One line a cell: its name, whether its checkpoint is there, and where."""
    for cell in plan.cells:
        step = plan.chains[cell.name][-1]
        yield f"{cell.name}\t{'done' if step.key in plan.found else 'missing'}\t{step.folder}"
