"""Runs as others see them: one small object a run in the store, renewed while the run lives.

runs/demo/20261123T101500-4711.json
{"host": "gpu-3", "pid": 4711, "updated": 1795429000.0, "ended": false, "running": ["sft/..."],
     "failed": {"sft/...": "..."}}
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

    def __init__(self, store: Store, study: str) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        self._store = store
        self._path = f"runs/{study}/{stamp}-{os.getpid()}.json"
        self._told = 0.0
        self.running: set[str] = set()
        self.failed: dict[str, str] = {}

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
        }
        with suppress(StoreError):  # for people only: a hiccup here must neither end the run nor hold it up
            self._store.write_atomically(self._path, json.dumps(document).encode(), wait=False)


def last_failures(store: Store, study: str) -> dict[str, str]:
    """Folder -> message of what failed in the study's newest run."""
    runs = _runs(store, study)
    return dict(runs[-1]["failed"]) if runs else {}


def running_now(store: Store, study: str) -> set[str]:
    """Folders that some live run of the study is working on."""
    alive = [r for r in _runs(store, study) if not r["ended"] and time.time() - r["updated"] < DEAD_AFTER_S]
    return {folder for run in alive for folder in run["running"]}


def _runs(store: Store, study: str) -> list[dict[str, Any]]:
    names = [n for n in store.names(f"runs/{study}") if n.endswith(".json") and not n.startswith(".")]
    found = [store.read_bytes(f"runs/{study}/{name}") for name in names]
    return [json.loads(data) for data in found if data]
