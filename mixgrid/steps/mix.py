"""mix: sources with proportions, resolved to one ordered list of examples.

    source.npy   int16, which of the sources, numbered in canonical order
    row.npy      int64, the row within that source
    ledger       {"examples": 1500, "sources": [{"source": "lab.code", "proportion": "1/4", "examples": 250}, ...]}

Canonical order is sources by name, rows by number: [code, math] and [math, code] are one mixture and one key.
"""

from collections.abc import Iterable
from typing import Any

from mixgrid.identity import Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 1


class MixSettings(Settings):
    """Nothing beyond the subsamples."""


def mix(subsamples: Iterable[Step]) -> Step:
    """The step for a mixture, whatever order its subsamples are given in."""
    ordered = sorted(subsamples, key=lambda s: [(rows.label, rows.key) for rows in s.parents()])
    label = "+".join(s.label for s in ordered)
    return Step(
        kind="mix", version=VERSION, settings=MixSettings(), inputs={"subsamples": ordered},
        label=label, title=f"mix {label}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """List the examples."""
    import numpy as np

    rows = [np.sort(np.load(s.path("rows.npy"))) for s in work.many("subsamples")]
    np.save(work.folder / "source.npy", np.repeat(np.arange(len(rows), dtype=np.int16), [len(r) for r in rows]))
    np.save(work.folder / "row.npy", np.concatenate(rows))
    sources = [
        {"subsample": s.record.label, "proportion": s.record.settings["proportion"], "examples": len(r)}
        for s, r in zip(work.many("subsamples"), rows, strict=True)
    ]
    return {"examples": sum(len(r) for r in rows), "sources": sources}


KIND = Kind(name="mix", version=VERSION, settings=MixSettings, make=make)
