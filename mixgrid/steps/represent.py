"""represent: a checkpoint's hidden states of queries from each source, their map, and who lies next to whom.

    states.npy        float32, one row a query: the state that stands for it
    queries.parquet   source (number among the inputs), item, query, x, y, neighbours (rows of this table)
    ledger            {"purity": 0.93, "low": 0.88, "high": 0.96, "chance": 0.33, "n": 150, "neighbours": 10, ...}

`purity` is the share of a query's nearest others, among the states and not on the map, that are of its source.
"""

from collections.abc import Sequence
from typing import Any

from mixgrid.identity import Settings
from mixgrid.representation.choice import Layer, Pooling, Samples
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 1
NEIGHBOURS = 10
"""How many of a query's nearest count; fewer where a source has not so many others."""


class RepresentSettings(Settings):
    """Which state of how many queries a source, and how they are written and computed."""

    layer: Layer
    samples: Samples
    pooling: Pooling
    template: str
    max_length: int
    dtype: str = "float32"


def represent(settings: RepresentSettings, *, checkpoint: Step, sources: Sequence[Step]) -> Step:
    """The step for one checkpoint; `sources` are downloads."""
    label = f"layer{settings.layer}-{checkpoint.label}"
    return Step(
        kind="represent", version=VERSION, settings=settings, label=label, title=f"represent {label}",
        inputs={"checkpoint": checkpoint, "sources": tuple(sources)},
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Ask nothing: run the queries through the checkpoint, map them, find neighbours."""
    import numpy as np
    import pandas as pd

    from mixgrid.models import loaded_checkpoint
    from mixgrid.representation.embedding import embed
    from mixgrid.representation.queries import choose_queries
    from mixgrid.representation.states import layer_states
    from mixgrid.statistics import nearest, purity
    from mixgrid.templates import prompt_text

    settings: RepresentSettings = work.settings
    model, tokenizer = loaded_checkpoint(work.one("checkpoint"), dtype=settings.dtype)
    sources = [choose_queries(source, settings.samples) for source in work.many("sources")]
    rows = [(number, query) for number, source in enumerate(sources) for query in source.chosen]
    texts = [prompt_text(query.messages, tokenizer=tokenizer, template=settings.template) for _, query in rows]
    states = layer_states(
        model, tokenizer, texts, layer=settings.layer, pooling=settings.pooling, max_length=settings.max_length,
        add_special_tokens=settings.template != "chat", progress=work.progress,
    )  # fmt: skip
    groups = [number for number, _ in rows]
    count = min(NEIGHBOURS, *(len(source.chosen) - 1 for source in sources))
    neighbours = nearest(states, count + 1)
    found, points = purity(neighbours, groups=groups), embed(states)
    table = {
        "source": groups, "item": [query.item for _, query in rows], "query": [query.text for _, query in rows],
        "x": points[:, 0], "y": points[:, 1], "neighbours": list(neighbours),
    }  # fmt: skip
    pd.DataFrame(table).to_parquet(work.folder / "queries.parquet", index=False)
    np.save(work.folder / "states.npy", states)
    taken = [{"source": s.record.label, "part": q.part, "queries": len(q.chosen), "of": q.of}
             for s, q in zip(work.many("sources"), sources, strict=True)]  # fmt: skip
    figures = {"purity": found.value, "low": found.interval.low, "high": found.interval.high, "chance": found.chance}
    return figures | {"n": found.n, "neighbours": count, "hidden_size": states.shape[1], "sources": taken}


KIND = Kind(name="represent", version=VERSION, settings=RepresentSettings, make=make)
