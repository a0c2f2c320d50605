"""Runs as others see them: one small object a run in the store, renewed while the run lives.

runs/demo/20261123T101500-4711.json
{"host": "gpu-3", "pid": 4711, "updated": 1795429000.0, "ended": false, "running": ["sft/..."],
     "failed": {"sft/...": "..."}, "flow_run": "0c1d...", "dispatched": {"sft/...": "9b2e..."}}

`flow_run` is the grid's own run in Prefect; `dispatched` has the runs on work pools that it waits for.
"""

import json
import os
import platform
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from mixgrid.errors import StoreError
from mixgrid.store import Store

RENEW_EVERY_S = 5.0
DEAD_AFTER_S = 30.0


class LiveRun:
    """What this run is doing, told to the store a few times a minute."""

    def __init__(self, store: Store, study: str, *, flow_run: str | None = None) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self.study = study
        self.flow_run = flow_run
        self._store = store
        self._path = f"runs/{study}/{stamp}-{os.getpid()}.json"
        self._told = 0.0
        self.running: set[str] = set()
        self.failed: dict[str, str] = {}
        self.dispatched: dict[str, str] = {}

    def tell(self, *, ended: bool = False, now: bool = False) -> None:
        """Renew the object if it is time, or at once."""
        if not (ended or now) and time.time() - self._told < RENEW_EVERY_S:
            return
        self._told = time.time()
        document = {
            "host": platform.node(),
            "pid": os.getpid(),
            "updated": self._told,
            "ended": ended,
            "running": sorted(self.running) if not ended else [],
            "failed": self.failed,
            "flow_run": self.flow_run,
            "dispatched": dict(self.dispatched),  # an ended grid too: it may have been cancelled
        }
        with suppress(StoreError):  # for people only: a hiccup here must neither end the run nor hold it up
            self._store.write_atomically(self._path, json.dumps(document).encode(), wait=False)


def last_failures(store: Store, study: str) -> dict[str, str]:
    """Folder -> message of what failed in the study's newest run."""
    runs = _runs(store, study)
    return dict(runs[-1]["failed"]) if runs else {}


def running_now(store: Store, study: str) -> set[str]:
    """Folders that some live run of the study is working on."""
    return {folder for run in _runs(store, study) if _alive(run) for folder in run["running"]}


def waits_on_pools(store: Store, study: str) -> set[str]:
    """Folders of the steps that live runs of the study have on work pools, at work or not."""
    return {folder for run in _runs(store, study) if _alive(run) for folder in run.get("dispatched", {})}


def only_needed_by(store: Store, flow_run: str) -> list[str]:
    """The runs on work pools that this grid, as it last told, waits for, and no other live grid of any study."""
    runs = [run for study in store.names("runs") for run in _runs(store, study)]
    mine = [run for run in runs if run.get("flow_run") == flow_run]
    others = {r for run in runs if run not in mine and _alive(run) for r in run.get("dispatched", {}).values()}
    return [r for run in mine for r in run.get("dispatched", {}).values() if r not in others]


def _alive(run: dict[str, Any]) -> bool:
    return not run["ended"] and time.time() - float(run["updated"]) < DEAD_AFTER_S


def _runs(store: Store, study: str) -> list[dict[str, Any]]:
    names = [n for n in store.names(f"runs/{study}") if n.endswith(".json") and not n.startswith(".")]
    found = [store.read_bytes(f"runs/{study}/{name}") for name in names]
    return [json.loads(data) for data in found if data]
