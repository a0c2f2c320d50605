"""The flow that a work pool runs: one step, made in a process of its own beside this one.

    run_step(title="sft stage 1 ...", order={"kind": "sft", ...}, store="s3://bucket/study")

Its result is in the store and nowhere else. This process renews the step's lease; when it cannot, it ends the work.
"""

import logging
import os
from contextlib import suppress
from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.client.schemas.objects import State
from prefect.logging import get_run_logger
from prefect.logging.handlers import PrefectConsoleHandler
from prefect.states import Completed, Crashed, Failed

from mixgrid.errors import MixgridError, StoreAway
from mixgrid.execute import WorkOrder
from mixgrid.lease import Lease
from mixgrid.record import Record
from mixgrid.store import Store
from mixgrid.warm import Slots, WorkerDied
from tasks.dispatch import REFUSED
from tasks.progress_artifact import ProgressArtifact

LEASE_LOST = 75
"""Exit status (EX_TEMPFAIL) of a step that stopped itself."""


@flow(name="step", flow_run_name="{title}", persist_result=False, validate_parameters=False)
def run_step(
    title: str, order: dict[str, Any], store: str, threads: int = 1, lease_s: float = 180.0, silent: str = ""
) -> State[Any]:
    """Make a step unless it is there. Crashed: its process died or the store was away, so it may be tried again;
    Refused: it may not. `silent`: the lease's text that the grid has seen unchanged for `lease_s`.
    """
    _outlive_the_worker()
    work, results = WorkOrder.model_validate(order), Store(store)
    slots = Slots(1, store_url=store, threads=threads)

    def stop() -> None:
        with suppress(OSError):
            why = f"the store took no sign of life for {lease_s / 2:g} s, or another try has taken over"
            print(f"{title}: {why}; stopped", flush=True)
        slots.close()
        os._exit(LEASE_LOST)

    try:
        with Lease(results, work.key, lease_s=lease_s, lost=stop, silent=silent) as lease:
            record = _make(title, work, slots, lease)
    except (WorkerDied, StoreAway) as error:
        return Crashed(message=str(error))
    except MixgridError as error:
        return Failed(name=REFUSED, message=str(error))
    where = results.location(f"{record.folder}/{record.attempt}")
    _tell_where(title, where, record)
    get_run_logger().info("%s: made in %s s, at %s", title, record.provenance["seconds"], where)
    return Completed(message=where)


def _make(title: str, work: WorkOrder, slots: Slots, lease: Lease) -> Record:
    """The step's record; its process has ended when this returns or raises."""
    with ProgressArtifact(title) as artifact:

        def progress(share: float, text: str) -> None:
            lease.tell(share, text)
            artifact.tell(share, text)

        try:
            return slots.run(work, progress)
        finally:
            slots.close()


def _tell_where(title: str, where: str, record: Record) -> None:
    """What the step left behind and its figures, as an artifact of the run; for people only."""
    figures = {name: value for name, value in record.ledger.items() if isinstance(value, int | float | str)}
    lines = [f"**{title}** left its files in `{where}`", "", "| figure | |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in {"seconds": record.provenance["seconds"], **figures}.items()]
    with suppress(Exception):
        create_markdown_artifact("\n".join(lines), description=record.folder)


def _outlive_the_worker() -> None:
    """Log to the Prefect API alone: a line for a worker that was killed would end this process (a broken pipe)."""
    for name in ("", *logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        for handler in [h for h in logger.handlers if isinstance(h, PrefectConsoleHandler)]:
            logger.removeHandler(handler)
