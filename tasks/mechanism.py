"""What every task does: look its step up in the store, else have it made in a worker process.

    look_up_or_make(step, run)  -> Completed(name="Cached"), or {"key": ..., "folder": ..., "figures": {...}}

The store is the truth: Prefect caches and persists nothing of a step. What goes from task to task is a small record.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypedDict
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from mixgrid.execute import WorkOrder
from mixgrid.record import Record
from mixgrid.step import Step
from mixgrid.store import Store
from mixgrid.warm import Slots, WorkerDied

FIRST_ARTIFACT_AFTER_S = 5.0
ARTIFACT_EVERY_S = 3.0


@dataclass(frozen=True)
class Run:
    """What the tasks of one flow run share. `watch(step, share, text)` hears of progress."""

    store: Store
    slots: Slots
    watch: Callable[[Step, float, str], None]


class StepOptions(TypedDict):
    """Options that all step tasks have."""

    task_run_name: str
    cache_policy: Any
    persist_result: bool
    retries: int
    retry_delay_seconds: float
    retry_condition_fn: Callable[[Any, Any, State[Any]], bool]


def worker_died(task: Any, task_run: Any, state: State[Any]) -> bool:
    """Only a worker process that died is tried again: whatever a step itself raised, it would raise again."""
    return isinstance(state.result(raise_on_failure=False), WorkerDied)


OPTIONS: StepOptions = {
    "task_run_name": "{title}",
    "cache_policy": NO_CACHE,
    "persist_result": False,
    "retries": 2,
    "retry_delay_seconds": 1,
    "retry_condition_fn": worker_died,
}


def look_up_or_make(step: Step, run: Run) -> State[dict[str, Any]] | dict[str, Any]:
    """The step's small record. Raises what making it raised."""
    found = run.store.find(step)
    if found is not None:
        return Completed(name="Cached", message=f"found in the store: {found.folder}", data=small_record(found))
    return small_record(run.slots.run(WorkOrder.of(step), _Reporter(step, run)))


def small_record(record: Record) -> dict[str, Any]:
    """What one task hands to another."""
    figures = {name: value for name, value in record.ledger.items() if isinstance(value, int | float | str)}
    return {"key": record.key, "folder": record.folder, "figures": figures}


@dataclass
class _Reporter:
    """Progress to the terminal, and to a Prefect artifact where a step takes long."""

    step: Step
    run: Run
    started: float = field(default_factory=time.monotonic)
    updated: float = 0.0
    artifact: UUID | None = None

    def __call__(self, share: float, text: str) -> None:
        self.run.watch(self.step, share, text)
        now = time.monotonic()
        if now - self.started < FIRST_ARTIFACT_AFTER_S or (now - self.updated < ARTIFACT_EVERY_S and share < 1):
            return
        self.updated = now
        percent = round(100 * share, 1)
        if self.artifact is None:
            found = create_progress_artifact(percent, description=f"{self.step.title}: {text}")
            self.artifact = found if isinstance(found, UUID) else None
        else:
            update_progress_artifact(self.artifact, percent, description=f"{self.step.title}: {text}")
