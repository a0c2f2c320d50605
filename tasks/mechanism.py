"""What every task does: look its step up in the store, else have it made, here or on a work pool.

    look_up_or_make(step, run)  -> Completed(name="Cached"), or {"key": ..., "folder": ..., "figures": {...}}

The store is the truth: Prefect caches and persists nothing of a step. What goes from task to task is a small record.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict

from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.states import Completed

from mixgrid.execute import WorkOrder
from mixgrid.progress import Progress
from mixgrid.record import Record
from mixgrid.step import Step
from mixgrid.store import Store
from mixgrid.warm import WorkerDied
from tasks.progress_artifact import ProgressArtifact


class Maker(Protocol):
    """Whoever makes steps: worker processes of this run, or a work pool."""

    def run(self, order: WorkOrder, progress: Progress) -> Record: ...
    def close(self) -> None: ...


@dataclass(frozen=True)
class Run:
    """What the tasks of one flow run share. `makers`: by step kind. `watch(step, share, text)` hears of progress."""

    store: Store
    makers: Mapping[str, Maker]
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
    with ProgressArtifact(step.title) as artifact:

        def progress(share: float, text: str) -> None:
            run.watch(step, share, text)
            artifact.tell(share, text)

        return small_record(run.makers[step.kind].run(WorkOrder.of(step), progress))


def small_record(record: Record) -> dict[str, Any]:
    """What one task hands to another."""
    figures = {name: value for name, value in record.ledger.items() if isinstance(value, int | float | str)}
    return {"key": record.key, "folder": record.folder, "figures": figures}
