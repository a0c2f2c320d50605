"""The end of a grid that somebody cancelled: what only it needs on the work pools is cancelled with it.

`run_grid` has `cancel_with_grid` as its hook; Prefect's worker calls it, after it has ended the grid's process. Killed
without having been cancelled, a grid leaves its runs to go on: the next one joins them.
"""

from typing import Any
from uuid import UUID

from prefect.client.schemas.objects import FlowRun

from flows.command_line import DEFAULT_STORE
from mixgrid.live import only_needed_by
from mixgrid.store import Store
from tasks.pool import cancel


def cancel_with_grid(flow: Any, flow_run: FlowRun, state: Any) -> None:  # noqa: ARG001 (Prefect names what it gives)
    """Called by Prefect; the run's parameters say where the store is."""
    cancel_own(Store(flow_run.parameters.get("store", DEFAULT_STORE)), str(flow_run.id))


def cancel_own(store: Store, flow_run: str) -> None:
    """Cancel the runs that a grid last waited for, except those that another live grid of any study waits for too."""
    cancel(UUID(run) for run in only_needed_by(store, flow_run))
