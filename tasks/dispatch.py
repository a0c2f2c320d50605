"""Making a step on a work pool: start or join its newest run, wait, and start it anew when it has died.

    makers = Dispatched(store, "gpu", settings=runtime.dispatch, ...)
    record = makers.run(WorkOrder.of(step), progress)          # blocks, as Slots.run does

The store is asked first, the run's state second. A run that is over without an artifact, or whose lease has run out, is
followed by the next generation, until `tries` of them have died. See mixgrid/lease.py for why no two work at once.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from prefect.client.schemas.objects import State

from mixgrid.errors import DamagedArtifact, StepError, StoreError
from mixgrid.execute import InputRef, WorkOrder
from mixgrid.lease import LeaseWatch, clock
from mixgrid.live import LiveRun
from mixgrid.progress import Progress
from mixgrid.record import Record
from mixgrid.runtime import DispatchRuntime
from mixgrid.store import Store
from tasks.pool import StepRun, StepRuns
from tasks.run_link import link_to_run

LOOK_EVERY_S = 5.0
STORE_PATIENCE_S = 900.0
REFUSED = "Refused"
"""Name of the state of a step that said why it cannot be made: trying again would say the same."""
QUEUES = {"base": 1, "stage-1": 2, "later-stages": 3, "answers": 4}
"""The work queues of a pool with their priorities: what most other steps wait for comes first."""


@dataclass(frozen=True)
class _Over:
    """A run that ended without an artifact."""

    message: str
    counts: bool = True


class Dispatched:
    """Steps of one grid on one work pool. `threads` is torch's number, which may change a result's last bits."""

    def __init__(self, store: Store, pool: str, *, settings: DispatchRuntime, threads: int, live: LiveRun) -> None:
        self._store = store
        self._settings = settings
        self._threads = threads
        self._live = live
        self._runs = StepRuns(pool, store)

    def close(self) -> None:
        """End all waiting; the runs go on."""
        self._runs.close()

    def run(self, order: WorkOrder, progress: Progress) -> Record:
        """The step's record. Raises StepError when it cannot be made, DamagedArtifact for an input that is."""
        lease = LeaseWatch(self._store, order.key, lease_s=self._settings.lease_s)
        tries = 0
        try:
            while True:
                run = self._newest_or_next(order, lease)
                outcome = run if isinstance(run, Record) else self._wait(order, run, lease, progress)
                if isinstance(outcome, Record):
                    return outcome
                tries += outcome.counts
                if tries >= self._settings.tries:
                    raise StepError(f"{order.title}: died {tries} times; the last time: {outcome.message}")
        finally:
            self._live.dispatched.pop(order.folder, None)

    def _newest_or_next(self, order: WorkOrder, lease: LeaseWatch) -> StepRun | Record:
        newest = self._runs.newest(order.key)
        if newest is not None and not newest.state.is_final():
            return newest
        made = self._made_by_an_orphan(order, lease)
        if made is not None:
            return made
        parameters = {
            "title": order.title,
            "order": order.model_dump(mode="json"),
            "store": self._store.root if self._store.is_local else self._store.url,  # a worker has a folder of its own
            "threads": self._threads,
            "lease_s": self._settings.lease_s,
            "silent": lease.silent_text,
        }
        generation = 1 if newest is None else newest.generation + 1
        tags = (order.kind, self._live.study, f"step:{order.key[:16]}")
        return self._runs.start(order, generation=generation, parameters=parameters, queue=queue_of(order), tags=tags)

    def _made_by_an_orphan(self, order: WorkOrder, lease: LeaseWatch) -> Record | None:
        """Whoever still holds the lease may finish, whatever Prefect says of its run."""
        while lease.look() and lease.alive and not self._runs.closed.wait(self._settings.lease_s / 20):
            record = self._store.find(order)
            if record is not None:
                return record
        return self._store.find(order)

    def _wait(self, order: WorkOrder, run: StepRun, lease: LeaseWatch, progress: Progress) -> Record | _Over:
        self._live.dispatched[order.folder] = str(run.id)
        link_to_run(order.title, run.id, pool=self._runs.pool)
        changed, waiting = self._runs.watch(run.id), _Waiting(run, self._runs, self._settings)
        store_well = clock()
        try:
            while not self._runs.closed.is_set():
                state = self._runs.state_of(run.id) or run.state
                try:
                    record, told = self._store.find(order), lease.look()
                    store_well = clock()
                except StoreError:
                    if clock() - store_well > STORE_PATIENCE_S:
                        raise
                else:
                    if record is not None:
                        return record
                    if state.is_final():
                        return self._over(order, run, state)
                    died = waiting.died(state, lease)
                    if died:
                        self._runs.declare_dead(run.id, died)
                        return _Over(f"{died} (flow run {run.id})")
                    progress(*_news(state, told, self._runs.pool))
                changed.wait(min(LOOK_EVERY_S, self._settings.lease_s / 4))
                changed.clear()
        finally:
            self._runs.forget(run.id)
        raise StepError(f"{order.title}: the run is over")

    def _over(self, order: WorkOrder, run: StepRun, state: State[Any]) -> _Over:
        message = f"{state.message or state.name} (flow run {run.id})"
        if state.is_cancelled():
            if self._runs.cancelled_with_its_grid(run.id):
                return _Over(message, counts=False)
            raise StepError(
                f"{order.title}: somebody cancelled its run; run the study again to have it made ({run.id})"
            )
        if state.name == REFUSED:
            for given in _inputs(order):
                if self._store.find_folder(given.folder, key=given.key) is None:
                    raise DamagedArtifact(given.folder, "is not there, or damaged")
            raise StepError(state.message)
        if state.is_completed():
            message = f"its run ended well, but not in {self._store.url}; has its worker the same store? ({run.id})"
        return _Over(message)


