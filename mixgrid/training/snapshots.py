"""Snapshots: a training's state in the store, so that whatever machine takes over goes on from the newest good one.

    snapshots = Snapshots(store, training=key, runtime=runtime)
    curve = snapshots.restore(engine, most=189)     # an empty curve where there is none
    if snapshots.due(step): snapshots.save(engine, curve)

    snapshot/0123456789abcdef-00000040-<key>/<attempt>/state/, curve.json       an artifact like any other

State is weights, optimiser moments and the curve. Order, schedule and random numbers are functions of the step and need
no saving. The newest two up to the step just written are kept, in case one is damaged: later ones are of a part that
went further. A finished training keeps none.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.checkpoint.filesystem import FileSystemWriter
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from mixgrid.errors import DamagedArtifact
from mixgrid.identity import key_of
from mixgrid.progress import Progress, silent
from mixgrid.record import Record
from mixgrid.runtime import TrainingRuntime
from mixgrid.step import artifact_folder
from mixgrid.store import Attempt, Store
from mixgrid.training.curve import Curve
from mixgrid.training.engine import Engine
from mixgrid.training.writing import from_main, on_main, patiently, refusal, writing

KIND = "snapshot"
KEPT = 2


@dataclass(frozen=True, kw_only=True)
class SnapshotStep:
    """A snapshot as the store sees it."""

    training: str
    step: int
    kind: str = KIND
    version: int = 1

    @property
    def label(self) -> str:
        """The training and the step, so that a listing finds the newest."""
        return f"{self.training[:16]}-{self.step:08d}"

    @property
    def identity(self) -> dict[str, Any]:
        """After how many optimiser steps."""
        return {"step": self.step}

    @property
    def input_keys(self) -> dict[str, str | list[str]]:
        """Of which training."""
        return {"training": self.training}

    @property
    def key(self) -> str:
        """As any step's."""
        return key_of(self.kind, self.version, self.identity, self.input_keys)

    @property
    def folder(self) -> str:
        """Where it lies in the store."""
        return artifact_folder(self.kind, self.label, self.key)


class Snapshots:
    """The snapshots of one training; `training` is the key of the step that will hold its final checkpoint."""

    def __init__(self, store: Store, *, training: str, runtime: TrainingRuntime, progress: Progress = silent) -> None:
        self._store, self._training, self._runtime, self._progress = store, training, runtime, progress
        self._last_time, self._last_step = time.monotonic(), 0

    def due(self, step: int) -> bool:
        """Whether a snapshot after `step` steps is called for, by the steps or the time since the last one."""
        every = self._runtime.snapshot_every
        by_steps = every.steps is not None and step - self._last_step >= every.steps
        by_time = every.minutes is not None and time.monotonic() - self._last_time >= 60 * every.minutes
        return bool(from_main(by_steps or by_time))  # clocks differ

    def save(self, engine: Engine, curve: Curve) -> None:
        """Keep the state after the curve's steps. All processes take part.

        A store that does not take it is asked again for `patience_s`; then StepError, and the older ones are there.
        """
        step = self._at(len(curve.loss))
        self.patiently(lambda: self._write(step, engine, curve))
        if engine.main:
            self._prune(newest=step.step)
        self._last_time, self._last_step = time.monotonic(), step.step

    def restore(self, engine: Engine, *, most: int) -> Curve:
        """Load the newest good state of at most `most` steps into the engine; returns its curve.

        What a kill left unfinished goes, and what is damaged.
        """
        found = from_main(self._newest(most) if engine.main else None)
        if found is None:
            return Curve()
        folder, step, updates = found
        state = engine.state()
        with _one_process_is_fine():
            load(state, checkpoint_id=f"{folder}/state", no_dist=not dist.is_initialized())
        engine.load(state, updates=updates)
        self._last_step = step
        self._progress(0.0, f"goes on from the snapshot after step {step}")
        return Curve.from_json(Path(folder) / "curve.json")

    def patiently(self, write: Callable[[], None]) -> None:
        """`write` for as long as the runtime says. Raises StepError with what is kept of the training."""
        kept = f"The snapshots up to step {self._last_step} are kept" if self._last_step else "There is no snapshot yet"
        patiently(write, patience_s=self._runtime.patience_s, kept=kept, progress=self._progress)

    def clear(self, *, but_newest: bool = False) -> None:
        """The training is finished: nothing has to be kept, or only what a part of it that is still to come needs."""
        steps = sorted(self._steps())
        for step in steps[:-1] if but_newest else steps:
            self._store.remove_folder(self._at(step).folder)

    def _at(self, step: int) -> SnapshotStep:
        return SnapshotStep(training=self._training, step=step)

    def _write(self, step: SnapshotStep, engine: Engine, curve: Curve) -> None:
        """All of it, or StoreError in every process."""
        with ExitStack() as stack:
            attempts: list[Attempt] = []  # the first process's

            def begin() -> Path:
                attempts.append(stack.enter_context(self._store.attempt(step)))
                return attempts[0].folder

            def commit() -> None:
                with writing("a snapshot", folder):
                    curve.to_json(folder / "curve.json")
                    attempts[0].commit(ledger={"step": step.step, "updates": engine.updates})

            folder = on_main(begin)
            with _one_process_is_fine(), writing("a snapshot", folder):
                save(engine.state(), storage_writer=_Writer(folder / "state"), no_dist=not dist.is_initialized())
            on_main(commit)

    def _newest(self, most: int) -> tuple[str, int, int] | None:
        records = self._swept()
        for step in sorted((step for step in records if step <= most), reverse=True):
            try:
                folder = self._store.open(records[step]).local_folder()
                return str(folder), step, int(records[step].ledger["updates"])
            except DamagedArtifact as error:
                self._store.warn(f"{error.folder}: {error.detail}; an older snapshot is used")
                self._store.remove_folder(error.folder)
        return None

    def _swept(self) -> dict[int, Record]:
        """Step -> record; what has none was being written, or removed, when a process was killed, and goes."""
        records = {step: self._store.find(self._at(step)) for step in self._steps()}
        for step in [step for step, record in records.items() if record is None]:
            self._store.remove_folder(self._at(step).folder)
        return {step: record for step, record in records.items() if record is not None}

    def _steps(self) -> list[int]:
        prefix = f"{self._training[:16]}-"
        names = [name.removeprefix(prefix) for name in self._store.names(KIND) if name.startswith(prefix)]
        return [int(name.split("-")[0]) for name in names]

    def _prune(self, *, newest: int) -> None:
        whole = [step for step in sorted(self._steps()) if step <= newest and self._store.find(self._at(step))]
        for step in whole[:-KEPT]:
            self._store.remove_folder(self._at(step).folder)


class _Writer(FileSystemWriter):
    """Its failures travel to the other processes alone: they must be the disk's own, not what followed from them."""

    def write_data(self, *arguments: Any) -> Any:
        """As torch's."""
        try:
            return super().write_data(*arguments)
        except (OSError, RuntimeError) as error:
            raise refusal(error) or error from None


@contextmanager
def _one_process_is_fine() -> Iterator[None]:
    """Without torch's warning that nothing is distributed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield
