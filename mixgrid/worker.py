"""The worker process: reads orders from its standard input, makes steps, answers on its standard output.

    python -m mixgrid.worker runs
    < {"kind": "sft", ...}
    > {"progress": [0.25, "step 47/188, loss 1.32"]}
    > {"record": {...}}

It leaves as soon as its input closes, in the middle of a step too: then its parent is gone. Ctrl-C is its parent's
to handle.
"""

import json
import os
import queue
import signal
import sys
import threading
import time
import traceback
from typing import IO, Any

from mixgrid.errors import DamagedArtifact, MixgridError, StoreAway
from mixgrid.execute import WorkOrder, execute
from mixgrid.store import Store

PROGRESS_EVERY_S = 0.2


def main(store_url: str) -> None:
    """Serve orders until the input closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    orders: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin, orders), daemon=True).start()
    store = Store(store_url, warn=lambda message: print(message, file=sys.stderr))
    while True:
        _serve(WorkOrder.model_validate_json(orders.get()), store, answers)


def _listen(source: IO[str], orders: "queue.SimpleQueue[str]") -> None:
    for line in source:
        orders.put(line)
    os._exit(0)


def _serve(order: WorkOrder, store: Store, answers: IO[str]) -> None:
    try:
        record = execute(order, store, _Reporter(answers))
        _send(answers, record=record.model_dump(mode="json"))
    except DamagedArtifact as error:
        store.retire(error.folder)
        _send(answers, damaged=[error.folder, error.detail])
    except StoreAway as error:
        _send(answers, away=f"{order.title}: {error}")
    except MixgridError as error:
        _send(answers, error=f"{order.title}: {error}")
    except Exception as error:  # noqa: BLE001 (the process boundary: every failure becomes an answer)
        traceback.print_exc()
        where = traceback.extract_tb(error.__traceback__)[-1]
        _send(answers, error=f"{order.title}: {type(error).__name__}: {error} ({where.filename}:{where.lineno})")


class _Reporter:
    """Progress as messages, a few a second at most."""

    def __init__(self, answers: IO[str]) -> None:
        self._answers = answers
        self._last = 0.0

    def __call__(self, share: float, text: str) -> None:
        now = time.monotonic()
        if now - self._last >= PROGRESS_EVERY_S or share >= 1:
            self._last = now
            _send(self._answers, progress=[share, text])


def _send(answers: IO[str], **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
