"""Snapshots: a training's state in the store, so that whatever machine takes over goes on from the newest good one.

    snapshots = Snapshots(store, training=key, runtime=runtime)
    curve = snapshots.restore(engine, most=189)     # an empty curve where there is none
    if snapshots.due(step): snapshots.save(engine, curve)

    snapshot/0123456789abcdef-00000040-<key>/<attempt>/state/, curve.json       an artifact like any other

State is weights, optimiser moments and the curve. Order, schedule and random numbers are functions of the step and need
no saving. The newest two are kept, in case one is damaged; a finished training keeps none.
"""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from mixgrid.errors import DamagedArtifact, StepError, StoreError
from mixgrid.identity import key_of
from mixgrid.progress import Progress, silent
from mixgrid.runtime import TrainingRuntime
from mixgrid.step import artifact_folder
from mixgrid.store import Store
from mixgrid.training.curve import Curve
from mixgrid.training.engine import Engine

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
        return bool(_from_main(by_steps or by_time))  # clocks differ

    def save(self, engine: Engine, curve: Curve) -> None:
        """Keep the state after the curve's steps. All processes take part.

        A store that does not take it is asked again for `patience_s`; then StoreError, and the older ones are there.
        """
        step = SnapshotStep(training=self._training, step=len(curve.loss))
        self._patiently(lambda: self._write(step, engine, curve))
        if engine.main:
            self._prune(keep=KEPT)
        self._last_time, self._last_step = time.monotonic(), step.step

    def restore(self, engine: Engine, *, most: int) -> Curve:
        """Load the newest good state of at most `most` steps into the engine; returns its curve."""
        found = _from_main(self._newest(most) if engine.main else None)
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

    def clear(self) -> None:
        """The training is finished: nothing has to be kept."""
        self._prune(keep=0)

    def _write(self, step: SnapshotStep, engine: Engine, curve: Curve) -> None:
        if not engine.main:
            self._write_state(engine, _from_main(None))
            return
        with self._store.attempt(step) as attempt:
            self._write_state(engine, _from_main(str(attempt.folder / "state")))
            curve.to_json(attempt.folder / "curve.json")
            attempt.commit(ledger={"step": step.step, "updates": engine.updates})

    @staticmethod
    def _write_state(engine: Engine, folder: str) -> None:
        try:
            with _one_process_is_fine():
                save(engine.state(), checkpoint_id=folder, no_dist=not dist.is_initialized())
        except (OSError, CheckpointException) as error:
            reason = next(iter(error.failures.values()))[0] if isinstance(error, CheckpointException) else error
            raise StoreError(f"a snapshot cannot be written to {folder}: {reason}") from error

    def _newest(self, most: int) -> tuple[str, int, int] | None:
        for step in sorted(self._steps(), reverse=True):
            if step > most:
                continue
            snapshot = SnapshotStep(training=self._training, step=step)
            record = self._store.find(snapshot)
            try:
                if record is not None:
                    return str(self._store.open(record).local_folder()), step, int(record.ledger["updates"])
            except DamagedArtifact as error:
                self._store.warn(f"{error.folder}: {error.detail}; an older snapshot is used")
        return None

    def _steps(self) -> list[int]:
        prefix = f"{self._training[:16]}-"
        names = [name.removeprefix(prefix) for name in self._store.names(KIND) if name.startswith(prefix)]
        return [int(name.split("-")[0]) for name in names]

    def _prune(self, *, keep: int) -> None:
        for step in sorted(self._steps(), reverse=True)[keep:]:
            self._store.remove_folder(SnapshotStep(training=self._training, step=step).folder)

    def _patiently(self, write: Callable[[], None]) -> None:
        started, pause = time.monotonic(), 1.0
        while True:
            try:
                return write()
            except StoreError as error:
                left = self._runtime.patience_s - (time.monotonic() - started)
                if left <= 0 or dist.is_initialized():
                    raise StepError(
                        f"{error}; training stopped after {self._runtime.patience_s:.0f} s of trying. The snapshots "
                        "before it are kept: free space or mend the store, and run again"
                    ) from error
                self._progress(0.0, f"{error}; trying again for {left:.0f} s")
                time.sleep(min(pause, left))
                pause = min(2 * pause, 30.0)


@contextmanager
def _one_process_is_fine() -> Iterator[None]:
    """Without torch's warning that nothing is distributed."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled")
        yield


def _from_main(value: Any) -> Any:
    """What the first process says, on every process."""
    if not dist.is_initialized():
        return value
    said = [value]
    dist.broadcast_object_list(said)
    return said[0]
