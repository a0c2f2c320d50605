"""Runs of the deployed step flow on one work pool, found by key and generation: the lock is the server's unique key.

    pool = StepRuns("gpu", store)                           # the deployment step/gpu
    run = pool.newest(key) or pool.start(order, generation=1, ...)
    pool.state_of(run.id)  -> State, read for all runs at once; None while the API cannot be reached

A run's idempotency key is `<step's key>/<store>/<generation>`, so grids that ask for one step at the same moment, and
keep it in one store, get one run.
Every call waits out an API that does not answer, and gives up only when `closed` is set.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import FlowRun, State
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_CLIENT_MAX_RETRIES, temporary_settings
from prefect.states import Cancelling, Crashed

from mixgrid.errors import StepError
from mixgrid.execute import WorkOrder
from mixgrid.store import Store

AGAIN_S = 2.0
POLL_S = 1.0
PAGE = 20
WITH_ITS_GRID = "cancelled with its grid"
"""Tag of a run that was cancelled because its grid was; what a state says is lost with the next state."""
Result = TypeVar("Result")
GONE: State[Any] = Crashed(name="Gone", message="the Prefect server does not know the run any more")


@dataclass(frozen=True)
class StepRun:
    """One generation of a step."""

    generation: int
    id: UUID
    state: State[Any]


class StepRuns:
    """The runs of the deployment `step/<pool>` that write into one store."""

    def __init__(self, pool: str, store: Store) -> None:
        self.pool = pool
        self._store = hashlib.sha256(store.location("").encode()).hexdigest()[:8]
        self.closed = threading.Event()
        """Set by `close`."""
        self._deployment: UUID | None = None
        self._queues: bool | None = None
        self._lock = threading.Lock()
        self._watched: dict[UUID, threading.Event] = {}
        self._states: dict[UUID, State[Any]] = {}
        self._poller: threading.Thread | None = None

    def close(self) -> None:
        """Let everybody who waits for a state or an answer go."""
        self.closed.set()
        with self._lock:
            for event in self._watched.values():
                event.set()

    def newest(self, key: str) -> StepRun | None:
        """The highest generation of a step."""
        found, first = None, 1
        while True:
            names = [self._name(key, generation) for generation in range(first, first + PAGE)]
            runs = self._read(FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=names)))
            if not runs:
                return found
            found = max((_step_run(run) for run in runs), key=lambda run: run.generation)
            first += PAGE

    def start(
        self, order: WorkOrder, *, generation: int, parameters: Mapping[str, Any], queue: str, tags: Iterable[str]
    ) -> StepRun:
        """Create a generation, or join it when another grid was first. Raises StepError without a deployment."""
        deployment = self._deployment_id()
        run = self._patiently(
            lambda client: client.create_flow_run_from_deployment(
                deployment,
                parameters=dict(parameters),
                name=order.title,
                tags=tags,
                idempotency_key=self._name(order.key, generation),
                work_queue_name=queue,
            )
        )
        return _step_run(run)

    def watch(self, run: UUID) -> threading.Event:
        """An event that is set whenever the run's state has changed."""
        with self._lock:
            event = self._watched.setdefault(run, threading.Event())
            if self._poller is None:
                self._poller = threading.Thread(target=self._poll, name=f"states-{self.pool}", daemon=True)
                self._poller.start()
        return event

    def forget(self, run: UUID) -> None:
        """Nobody waits for it any more."""
        with self._lock:
            self._watched.pop(run, None)
            self._states.pop(run, None)

    def state_of(self, run: UUID) -> State[Any] | None:
        """The newest state that could be read."""
        return self._states.get(run)

    def queues(self, run: UUID) -> bool:
        """Whether a run that has not started may be in a queue of SLURM's or Kubernetes's: its worker put it there."""
        if self._queues is None:
            pool = self._patiently(lambda client: client.read_work_pool(self.pool))
            variables = pool.base_job_template.get("variables", {}).get("properties", {})
            self._queues = pool.type != "process" or bool(variables.get("command", {}).get("default"))
        return self._queues and bool(self._patiently(lambda client: client.read_flow_run(run)).infrastructure_pid)

    def declare_dead(self, run: UUID, message: str) -> None:
        """Say Crashed of a run that can no longer say so itself; its process, if any, may not start any more."""
        self._patiently(lambda client: client.set_flow_run_state(run, Crashed(message=message), force=True))

    def _name(self, key: str, generation: int) -> str:
        return f"{key}/{self._store}/{generation}"

    def cancelled_with_its_grid(self, run: UUID) -> bool:
        """Whether a grid cancelled it, and not a person."""
        return WITH_ITS_GRID in self._patiently(lambda client: client.read_flow_run(run)).tags

    def _deployment_id(self) -> UUID:
        name = f"step/{self.pool}"
        if self._deployment is None:
            try:
                self._deployment = self._patiently(lambda client: client.read_deployment_by_name(name).id)
            except ObjectNotFound:
                raise StepError(
                    f"the Prefect server has no deployment {name}; run `prefect deploy --all --prefect-file "
                    "deployments/prefect.yaml`, or leave out --route"
                ) from None
        return self._deployment

    def _read(self, what: FlowRunFilter) -> list[FlowRun]:
        return self._patiently(lambda client: client.read_flow_runs(flow_run_filter=what, limit=200))

    def _patiently(self, call: Callable[[SyncPrefectClient], Result]) -> Result:
        """Call the API until it answers. Raises what it answers, and StepError once the run is over."""
        while not self.closed.is_set():
            try:
                return ask(call)
            except httpx.HTTPError as error:
                if not unreachable(error):
                    raise
            self.closed.wait(AGAIN_S)
        raise StepError("the run is over")

    def _poll(self) -> None:
        while not self.closed.wait(POLL_S):
            with self._lock:
                ids = list(self._watched)
            for first in range(0, len(ids), 200):
                page = ids[first : first + 200]
                with suppress(StepError):
                    self._heard(page, self._read(FlowRunFilter(id=FlowRunFilterId(any_=page))))

    def _heard(self, asked: list[UUID], runs: list[FlowRun]) -> None:
        states = {run.id: run.state for run in runs}
        for run in asked:
            state, known = states.get(run) or GONE, self._states.get(run)
            with self._lock:
                if run in self._watched and (known is None or (known.id, known.name) != (state.id, state.name)):
                    self._states[run] = state
                    self._watched[run].set()


