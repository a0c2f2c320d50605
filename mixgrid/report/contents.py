"""What a report's folder holds of ours: a later report with fewer figures leaves none of the old ones behind.

    reports/demo/contents.json      {"files": ["figure-1.svg", "items/c0ffee0123456789.parquet", "report.html", ...]}

    with rewritten(store, "reports/demo", names):
        ...write each of `names`...             afterwards what contents.json had besides them is removed

Files of other names, such as a reader's notes, are not in the list and stay. The list names what is to be written
before it is written, so that a report that was cut short is tidied by the next one.
"""

import json
import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from mixgrid.store import Store

CONTENTS = "contents.json"
_NAME = re.compile(r"(?:\w[\w-]*/)?\w[\w.-]*")
"""A file in the folder or in one below it: whatever the list says, nothing else is removed."""


@contextmanager
def rewritten(store: Store, folder: str, names: Collection[str]) -> Iterator[None]:
    """The files of a report are written inside; those of the report before that are none of them are then removed."""
    before = _listed(store, folder)
    _list(store, folder, {*before, *names})
    yield
    for name in sorted(before - set(names)):
        store.remove(f"{folder}/{name}")
    _list(store, folder, names)


def _listed(store: Store, folder: str) -> set[str]:
    """What the list names; nothing where there is no list that can be read."""
    try:
        names = json.loads(store.read_bytes(f"{folder}/{CONTENTS}") or b"{}")["files"]
        return {name for name in names if isinstance(name, str) and _NAME.fullmatch(name) and name != CONTENTS}
    except (ValueError, KeyError, TypeError):
        return set()


def _list(store: Store, folder: str, names: Collection[str]) -> None:
    store.write_atomically(f"{folder}/{CONTENTS}", json.dumps({"files": sorted(names)}, indent=1).encode() + b"\n")
