"""Warm processes: N slots of one worker process each, started when first needed and kept.

    slots = Slots(2, store_url="runs")
    record = slots.run(WorkOrder.of(step), progress)     # blocks; call it from as many threads as there are slots

A process a slot, not a pool: a killed child costs its own step and is replaced. Orders and answers are lines of JSON on
the child's pipes. The child leaves when its parent's pipe closes, whatever ended the parent.
"""

import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, Any

from mixgrid.errors import DamagedArtifact, MixgridError, StepError, StoreAway
from mixgrid.execute import WorkOrder
from mixgrid.progress import Progress
from mixgrid.record import Record

_TAIL = 2000
_ENVIRONMENT = {
    "MALLOC_MMAP_THRESHOLD_": str(2**32),
    "MALLOC_TRIM_THRESHOLD_": str(2**34),
    "THP_MEM_ALLOC_ENABLE": "1",
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "8192",
}
"""Tensors that come and go each step stay mapped (glibc), the large ones on huge pages (torch). Else a tenth of a tiny
model's step is page faults. And oneDNN keeps the products that it has prepared: 1,024 by default."""


class WorkerDied(MixgridError):
    """A worker process ended in the middle of a step: killed, or out of memory."""


class Slots:
    """As many steps at once as there are slots. An order goes to an idle slot with its checkpoint loaded, if any."""

    def __init__(self, count: int, *, store_url: str, threads: int = 1) -> None:
        self._idle = [_Slot(store_url, threads) for _ in range(count)]
        self._all = list(self._idle)
        self._free = threading.Condition()
        self._closed = False

    def run(self, order: WorkOrder, progress: Progress) -> Record:
        """Make a step in a free slot. Raises what the step raised, or WorkerDied."""
        hint = str(order.input_keys.get("checkpoint", order.key))
        with self._free:
            self._free.wait_for(lambda: self._idle or self._closed)
            if self._closed:
                raise StepError(f"{order.title}: the run is over")
            slot = next((s for s in self._idle if s.hint == hint), self._idle[0])
            self._idle.remove(slot)
        slot.hint = hint
        try:
            return slot.run(order, progress)
        finally:
            with self._free:
                self._idle.append(slot)
                self._free.notify()

    def close(self) -> None:
        """End all worker processes at once; half-made steps leave garbage, never artifacts."""
        with self._free:
            self._closed = True
            self._free.notify_all()
        for slot in self._all:
            slot.kill()


class _Slot:
    def __init__(self, store_url: str, threads: int) -> None:
        self.hint = ""
        self._command = [sys.executable, "-m", "mixgrid.worker", store_url]
        self._threads = str(threads)
        self._process: subprocess.Popen[str] | None = None
        self._log: IO[str] | None = None

    def run(self, order: WorkOrder, progress: Progress) -> Record:
        process, log = self._started()
        assert process.stdin
        assert process.stdout
        try:
            process.stdin.write(order.model_dump_json() + "\n")
            process.stdin.flush()
            for line in process.stdout:
                message = json.loads(line)
                if "progress" in message:
                    progress(*message["progress"])
                else:
                    return _outcome(message)
        except (OSError, ValueError) as error:
            raise WorkerDied(f"{order.title}: {_last_words(process, log)} ({error})") from error
        raise WorkerDied(f"{order.title}: {_last_words(process, log)}")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout, self._log):
                if pipe is not None:
                    _close(pipe)
            self._process = self._log = None

    def _started(self) -> tuple[subprocess.Popen[str], IO[str]]:
        if self._process is not None and self._log is not None and self._process.poll() is None:
            return self._process, self._log
        self.kill()
        self._log = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115 (lives as long as the process)
        environment = {**_ENVIRONMENT, **os.environ}
        environment |= {"OMP_NUM_THREADS": self._threads, "TOKENIZERS_PARALLELISM": "false"}
        root = str(Path(__file__).parent.parent)
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=environment,
        )
        return self._process, self._log


def _last_words(process: subprocess.Popen[str], log: IO[str]) -> str:
    status = process.wait()
    try:
        log.seek(0)
        tail = log.read()[-_TAIL:].strip()
    except ValueError:  # closed: the slots were closed in the middle of the step
        tail = ""
    how = f"signal {-status}" if status < 0 else f"status {status}"
    return f"its worker process ended ({how})" + (f"; its last words:\n{tail}" if tail else "")


def _outcome(message: dict[str, Any]) -> Record:
    if "record" in message:
        return Record.model_validate(message["record"])
    if "damaged" in message:
        raise DamagedArtifact(*message["damaged"])
    if "away" in message:
        raise StoreAway(message["away"])
    raise StepError(message["error"])


def _close(pipe: IO[str]) -> None:
    try:
        pipe.close()
    except OSError:
        return  # an unsent line of a dead process
