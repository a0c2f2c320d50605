"""What `represent` steps left, as the report shows it: a panel a checkpoint, its points and how pure they lie.

read_hidden_states(plan, store)
    ->  HiddenStates(layer=15, pooling="last", abilities=("math", "code", ...), panels=[Panel(label="base", ...), ...])
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean
from typing import Any

from mixgrid.plan import Plan
from mixgrid.record import Record
from mixgrid.result_cells import Cell
from mixgrid.statistics import Interval, Purity, purity, purity_difference
from mixgrid.steps.aggregate import CheckpointNames
from mixgrid.store import Store


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One checkpoint's queries, in one order for all panels of a study: sources, places on the map, neighbours."""

    model: str
    seed: int | None
    label: str
    description: str
    is_base: bool
    key: str
    sources: Sequence[int]
    points: Sequence[tuple[float, float]]
    neighbours: Sequence[Sequence[int]]
    items: Sequence[int]
    queries: Sequence[str]

    def purity(self, source: int | None = None) -> Purity:
        """Of all queries, or of one source's."""
        return purity(self.neighbours, groups=self.sources, of=source)

    def minus(self, other: "Panel", source: int | None = None) -> tuple[float, Interval]:
        """The difference of the two purities, paired by query."""
        return purity_difference(self.neighbours, other.neighbours, groups=self.sources, of=source)


@dataclass(frozen=True, kw_only=True)
class HiddenStates:
    """All panels that are there, by model, the base first; sources are numbered as `abilities`."""

    layer: int
    pooling: str
    abilities: tuple[str, ...]
    panels: Sequence[Panel]

    def rows(self) -> Iterator[dict[str, Any]]:
        """A row a checkpoint and query, for a file beside the page; `purity` is the query's own."""
        for panel in self.panels:
            columns = (panel.sources, panel.items, panel.points, panel.neighbours, panel.queries)
            for source, item, (x, y), near, query in zip(*columns, strict=True):
                own = fmean(panel.sources[i] == source for i in near[:-1])
                checkpoint = {"model": panel.model, "seed": panel.seed, "checkpoint": panel.label}
                place = {"ability": self.abilities[source], "item": item, "x": x, "y": y, "purity": own}
                yield {**checkpoint, "stages": panel.description, **place, "query": query, "key": panel.key}


def read_hidden_states(plan: Plan, store: Store) -> HiddenStates | None:
    """What there is so far; None where the study asks for no hidden states, or none is there yet."""
    choice = plan.study.hidden_states
    found = [(names, plan.found[step.key]) for names, step in plan.represented if step.key in plan.found]
    if choice is None or not found:
        return None
    panels = [_panel(names, record, store) for names, record in found]
    return HiddenStates(layer=choice.layer, pooling=choice.pooling, abilities=tuple(plan.sources), panels=panels)


def _panel(names: CheckpointNames, record: Record, store: Store) -> Panel:
    import pandas as pd

    table = pd.read_parquet(store.open(record).path("queries.parquet"))
    cell = Cell(
        model=names.model, strategy=names.strategy, experiments=names.experiments, named_apart=False, values={},
        proportion=None if names.proportion is None else Fraction(names.proportion),
        stages=tuple(tuple((ability, Fraction(k)) for ability, k in stage.items()) for stage in names.proportions),
        seeds=() if names.seed is None else (names.seed,),
    )  # fmt: skip
    return Panel(
        model=names.model, seed=names.seed, label=cell.label, description=cell.description, key=record.key,
        is_base=names.strategy == "base", sources=table["source"].tolist(), items=table["item"].tolist(),
        points=list(zip(table["x"].tolist(), table["y"].tolist(), strict=True)), queries=table["query"].tolist(),
        neighbours=[near.tolist() for near in table["neighbours"]],
    )  # fmt: skip
