"""Where a study stands: which of its steps are done, running, failed or missing.

study_status(plan, store)
    -> {"study": "demo", "steps": {"sft": {"done": 40, "running": 2, "failed": 0, "missing": 52}, ...}, "failures": []}
"""

from collections.abc import Iterator
from typing import Any

from mixgrid.live import last_failures, running_now, waits_on_pools
from mixgrid.plan import Plan
from mixgrid.record import Record
from mixgrid.step import Step
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
        "hours": {kind: _hours(plan, kind) for kind in EXPENSIVE},
    }


def _hours(plan: Plan, kind: str) -> dict[str, float | None]:
    """Hours of work in a kind's records, and the estimate for all its steps: those to make as long as the mean so far.

    An hour with eight GPUs counts eight. The estimate is None before the first step is made.
    """
    steps = [step for step in plan.steps.values() if step.kind == kind]
    used = [_seconds(step, plan.found[step.key]) for step in steps if step.key in plan.found]
    left = sum(step.kind == kind for step in plan.missing().values())
    whole = sum(used) + left * sum(used) / len(used) if used else None
    return {"used": round(sum(used) / 3600, 4), "estimated": None if whole is None else round(whole / 3600, 4)}


def _seconds(step: Step, record: Record) -> float:
    return float(record.provenance["seconds"]) * int(getattr(step.runtime, "processes", 1))


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
