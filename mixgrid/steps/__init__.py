"""Step kinds: what each step of the graph is made of and how it is made. One file a kind.

    load_kinds()["subsample"].make(Work(settings=SubsampleSettings(...), inputs={"rows": <Artifact>}, folder=...))
        writes folder/rows.npy and returns the ledger {"rows": 250, "of": 1000}

Each file has a function that builds the `Step` (what it is, for the plan) and `make` (how it is done, for a worker).
Torch and its kin are imported inside `make`, so that a plan stays fast.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixgrid.artifact import Artifact
from mixgrid.identity import Runtime, Settings
from mixgrid.progress import Progress, silent
from mixgrid.registry import load_folder

if TYPE_CHECKING:
    from mixgrid.execute import WorkOrder
    from mixgrid.store import Store

KIND_ORDER = (
    "download", "tokenizer", "tokenize", "subsample", "mix", "base", "sft", "represent", "answer", "score",
    "aggregate",
)  # fmt: skip
"""All step kinds in the order of the graph."""


@dataclass(frozen=True, kw_only=True)
class Work:
    """All that making a step may use: its settings, its inputs, an empty folder to write into.

    `order` and `store` are for steps that keep snapshots, or are made by several processes.
    """

    settings: Any
    inputs: Mapping[str, Artifact | Sequence[Artifact]]
    folder: Path
    runtime: Any = None
    progress: Progress = silent
    order: "WorkOrder | None" = None
    store: "Store | None" = None

    def origin(self) -> "tuple[WorkOrder, Store]":
        """The order that is being carried out, and the store."""
        assert self.order is not None
        assert self.store is not None
        return self.order, self.store

    def one(self, name: str) -> Artifact:
        """The single artifact under an input's name."""
        found = self.inputs[name]
        assert isinstance(found, Artifact)
        return found

    def many(self, name: str) -> Sequence[Artifact]:
        """The artifacts under an input's name, in order."""
        found = self.inputs[name]
        assert not isinstance(found, Artifact)
        return found


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A step kind. `version` goes up when the same settings start to give something else.

    `make` returns the ledger; `finished` is called once the artifact is there, to clear away what it made superfluous.
    """

    name: str
    settings: type[Settings]
    make: Callable[[Work], dict[str, Any]]
    version: int = 1
    runtime: type[Runtime] | None = None
    finished: Callable[[Work], None] | None = None


def load_kinds() -> dict[str, Kind]:
    """All step kinds by name."""
    return load_folder("mixgrid.steps", "KIND")
