"""Making one step: look it up, read its inputs, work, leave an artifact.

    order = WorkOrder.of(step)                      # JSON: it goes through a pipe or to another machine
    record = execute(order, Store("runs"), progress)

On a local store, only one process at a time makes a step: a second one waits, then finds the artifact.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from mixgrid.artifact import Artifact
from mixgrid.errors import DamagedArtifact
from mixgrid.file_lock import hold
from mixgrid.progress import Progress
from mixgrid.record import Record
from mixgrid.step import Step
from mixgrid.steps import Work, load_kinds
from mixgrid.store import LOCK, Store


class InputRef(BaseModel):
    """Where an input lies and what it is."""

    model_config = ConfigDict(frozen=True)

    folder: str
    key: str


class WorkOrder(BaseModel):
    """A step as text: all that making it needs, its inputs by reference."""

    model_config = ConfigDict(frozen=True)

    kind: str
    version: int
    label: str
    title: str
    key: str
    folder: str
    settings: dict[str, Any]
    inputs: dict[str, InputRef | list[InputRef]]
    runtime: dict[str, Any] | None

    @classmethod
    def of(cls, step: Step) -> "WorkOrder":
        """The order for a step of a plan."""
        return cls(
            kind=step.kind,
            version=step.version,
            label=step.label,
            title=step.title,
            key=step.key,
            folder=step.folder,
            settings=step.identity,
            inputs={n: _ref(i) if isinstance(i, Step) else [_ref(s) for s in i] for n, i in step.inputs.items()},
            runtime=step.runtime.model_dump(mode="json") if step.runtime else None,
        )

    @property
    def identity(self) -> dict[str, Any]:
        """As a step's: settings that differ from their defaults."""
        return self.settings

    @property
    def input_keys(self) -> dict[str, str | list[str]]:
        """As a step's: the inputs' keys."""
        return {n: i.key if isinstance(i, InputRef) else [r.key for r in i] for n, i in self.inputs.items()}


def execute(order: WorkOrder, store: Store, progress: Progress) -> Record:
    """Make the step unless it is there. Raises DamagedArtifact for an input that is missing or damaged."""
    kind = load_kinds()[order.kind]
    try:
        with _exclusive(store, order.folder):
            found = store.find(order)
            if found is not None:
                return found
            with store.attempt(order) as attempt:
                work = prepare(order, store, folder=attempt.folder, progress=progress)
                record = attempt.commit(ledger=kind.make(work))
                if kind.finished is not None:
                    kind.finished(work)
                return record
    finally:
        store.release()


def prepare(order: WorkOrder, store: Store, *, folder: Path, progress: Progress) -> Work:
    """The order with its inputs opened. Raises DamagedArtifact for one that is missing or damaged."""
    kind = load_kinds()[order.kind]
    inputs = {
        name: _open(store, given) if isinstance(given, InputRef) else [_open(store, ref) for ref in given]
        for name, given in order.inputs.items()
    }
    return Work(
        order=order,
        store=store,
        settings=kind.settings.model_validate(order.settings),
        inputs=inputs,
        folder=folder,
        runtime=kind.runtime.model_validate(order.runtime) if kind.runtime and order.runtime else None,
        progress=progress,
    )


def _ref(step: Step) -> InputRef:
    return InputRef(folder=step.folder, key=step.key)


def _open(store: Store, ref: InputRef) -> Artifact:
    record = store.find_folder(ref.folder, key=ref.key)
    if record is None:
        raise DamagedArtifact(ref.folder, "is not there, or damaged")
    return store.open(record)


@contextmanager
def _exclusive(store: Store, folder: str) -> Iterator[None]:
    """Hold the step's lock file on a local store; the system lets go of it when the process dies."""
    lock = hold(Path(store.root) / folder / LOCK) if store.is_local else nullcontext()
    assert lock is not None
    with lock:
        yield
