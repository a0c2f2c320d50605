"""The grid flow: every different step of a study once, as parallel as its workers allow.

    run_grid(study="demo", store="runs", workers=2)  -> Summary(done=240, cached=12, failed={})

All parameters are plain values, so that a deployment and the command line start the same flow.
"""

import queue
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import httpx
from prefect import flow
from prefect.concurrency._asyncio import ConcurrencySlotAcquisitionError
from prefect.futures import PrefectFuture
from prefect.runtime import flow_run as this_flow_run
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner
from prefect.utilities.annotations import quote

from flows.cancellation import cancel_own, cancel_with_grid
from flows.command_line import DEFAULT_STORE
from flows.lanes import Lane, make_lanes
from flows.score_table import ScoreTable
from flows.terminal import Watcher, watcher
from mixgrid.cells import Selection
from mixgrid.errors import DamagedArtifact, SourceError
from mixgrid.live import LiveRun
from mixgrid.lock import read_lock, resolve
from mixgrid.plan import Plan, make_plan
from mixgrid.runtime import NO_ROUTES, Routes, StudyRuntime, load_runtime
from mixgrid.schedule import Schedule
from mixgrid.step import Step
from mixgrid.store import Store
from mixgrid.study_file import StudyFile, load_study
from tasks.by_kind import TASKS, kind_tags
from tasks.mechanism import Run

LOOKUPS_AT_ONCE = 16
API_AGAIN_S = 2.0
REMAKES = 3
"""How often one damaged artifact is made again in a run before it counts as failed."""


def _flow_run_name() -> str:
    """The study's name, however the study was given."""
    return load_study(this_flow_run.parameters["study"]).study.name


@dataclass
class Summary:
    """What a run did: steps made and found, and folder -> message of those that failed or could not run."""

    done: int = 0
    cached: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    not_run: list[str] = field(default_factory=list)

    def text(self, study: str) -> str:
        """For a person, with what to do next."""
        lines = [f"study {study}: {self.done} steps made, {self.cached} found in the store"]
        lines += [f"failed: {message}" for message in self.failed.values()]
        if self.failed:
            lines.append(f"{len(self.not_run)} more steps depend on these and did not run; run again once it is mended")
        else:
            lines.append(f"mixgrid results {study}   mixgrid report {study}")
        return "\n".join(lines)


@flow(
    name="mixgrid",
    flow_run_name=_flow_run_name,
    task_runner=ThreadPoolTaskRunner(max_workers=1024),  # type: ignore[arg-type]  # as many threads as steps wait
    on_cancellation=[cancel_with_grid],
    persist_result=False,
    validate_parameters=False,
)
def run_grid(
    study: str,
    only: Sequence[str] = (),
    models: Sequence[str] = (),
    seeds: Sequence[int] = (),
    store: str = DEFAULT_STORE,
    routes: Routes = NO_ROUTES,
    runtime: str = "",
    workers: int = 1,
    threads: int = 1,
    unsafe_code: bool = False,
) -> Any:
    """Run what is missing of a study; ends Failed, with everything else done, if some step failed.

    Prefect's form of the deployment shows these texts.

    Args:
        study: A built-in study (`demo`, `paper`, ...), the path of a study file on the worker, or a study's YAML text.
        only: Experiments, such as `rq1`. None listed: all of them.
        models: Models, such as `lab.small`. None listed: all of them.
        seeds: Training seeds, such as `0`. None listed: all of them.
        store: Where results collect: a URL such as `s3://bucket/study`, or a folder that all workers reach.
        routes: The work pool of each expensive kind of step. Left empty, such steps run in the grid's own workers.
        runtime: The path of a runtime file on the worker, or its YAML text. It never changes what a result is.
        workers: Processes for the steps that are on no work pool.
        threads: Torch threads a process.
        unsafe_code: Where no sandbox works: run generated programs with nothing between them and the machine.
    """
    file = load_study(study)
    selection = Selection(only=tuple(only) or None, models=tuple(models) or None, seeds=tuple(seeds) or None)
    results = Store(store)
    settings = load_runtime(runtime or None, unsafe_code=unsafe_code, routes=routes)
    plan = pinned_plan(file, selection, results, settings)
    plan.look_up(results)
    live = LiveRun(results, plan.study.name, flow_run=this_flow_run.id)
    lanes = make_lanes(results, settings, workers=workers, threads=threads, live=live)
    submitted = {key for key in plan.steps if key in plan.found} | set(plan.missing())
    try:
        with watcher(len(submitted)) as watch, ScoreTable(plan, results) as table:
            summary = _Grid(plan, results, lanes, watch, live, table).run()
    except KeyboardInterrupt:
        cancel_own(results, str(live.flow_run))
        raise
    finally:
        for lane in lanes:
            lane.maker.close()
    if summary.failed:
        return Failed(message=f"{len(summary.failed)} steps failed", data=summary)
    return summary


def pinned_plan(file: StudyFile, selection: Selection, store: Store, runtime: StudyRuntime) -> Plan:
    """A plan in which everything is pinned: hub revisions are looked up now and kept. Raises SourceError."""
    lock = read_lock(file, store)
    plan = make_plan(file.study, selection=selection, lock=lock, store=store, runtime=runtime)
    if plan.unpinned:
        problems = [name for name in plan.unpinned if " " in name]
        if problems:
            raise SourceError(f"study {file.study.name}: " + "; ".join(problems))
        lock = resolve(plan.unpinned, file, store)
        plan = make_plan(file.study, selection=selection, lock=lock, store=store, runtime=runtime)
    return plan


