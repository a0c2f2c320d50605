"""The schedule: inputs first, each step once, a failure costs its descendants and nothing else."""

from hypothesis import given
from hypothesis import strategies as st

from mixgrid.identity import Settings
from mixgrid.schedule import Schedule
from mixgrid.step import Step
from mixgrid.steps import KIND_ORDER

Steps = dict[str, Step]


class Number(Settings):
    number: int


def a_step(number: int, parents: list[Step], kind: str = "sft") -> Step:
    return Step(kind=kind, settings=Number(number=number), label=f"s{number}", title="", inputs={"parents": parents})


@st.composite
def graphs(draw: st.DrawFn) -> Steps:
    """Any graph of up to 12 steps, in an order that keeps to inputs as a plan's does."""
    made: list[Step] = []
    for number in range(draw(st.integers(1, 12))):
        parents = draw(st.lists(st.sampled_from(made), unique=True, max_size=3)) if made else []
        made.append(a_step(number, parents, draw(st.sampled_from(KIND_ORDER))))
    return {step.key: step for step in made}


def descendants(steps: Steps, key: str) -> set[str]:
    """By asking each step for its ancestors, from the front."""
    found: set[str] = set()
    for step in steps.values():
        if {parent.key for parent in step.parents()} & (found | {key}):
            found.add(step.key)
    return found


def run_all(schedule: Schedule, done: set[str]) -> list[str]:
    """Take and finish until nothing is left; asserts that inputs are done before a step is handed out."""
    order = []
    while (step := schedule.take()) is not None:
        assert {parent.key for parent in step.parents()} <= done
        order.append(step.key)
        done.add(step.key)
        schedule.finish(step.key)
    return order


def chain() -> list[Step]:
    first = a_step(1, [])
    second = a_step(2, [first])
    return [first, second, a_step(3, [second])]


@given(graphs(), st.data())
def test_schedule_with_any_number_of_workers_runs_each_step_once_after_its_inputs(
    steps: Steps, data: st.DataObject
) -> None:
    workers = data.draw(st.integers(1, 4))
    schedule = Schedule(steps, missing=steps)
    running: list[str] = []
    done: list[str] = []
    while schedule.open:
        while len(running) < workers and (step := schedule.take()) is not None:
            assert {parent.key for parent in step.parents()} <= set(done)
            running.append(step.key)
        assert running, "nothing runs and something is open"
        done.append(running.pop(data.draw(st.integers(0, len(running) - 1))))
        schedule.finish(done[-1])
    assert sorted(done) == sorted(steps)


@given(graphs(), st.data())
def test_schedule_with_a_part_missing_runs_that_part(steps: Steps, data: st.DataObject) -> None:
    missing = set(data.draw(st.lists(st.sampled_from(list(steps)), unique=True)))
    order = run_all(Schedule(steps, missing=missing), set(steps) - missing)
    assert sorted(order) == sorted(missing)


@given(graphs(), st.data())
def test_schedule_after_a_failure_runs_all_but_the_descendants(steps: Steps, data: st.DataObject) -> None:
    broken = data.draw(st.sampled_from(list(steps)))
    schedule = Schedule(steps, missing=steps)
    done: set[str] = set()
    while (step := schedule.take()) is not None:
        if step.key == broken:
            assert {lost.key for lost in schedule.fail(broken)} == descendants(steps, broken)
        else:
            done.add(step.key)
            schedule.finish(step.key)
    assert done == set(steps) - {broken} - descendants(steps, broken)
    assert schedule.open == 0


def test_schedule_told_that_an_input_is_damaged_runs_it_and_the_reader_again() -> None:
    first, second, third = chain()
    schedule = Schedule({s.key: s for s in (first, second, third)}, missing=[second.key, third.key])
    assert schedule.take() is second
    schedule.add([first.key, second.key])
    assert run_all(schedule, set()) == [first.key, second.key, third.key]


def test_schedule_does_not_hand_out_a_step_whose_input_is_being_made_again() -> None:
    first = a_step(1, [])
    one, other = a_step(2, [first]), a_step(3, [first])
    schedule = Schedule({s.key: s for s in (first, one, other)}, missing=[one.key, other.key])
    reader = schedule.take()
    assert reader is not None
    schedule.add([first.key, reader.key])
    assert schedule.take() is first
    assert schedule.take() is None
    schedule.finish(first.key)
    assert {step.key for step in (schedule.take(), schedule.take()) if step} == {one.key, other.key}


def test_schedule_asked_to_run_a_failed_step_again_does_not() -> None:
    first, second, third = chain()
    schedule = Schedule({s.key: s for s in (first, second, third)}, missing=[first.key, second.key, third.key])
    assert schedule.take() is first
    assert schedule.fail(first.key) == [second, third]
    schedule.add([first.key, second.key])
    assert schedule.take() is None


def test_schedule_takes_the_step_nearest_to_a_score_first() -> None:
    steps = [a_step(number, [], kind) for number, kind in enumerate(("download", "score", "sft", "answer"))]
    schedule = Schedule({s.key: s for s in steps}, missing=[s.key for s in steps])
    taken = [step.kind for _ in steps if (step := schedule.take()) is not None]
    assert taken == ["score", "answer", "sft", "download"]


def test_step_that_another_spares_work_waits_for_it_but_runs_without_it() -> None:
    half, whole = a_step(1, []), a_step(2, [])
    steps = {step.key: step for step in (whole, half)}
    schedule = Schedule(steps, missing=steps, after={whole.key: half.key})
    assert schedule.take() is half
    assert schedule.take() is None
    assert schedule.fail(half.key) == []
    assert schedule.take() is whole


def test_step_whose_forerunner_need_not_run_runs_at_once() -> None:
    half, whole = a_step(1, []), a_step(2, [])
    steps = {step.key: step for step in (whole, half)}
    assert Schedule(steps, missing=[whole.key], after={whole.key: half.key}).take() is whole


@given(graphs(), st.sets(st.sampled_from(KIND_ORDER)))
def test_schedule_asked_for_some_kinds_gives_all_that_are_ready_and_no_others(steps: Steps, kinds: set[str]) -> None:
    schedule = Schedule(steps, missing=steps)
    taken = []
    while (step := schedule.take(kinds)) is not None:
        taken.append(step)
    ready = {key for key, step in steps.items() if step.kind in kinds and not list(step.parents())}
    assert {step.key for step in taken} == ready
    assert {step.kind for step in taken} <= kinds
