"""A study's scores as a table in the Prefect UI, as they come: one artifact of a run, renewed every few seconds.

with ScoreTable(plan, store) as table:
    table.add(step)          # a score that is there now; returns at once
"""

import contextvars
import json
import re
import threading
from types import TracebackType
from typing import Any, Self
from uuid import UUID

from prefect.artifacts import create_table_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate

from mixgrid.plan import Plan
from mixgrid.record import Record
from mixgrid.results import result_rows
from mixgrid.step import Step
from mixgrid.store import Store
from mixgrid.texts import mixture_text

EVERY_S = 5.0
LAST_S = 10.0
"""How long the end of a run waits for the last rows to be told."""
COLUMNS = ("model", "seed", "strategy", "mixture", "ability", "benchmark", "score", "n", "low", "high")


class ScoreTable:
    """For people only: an API that does not answer costs the grid nothing but the last rows."""

    def __init__(self, plan: Plan, store: Store) -> None:
        self._plan = plan
        self._store = store
        self._there: dict[str, Record] = {key: plan.found[key] for key in plan.found}
        self._new: list[Step] = []
        self._over = threading.Event()
        context = contextvars.copy_context()  # it knows the run that the artifact belongs to
        self._thread = threading.Thread(target=lambda: context.run(self._work), name="scores", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell the last rows, if the API takes them soon."""
        self._over.set()
        self._thread.join(LAST_S)

    def add(self, step: Step) -> None:
        """A score was made, or found."""
        self._new.append(step)

    def _work(self) -> None:
        artifact, told, last = None, 0, False
        while not last:
            last = self._over.wait(EVERY_S)
            try:
                rows = self._rows()
                if len(rows) > told:
                    artifact, told = self._tell(artifact, rows), len(rows)
            except Exception:  # noqa: BLE001 (for people only: whatever it was must not end the run)
                continue

    def _rows(self) -> list[dict[str, Any]]:
        while self._new:
            step = self._new[0]
            if step.key not in self._there and (record := self._store.find(step)) is not None:
                self._there[step.key] = record
            self._new.pop(0)
        rows = result_rows(self._plan.names, [self._there.get(step.key) for step in self._plan.scores])
        return [{column: _short((row | {"mixture": mixture_text(row)})[column]) for column in COLUMNS} for row in rows]

    def _tell(self, artifact: UUID | None, rows: list[dict[str, Any]]) -> UUID | None:
        if artifact is not None:
            with get_client(sync_client=True) as client:
                client.update_artifact(artifact, ArtifactUpdate(data=json.dumps(rows)))
            return artifact
        where = self._store.location(self._plan.aggregate.folder)
        name = re.sub(r"[^a-z0-9]+", "-", self._plan.study.name.lower()).strip("-")
        text = f"Scores of {self._plan.study.name} with 95 % intervals. The report will lie in `{where}`."
        made = create_table_artifact(table=rows, key=f"scores-{name}", description=text)
        return made if isinstance(made, UUID) else None


def _short(value: Any) -> Any:
    """Four places: with all sixteen of them the intervals lie outside the page."""
    return round(value, 4) if isinstance(value, float) else value
