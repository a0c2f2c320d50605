"""Where a study stands: which of its steps are done, running, failed or missing.

study_status(plan, store)
    -> {"study": "demo", "steps": {"sft": {"done": 40, "running": 2, "failed": 0, "missing": 52}, ...}, "failures": []}
"""

from collections.abc import Iterator
from typing import Any

from mixgrid.live import last_failures, running_now
from mixgrid.plan import Plan
from mixgrid.steps import KIND_ORDER
from mixgrid.store import Store


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
    scored = sum(step.key in plan.found for step in plan.scores)
    return {
        "study": plan.study.name,
        "scores": {"done": scored, "all": len(plan.scores)},
        "steps": counts,
        "failures": failed,
    }


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
