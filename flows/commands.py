"""What each command does. Each takes the parsed options and returns the exit status.

plan(options)  -> prints {"cells": 46, ...} with --json; 0
"""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixgrid.cells import Selection
from mixgrid.cores import available_cores
from mixgrid.errors import DamagedArtifact, InputError, StoreError, StudyError
from mixgrid.lock import read_lock
from mixgrid.plan import Plan, make_plan
from mixgrid.record import Record
from mixgrid.results import Row, curve_rows, result_rows, to_json, write_table
from mixgrid.store import Store
from mixgrid.study_file import load_study

if TYPE_CHECKING:
    from mixgrid.doctor import Check


def plan(options: argparse.Namespace) -> int:
    """What would run, and why."""
    from mixgrid.cost.estimate import choose_hardware, estimate_cost
    from mixgrid.cost.measured import measure
    from mixgrid.texts import cost_text, plan_text
    from mixgrid.why import reasons

    found, store = planned(options)
    measured = measure(found, store)
    hardware = choose_hardware(found, measured, name=options.hardware, price=options.price)
    cost = estimate_cost(found, hardware, measured=measured)
    if options.json:
        print(json.dumps({**found.summary(), "reasons": reasons(found, store), "cost": cost}))
    else:
        print(plan_text(found.summary(), reasons(found, store)), cost_text(cost), sep="\n\n")
    return 0


def run(options: argparse.Namespace) -> int:
    """Run what is missing; 1 if some step failed."""
    from flows.prefect_api import prefect_api
    from mixgrid.runtime import load_runtime
    from mixgrid.status import data_lines

    load_runtime(options.runtime, routes=options.route)  # its mistakes are told before anything starts
    found, store = planned(options)
    with prefect_api(ui=options.ui) as api:
        from flows.run_grid import Summary, run_grid

        if options.ui or not api.own:
            print(f"Prefect UI: {api.ui_url}", file=sys.stderr)
        state: Any = run_grid(
            study=options.study,
            store=options.store,
            workers=options.workers or available_cores(),
            threads=options.threads,
            only=options.only or (),
            models=options.models or (),
            seeds=options.seeds or (),
            runtime=options.runtime or "",
            unsafe_code=options.unsafe_code,
            routes=options.route or {},
            return_state=True,
        )
        api.flow_runs.append(str(state.state_details.flow_run_id))
        outcome = state.result(raise_on_failure=False)
        if isinstance(outcome, BaseException):
            raise outcome
        assert isinstance(outcome, Summary)
        found.look_up(store)
        print("\n".join([*data_lines(found), outcome.text(found.study.name)]), file=sys.stderr)
        if options.ui and api.own and sys.stdin.isatty():
            print(f"the UI stays at {api.ui_url} until you press Enter", file=sys.stderr)
            sys.stdin.readline()
    return 1 if outcome.failed else 0


def status(options: argparse.Namespace) -> int:
    """Done, running, failed, missing."""
    from mixgrid.status import cell_lines, data_lines, study_status
    from mixgrid.texts import status_text

    found, store = planned(options)
    if options.cells:
        print("\n".join(cell_lines(found)))
        return 0
    counts = study_status(found, store)
    print(json.dumps(counts) if options.json else "\n".join([status_text(counts), *data_lines(found)]))
    return 0


def results(options: argparse.Namespace) -> int:
    """The table of what has been scored so far."""
    from mixgrid.texts import print_rows

    found, _ = planned(options)
    rows = _rows(found)
    if options.format == "table" and not options.output:
        print_rows(rows)
        return 0
    if options.format == "parquet" and not options.output and sys.stdout.isatty():
        raise InputError("parquet is no text for a terminal; add --output FILE")
    with _temporary() as path:
        if options.format == "json":
            curves = curve_rows(found.names, found.scored)
            apart = found.names.out_of_domain
            text = to_json(rows, curves, study=found.study.name, out_of_domain=apart)
            path.write_text(text, encoding="utf-8")
        else:
            write_table(rows, format="csv" if options.format == "table" else options.format, path=path)
        _deliver(path, options.output)
    return 0


