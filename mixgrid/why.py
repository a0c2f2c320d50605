"""Why a step has to run: nothing like it is there, or what differs from the nearest artifact that is.

reasons(plan, store)  -> {"sft: recipe.epochs is 3 instead of 2": 40, "score: its answers have to run": 40}
"""

from collections import Counter
from typing import Any

from mixgrid.plan import Plan
from mixgrid.record import Record
from mixgrid.step import Step
from mixgrid.store import Store

LONGEST = 60  # characters of a value in a reason


def reasons(plan: Plan, store: Store) -> dict[str, int]:
    """Each reason with the number of missing steps it holds for, most frequent first."""
    missing = plan.missing()
    known: dict[str, dict[str, list[Record]]] = {}
    for kind in {step.kind for step in missing.values()}:
        by_label = known.setdefault(kind, {})
        for record in store.records(kind):
            by_label.setdefault(record.label, []).append(record)
    found = Counter(
        f"{step.kind}: {_reason(step, missing, known[step.kind].get(step.label, []))}" for step in missing.values()
    )
    return dict(found.most_common())


def _reason(step: Step, missing: dict[str, Step], near: list[Record]) -> str:
    near = [record for record in near if record.key != step.key]
    if near:
        differences = min((_differences(step, record) for record in near), key=len)
        if differences:
            return "; ".join(differences[:3])
    waiting = sorted({p.kind for p in step.parents() if p.key in missing})
    return f"new, and its {' and '.join(waiting)} has to run" if waiting else "new"


def _differences(step: Step, record: Record) -> list[str]:
    old, new = _flat(record.settings), _flat(step.identity)
    lines = [
        f"{name} is {shortened(new.get(name, 'the default'))} instead of {shortened(old.get(name, 'the default'))}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
    lines += [f"its {name} differs" for name, keys in step.input_keys.items() if record.inputs.get(name) != keys]
    if step.version != record.version:
        lines.append(f"step version {step.version} instead of {record.version}")
    return lines


def shortened(value: Any) -> str:
    """A list of many by its length: a study's checkpoints would fill the screen."""
    if isinstance(value, list | tuple) and len(str(value)) > LONGEST:
        return f"{len(value)} entries"
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict):
        return {prefix: value}
    flat: dict[str, Any] = {}
    for name, inner in value.items():
        flat |= _flat(inner, f"{prefix}.{name}" if prefix else name)
    return flat