class _Grid:
    """One run of a plan: submits what is ready, no more at once than a lane takes, and collects failures."""

    def __init__(
        self, plan: Plan, store: Store, lanes: list[Lane], watch: Watcher, live: LiveRun, table: ScoreTable
    ) -> None:
        self.plan = plan
        self.table = table
        self.watch = watch
        self.lanes = lanes
        makers = {kind: lane.maker for lane in lanes for kind in lane.kinds}
        self.run_context = Run(store=store, makers=makers, watch=watch.progress)
        self.live = live
        self.schedule = Schedule(plan.steps, missing=plan.missing(), after=plan.after)
        self.futures: dict[str, PrefectFuture[Any]] = {}
        self.ended: queue.SimpleQueue[tuple[Step, PrefectFuture[Any]]] = queue.SimpleQueue()
        self.remade: dict[str, int] = {}
        self.summary = Summary()

    def run(self) -> Summary:
        """Everything that is there is shown as cached; everything that is missing is made."""
        lookups = [self.plan.steps[key] for key in self.plan.steps if key in self.plan.found]
        try:
            self._work(lambda: lookups.pop(0) if lookups and self.active < LOOKUPS_AT_ONCE else None)
            self.live.tell(now=True)
            self._work(self._take)
        finally:
            self.live.tell(ended=True)
        return self.summary

    def _take(self) -> Step | None:
        """A step that is ready, of a lane that is not full."""
        for lane in self.lanes:
            if lane.active < lane.at_once and (step := self.schedule.take(lane.kinds)) is not None:
                return step
        return None

    def _work(self, take: Callable[[], Step | None]) -> None:
        while True:
            while (step := take()) is not None:
                self._count(step, +1)
                self._submit(step)
            if not self.active:
                return
            try:
                ended = self.ended.get(timeout=1)
            except queue.Empty:
                self.live.tell()
                continue
            self._count(ended[0], -1)
            self._collect(*ended)
            self.live.tell()

    @property
    def active(self) -> int:
        """How many steps are submitted and not collected."""
        return sum(lane.active for lane in self.lanes)

    def _count(self, step: Step, change: int) -> None:
        next(lane for lane in self.lanes if step.kind in lane.kinds).active += change

    def _submit(self, step: Step) -> None:
        self.watch.start(step)
        self.live.running.add(step.folder)
        there = step.key in self.plan.found and step.key not in self.remade
        # resolving an input costs milliseconds too, most of a rerun: only what is made has edges and tags
        inputs = [] if there else [self.futures[p.key] for p in step.parents() if p.key in self.futures]
        with nullcontext() if there else kind_tags(step.kind):
            future = TASKS[step.kind].submit(
                title=step.title, step=quote(step), run=quote(self.run_context), inputs=inputs
            )
        self.futures[step.key] = future
        future.add_done_callback(lambda ended, step=step: self.ended.put((step, ended)))  # type: ignore[misc]

    def _collect(self, step: Step, future: PrefectFuture[Any]) -> None:
        self.live.running.discard(step.folder)
        try:
            future.wait()  # its state is the task's own only from here on
        except (ConcurrencySlotAcquisitionError, httpx.TransportError) as refusal:
            self._submit_later(step, refusal)
            return
        state = future.state
        if state.is_completed():
            cached = state.name == "Cached"
            self.summary.cached += cached
            self.summary.done += not cached
            self.schedule.finish(step.key)
            if step.kind == "score":
                self.table.add(step)
            self.watch.finish(step, "cached" if cached else "done")
            return
        error = state.result(raise_on_failure=False)
        if isinstance(error, DamagedArtifact) and self._remake(step, error):
            return
        self._give_up(step, str(error) or state.message or type(error).__name__)

    def _submit_later(self, step: Step, error: Exception) -> None:
        """Prefect itself could not start the task: its API is away, and asked again until it answers."""
        self.watch.say(f"{step.title}: the Prefect API did not let it start ({error}); trying again")
        time.sleep(API_AGAIN_S)
        self.schedule.add([step.key])

    def _remake(self, step: Step, error: DamagedArtifact) -> bool:
        """Schedule a damaged input again, with what it needs, and then the step that found it."""
        damaged = next((s for s in self.plan.steps.values() if s.folder == error.folder), None)
        if damaged is None:
            return False
        if self.schedule.is_open(damaged.key):  # another step met the damage first
            self.schedule.add([step.key])
            return True
        self.remade[damaged.key] = self.remade.get(damaged.key, 0) + 1
        if self.remade[damaged.key] > REMAKES:
            return False
        self.watch.say(str(error))
        store, again, stack = self.run_context.store, {step.key}, [damaged]
        while stack:
            current = stack.pop()
            if current.key not in again and store.find(current) is None:
                again.add(current.key)
                stack += current.parents()
        self.schedule.add(again)
        self.watch.total += len(again) - 1
        return True

    def _give_up(self, step: Step, message: str) -> None:
        self.summary.failed[step.folder] = self.live.failed[step.folder] = message
        lost = self.schedule.fail(step.key)
        self.summary.not_run += [s.title for s in lost]
        self.watch.total -= len(lost)
        self.watch.finish(step, f"failed: {message}")