class _Waiting:
    """For how long a run has been in the state it is in, by this process's clock."""

    def __init__(self, run: StepRun, runs: StepRuns, settings: DispatchRuntime) -> None:
        self._run = run.id
        self._runs = runs
        self._settings = settings
        self._type = run.state.type
        self._since = clock()
        self._queues = False

    def died(self, state: State[Any], lease: LeaseWatch) -> str | None:
        """Why the run counts as dead, if it does."""
        if state.type != self._type:
            self._type, self._since = state.type, clock()
        here_s, lease_s = clock() - self._since, self._settings.lease_s
        # a new try may wait for an orphan's lease, by its own clock, before it takes its own
        if not lease.alive and lease.silent_s > lease_s and here_s > 1.5 * lease_s and not _waits(state):
            return f"nothing has been heard of it for {lease_s:g} s"
        if state.is_pending() and here_s > self._settings.start_s:  # a worker took it, and may have died with it
            self._queues = self._queues or self._runs.queues(self._run)
            allowed_s = self._settings.pending_s if self._queues else self._settings.start_s
            if here_s > allowed_s:
                return f"it has not started within {allowed_s:g} s"
        return None


def queue_of(order: WorkOrder) -> str:
    """The work queue of a step, one of QUEUES."""
    if order.kind == "sft":
        parent = order.inputs["parent"]
        return "stage-1" if isinstance(parent, InputRef) and parent.folder.startswith("base/") else "later-stages"
    return "base" if order.kind == "base" else "answers"


def _waits(state: State[Any]) -> bool:
    return state.is_scheduled() or state.is_pending()


def _news(state: State[Any], told: dict[str, Any], pool: str) -> tuple[float, str]:
    if told and state.is_running():
        return float(told.get("share", 0)), f"{told.get('text')} on {told.get('host')}"
    return 0.0, f"{(state.name or state.type).lower()} on {pool}"


def _inputs(order: WorkOrder) -> Iterator[InputRef]:
    for given in order.inputs.values():
        yield from [given] if isinstance(given, InputRef) else given