def ask(call: Callable[[SyncPrefectClient], Result]) -> Result:
    """One call without Prefect's own retries, whose pauses double up to minutes."""
    with temporary_settings({PREFECT_CLIENT_MAX_RETRIES: 0}), get_client(sync_client=True) as client:
        return call(client)


def unreachable(error: httpx.HTTPError) -> bool:
    """Whether another try may help: no connection, or a server or database in trouble."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500 or error.response.status_code in (408, 429)
    return True


def cancel(runs: Iterable[UUID], *, timeout_s: float = 20) -> None:
    """Cancel runs together with their grid, and note that on each, for other grids that might wait for it."""
    deadline = time.monotonic() + timeout_s
    for run in runs:
        while time.monotonic() < deadline:
            try:
                ask(lambda client, run=run: _cancel(client, run))  # type: ignore[misc]
                break
            except httpx.HTTPError as error:
                if not unreachable(error):
                    break
                time.sleep(AGAIN_S)
            except ObjectNotFound:
                break


def _cancel(client: SyncPrefectClient, run: UUID) -> None:
    tags = client.read_flow_run(run).tags
    client.update_flow_run(run, tags=[*tags, WITH_ITS_GRID])
    client.set_flow_run_state(run, Cancelling(message=WITH_ITS_GRID))


def _step_run(run: FlowRun) -> StepRun:
    assert run.idempotency_key
    assert run.state
    return StepRun(int(run.idempotency_key.rsplit("/", 1)[1]), run.id, run.state)