def _deliver(path: Path, output: str | None) -> None:
    if output is None:
        sys.stdout.buffer.write(path.read_bytes())
        return
    try:
        shutil.copyfile(path, output)
    except OSError as error:
        raise InputError(f"--output {output}: cannot be written ({error})") from error


def report(options: argparse.Namespace) -> int:
    """Write the report's folder of what there is; print the path of its page."""
    from mixgrid.report.folder import write_report
    from mixgrid.texts import actual_text

    found, store = planned(options)
    cost = _cost_so_far(found, store, options)
    print(actual_text(cost["estimate"], cost["actual"]), file=sys.stderr)
    scored = sum(step.key in found.found for step in found.scores)
    if scored < len(found.scores):
        print(f"{scored} of {len(found.scores)} scores are there; the page says so", file=sys.stderr)
    try:
        path = write_report(found, store, cost=cost)
    except DamagedArtifact as error:
        store.retire(error.folder)
        raise StoreError(f"{error} by `mixgrid run {options.study}`") from error
    print(Path(store.location(path)).resolve() if store.is_local else store.location(path))
    return 0


def _cost_so_far(found: Plan, store: Store, options: argparse.Namespace) -> dict[str, Any]:
    """What the trainings took, beside what would have been estimated before any of them."""
    from mixgrid.cost.estimate import actual_cost, choose_hardware, estimate_cost
    from mixgrid.cost.measured import Measured, measure

    hardware = choose_hardware(found, measure(found, store), name=options.hardware, price=options.price)
    estimate = estimate_cost(found, hardware, measured=Measured())
    return {"estimate": estimate, "actual": actual_cost(found, hardware)}


def export(options: argparse.Namespace) -> int:
    """Copy a cell's final checkpoint."""
    from mixgrid.names import choose

    found, store = planned(options)
    try:
        step = found.chains[choose(options.cell, found.chains, what="cell")][-1]
    except ValueError as error:
        near = str(error).split(" Allowed:")[0]
        raise StudyError(f"{near} `mixgrid status {options.study} --cells` lists all") from None
    record = found.found.get(step.key)
    if record is None:
        raise StudyError(
            f"cell {options.cell}: its checkpoint is not in the store; `mixgrid run {options.study}` makes it"
        )
    target = Path(options.folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} exists and is not an empty folder; name another one")
    _copy_files(store, record, target, study=options.study)
    print(target)
    return 0


def _copy_files(store: Store, record: Record, target: Path, *, study: str) -> None:
    artifact = store.open(record)
    try:
        for name in record.files:
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(artifact.path(name), target / name)
    except DamagedArtifact as error:
        store.retire(error.folder)
        raise StoreError(f"{error} by `mixgrid run {study}`, if it is still needed") from error
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error}); name a folder you may write to") from error


def doctor(options: argparse.Namespace) -> int:
    """Check this machine, or the files of a study."""
    from mixgrid.doctor import checks, verify

    if options.verify:
        options.study = options.verify
        found, store = planned(options)
        damaged = verify(found, store)
        print("\n".join(damaged) or f"all files of {len(found.found)} artifacts are what was written")
        return 1 if damaged else 0
    healthy = True
    for check in (*checks(options.store), _prefect_check()):
        healthy &= check.works
        print(f"{'ok     ' if check.works else 'PROBLEM'} {check.name}: {check.detail}")
    return 0 if healthy else 1


def _prefect_check() -> "Check":
    from flows.prefect_api import ServerError, prefect_api
    from mixgrid.doctor import Check

    try:
        with prefect_api(ui=False) as api:
            where = "a server of a run's own starts" if api.own else f"the server at {api.url} answers"
        return Check("prefect", True, where)
    except ServerError as error:
        return Check("prefect", False, str(error))


def planned(options: argparse.Namespace) -> tuple[Plan, Store]:
    """The selected plan with what the store has of it."""
    store = Store(options.store, warn=lambda message: print(message, file=sys.stderr))
    file = load_study(options.study)
    selection = Selection(only=options.only, models=options.models, seeds=options.seeds)
    found = make_plan(file.study, selection=selection, lock=read_lock(file, store), store=store)
    found.look_up(store)
    return found, store


def _rows(found: Plan) -> list[Row]:
    return result_rows(found.names, found.scored)


@contextmanager
def _temporary() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder) / "table"
