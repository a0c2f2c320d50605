"""A tiny study's steps, made in this process: no Prefect, real files."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mixgrid.cells import Selection
from mixgrid.execute import WorkOrder, execute
from mixgrid.plan import Plan, make_plan
from mixgrid.progress import Progress, silent
from mixgrid.runtime import DEFAULT, StudyRuntime, TrainingRuntime
from mixgrid.schedule import Schedule
from mixgrid.step import Step
from mixgrid.store import Store
from mixgrid.study_file import parse_study

STUDY = """
name: tiny
abilities:
  math:    {source: {name: lab.math, rows: 40, held_out: 8}, benchmarks: [response_loss]}
  general: {source: {name: lab.general, rows: 40, held_out: 8}}
specialised: [math]
models:
  - name: nano
    scratch: {hidden_size: 32, intermediate_size: 64, layers: 2, heads: 2, vocabulary_size: 320}
    template: plain
proportions: [1]
experiments: [rq4]
recipe: {epochs: 3, batch_size: 8, peak_learning_rate: 2.0e-3, warmup_ratio: 0.1, schedule: cosine}
"""

PlanOf = Callable[..., Plan]
Make = Callable[..., Step]


@pytest.fixture(scope="session")
def plan_of() -> PlanOf:
    """The plan of the tiny study, changed by (old, new) texts and a runtime."""

    def build(*changes: tuple[str, str], runtime: TrainingRuntime = DEFAULT) -> Plan:
        text = STUDY
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        study = parse_study(text, path=Path("tiny.yaml"))
        return make_plan(study, selection=Selection(only=("rq4",)), lock={}, runtime=StudyRuntime(training=runtime))

    return build


@pytest.fixture(scope="session")
def make() -> Make:
    """Make one step of a plan and all that it needs and lacks; returns the step."""

    def run(plan: Plan, step: Step, store: Store, *, progress: Progress = silent) -> Step:
        plan.look_up(store)
        needed, stack = set(), [step]
        while stack:
            current = stack.pop()
            if current.key not in plan.found and current.key not in needed:
                needed.add(current.key)
                stack += current.parents()
        schedule = Schedule(plan.steps, missing=needed, after=plan.after)
        while (ready := schedule.take()) is not None:
            execute(WorkOrder.of(ready), store, progress)
            schedule.finish(ready.key)
        return step

    return run


def final(plan: Plan, cell: str = "nano:rq4.multi_task:1:0") -> Step:
    """The last stage of a cell."""
    return plan.chains[cell][-1]
