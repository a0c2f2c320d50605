"""A study's trainings by two checkouts of mixgrid, alternately: which of them is faster, and by how much.

python tests/bench/lab_training.py --before CHECKOUT STORE --after CHECKOUT STORE
    sft lab.large-s0-lab.code_1: 2.89 s before, 1.36 s after                     (one line a training)
    | base | 2 trainings | 118.1 s | 56.2 s | 2.10 x |
    | sft | 96 trainings | 254.1 s | 120.3 s | 2.11 x |
    | all | 98 trainings | 372.2 s | 176.5 s | 2.11 x |

Each STORE holds the study as its checkout ran it (`mixgrid run demo --store STORE`). Every training that both have is
made anew (parts of one, `@1/4`, are left out) from a copy of the store, by the checkout's own worker process, one at a
time and in turns, as a machine's speed drifts. What counts are the seconds of the loop, as the ledgers give them.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import IO, Any

KINDS = ("base", "sft")
MAKER = """
import sys
from mixgrid.execute import WorkOrder
from mixgrid.warm import Slots
slots = Slots(1, store_url=sys.argv[1])
for line in sys.stdin:
    print(slots.run(WorkOrder.model_validate_json(line), lambda *_: None).model_dump_json(), flush=True)
slots.close()
"""
"""What runs in a checkout: its own worker, as its flows start it."""

Order = dict[str, Any]


class Checkout:
    """One checkout, its worker, and a copy of its store."""

    def __init__(self, code: str, store: str, scratch: Path) -> None:
        self._store = scratch
        shutil.copytree(store, scratch, ignore=shutil.ignore_patterns("snapshot"))
        records = {p.parent: json.loads(p.read_text()) for p in scratch.glob("*/*/record.json")}
        self._folders = {record["key"]: str(folder.relative_to(scratch)) for folder, record in records.items()}
        trainings = [record for record in records.values() if record["kind"] in KINDS and "@" not in record["label"]]
        self.orders = {(record["kind"], record["label"]): self._order(record) for record in trainings}
        if len(self.orders) < len(trainings):
            sys.exit(f"{store} holds some training twice; give the store of one run by one version")
        self._maker = subprocess.Popen(
            [sys.executable, "-c", MAKER, str(scratch)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=scratch, env={**os.environ, "PYTHONPATH": str(Path(code).absolute())},
        )  # fmt: skip

    def seconds(self, training: tuple[str, str]) -> float:
        """Train it again."""
        order = self.orders[training]
        shutil.rmtree(self._store / order["folder"])
        print(json.dumps(order), file=_open(self._maker.stdin), flush=True)
        answer = _open(self._maker.stdout).readline()
        if not answer:
            sys.exit(f"{order['title']}: its process ended with status {self._maker.wait()}")
        ledger = json.loads(answer)["ledger"]
        return float(ledger["seconds"] if "seconds" in ledger else ledger["pretraining"]["seconds"])

    def close(self) -> None:
        """End the worker."""
        _open(self._maker.stdin).close()
        self._maker.wait()

    def _order(self, record: dict[str, Any]) -> Order:
        taken = {name: self._refs(keys) for name, keys in record["inputs"].items()}
        order = {name: record[name] for name in ("kind", "version", "label", "key", "settings")}
        folder = self._folders[record["key"]]
        return order | {
            "title": f"{record['kind']} {record['label']}",
            "folder": folder,
            "inputs": taken,
            "runtime": None,
        }

    def _refs(self, keys: str | list[str]) -> Any:
        if isinstance(keys, str):
            return {"folder": self._folders[keys], "key": keys}
        return [self._refs(key) for key in keys]


def _open(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


def main() -> None:
    """Train in turns, print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--before", nargs=2, metavar=("CHECKOUT", "STORE"), required=True)
    options.add_argument("--after", nargs=2, metavar=("CHECKOUT", "STORE"), required=True)
    given = options.parse_args()
    spent: dict[str, list[tuple[float, float]]] = defaultdict(list)
    with tempfile.TemporaryDirectory(prefix="mixgrid-trainings-") as folder:
        before, after = Checkout(*given.before, Path(folder, "before")), Checkout(*given.after, Path(folder, "after"))
        for number, training in enumerate(sorted(before.orders.keys() & after.orders.keys())):
            if number % 2:
                new, old = after.seconds(training), before.seconds(training)
            else:
                old, new = before.seconds(training), after.seconds(training)
            print(f"{' '.join(training)}: {old:.2f} s before, {new:.2f} s after", flush=True)
            for row in (training[0], "all"):
                spent[row].append((old, new))
        before.close()
        after.close()
    for row in filter(spent.__contains__, (*KINDS, "all")):
        old, new = map(sum, zip(*spent[row], strict=True))
        print(f"| {row} | {len(spent[row])} trainings | {old:.1f} s | {new:.1f} s | {old / new:.2f} x |")


if __name__ == "__main__":
    main()
