"""Rows of `mixgrid results` as cells: the same training at its seeds, with one number for each measure.

    {"model": "lab.small", "seed": 0, "strategy": "single", "proportions": [{"math": "1/4"}], ...}
    {"model": "lab.small", "seed": 1, "strategy": "single", "proportions": [{"math": "1/4"}], ...}
        ->  one cell, "math only, k = 1/4", whose lab.math is a mean over two seeds

A measure is a benchmark of one ability (`response_loss` occurs once an ability). Tables, charts and findings read
cells only.
"""

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean
from typing import Any

from mixgrid.filters import FILTERED
from mixgrid.statistics import Interval, SeedSummary, mean_over_seeds

Row = Mapping[str, Any]
LOWER_IS_BETTER = frozenset({"response_loss"})
STRATEGIES = {
    "base": "base",
    "single": "single",
    "multi_task": "multi-task",
    "sequential": "sequential",
    "mixed_sequential": "mixed sequential",
    "dmt": "DMT",
}


@dataclass(frozen=True)
class Measure:
    """A benchmark of one ability: a column of the tables, a figure of the charts."""

    ability: str
    lower_is_better: bool
    benchmark: str
    is_rate: bool
    """All scores lie in 0..1: shown as percent."""

    @property
    def unit(self) -> str:
        if self.lower_is_better:
            return "nats/token, lower is better"
        return "% of items" if self.is_rate else "higher is better"

    def scaled(self, value: float) -> float:
        return 100 * value if self.is_rate else value

    def format(self, value: float) -> str:
        decimals = 1 if self.is_rate else 3 if self.lower_is_better else 2
        return f"{self.scaled(value):.{decimals}f}"


@dataclass(frozen=True)
class SeedScore:
    """One checkpoint's score, and the key of the step that has its items."""

    seed: int | None
    score: float
    key: str


@dataclass(frozen=True, kw_only=True)
class Value:
    """One cell's number for one measure."""

    summary: SeedSummary
    items: Interval | None
    """The item interval; over several seeds the mean of theirs, since all seeds answer the same items."""
    n: int | None
    scores: tuple[SeedScore, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One training, for one model, at all its seeds."""

    model: str
    strategy: str
    proportion: Fraction | None
    stages: tuple[tuple[tuple[str, Fraction], ...], ...]
    experiments: tuple[str, ...]
    named_apart: bool
    """Another cell has the same stages and seeds (a control with other steps): the label names the experiments."""
    seeds: tuple[int, ...]
    values: Mapping[Measure, Value]
    recipe: tuple[tuple[str, str], ...] = ()
    """What differs from the study's recipe, as text; empty where rows do not say it."""

    @property
    def is_full(self) -> bool:
        return all(k == 1 for stage in self.stages for _, k in stage)

    @property
    def is_filtered(self) -> bool:
        """Some of what it trains on is a source without its look-alikes."""
        return any(name.startswith(FILTERED) for stage in self.stages for name, _ in stage)

    @property
    def label(self) -> str:
        name = STRATEGIES.get(self.strategy, self.strategy.replace("_", " "))
        if self.strategy == "single":
            name = " + ".join(source for stage in self.stages for source, _ in stage) + " only"
        if self.proportion is not None and (self.proportion != 1 or self.strategy == "dmt"):
            name += f", k = {self.proportion}"
        name += ", filtered" if self.is_filtered else ""
        return f"{name} [{', '.join(self.experiments)}]" if self.named_apart else name

    @property
    def description(self) -> str:
        """The stages in words, such as `code + math → general + 1/4 code + 1/4 math`."""
        stages = ([name if k == 1 else f"{k} {name}" for name, k in stage] for stage in self.stages)
        return " → ".join(" + ".join(stage) for stage in stages) or "not fine-tuned"

    def sort_key(self) -> tuple[Any, ...]:
        order = list(STRATEGIES).index(self.strategy) if self.strategy in STRATEGIES else len(STRATEGIES)
        sources = [name for stage in self.stages for name, _ in stage] if self.strategy == "single" else []
        return (
            order,
            self.strategy,
            sources,
            self.proportion or 0,
            self.is_filtered,
            self.description,
            self.experiments,
        )


def unique_rows(rows: Iterable[Row]) -> list[Row]:
    """Each checkpoint x benchmark x seed once, with the experiments of all its copies."""
    kept: dict[tuple[Any, ...], dict[str, Any]] = {}
    for row in rows:
        copy = kept.setdefault(tuple(row[c] for c in ("key", "model", "seed", "ability", "benchmark")), dict(row))
        copy["experiments"] = sorted({*copy["experiments"], *row["experiments"]})
    return list(kept.values())


def find_measures(rows: Sequence[Row]) -> list[Measure]:
    """The measures in the order of columns: abilities as they come, accuracy before loss."""
    scores: defaultdict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows:
        scores[row["ability"], row["benchmark"]] += [v for v in (row["score"], row["low"], row["high"]) if is_number(v)]
    measures = []
    for (ability, benchmark), values in scores.items():
        lower = benchmark in LOWER_IS_BETTER
        is_rate = not lower and all(0 <= value <= 1 for value in values)
        measures.append(Measure(ability, lower, benchmark, is_rate))
    abilities = list(dict.fromkeys(measure.ability for measure in measures))
    return sorted(measures, key=lambda m: (abilities.index(m.ability), m.lower_is_better, m.benchmark))


def build_cells(rows: Sequence[Row], measures: Sequence[Measure]) -> list[Cell]:
    """Unique rows as cells, by model as they come, strategy and k; rows without a score count for nothing."""
    groups: defaultdict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if is_number(row["score"]):
            stages, recipe = json.dumps(row["proportions"], sort_keys=True), json.dumps(row.get("recipe", []))
            groups[row["model"], row["strategy"], stages, recipe].append(row)
    alike = Counter(name[:3] for name in groups)
    cells = []
    for name, group in groups.items():
        parts = _split_by_experiment(group)
        cells += [_cell(part, measures, named_apart=alike[name[:3]] > 1 or len(parts) > 1) for part in parts]
    models = list(dict.fromkeys(row["model"] for row in rows))
    return sorted(cells, key=lambda cell: (models.index(cell.model), *cell.sort_key()))


def find_models(cells: Sequence[Cell]) -> list[str]:
    """The models of the cells, in the cells' order."""
    return list(dict.fromkeys(cell.model for cell in cells))


def is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _split_by_experiment(group: list[Row]) -> list[list[Row]]:
    """Trainings that share their stages but not their recipe, told apart by the experiments that name them.

    A mean over seeds must not mix them. They show as two scores of one seed and measure.
    """
    if max(Counter((r["seed"], r["ability"], r["benchmark"]) for r in group).values()) == 1:
        return [group]
    parts: list[tuple[set[str], list[Row]]] = []
    for row in group:
        names, members = set(row["experiments"]), [row]
        for part in [p for p in parts if p[0] & names]:
            names, members = names | part[0], part[1] + members
            parts.remove(part)
        parts.append((names, members))
    return [members for _, members in parts]


def _cell(rows: list[Row], measures: Sequence[Measure], *, named_apart: bool) -> Cell:
    by_measure: defaultdict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        by_measure[row["ability"], row["benchmark"]].append(row)
    stages = rows[0]["proportions"] or []
    proportion = rows[0]["proportion"]
    return Cell(
        model=rows[0]["model"],
        strategy=rows[0]["strategy"],
        proportion=None if proportion is None else Fraction(proportion),
        stages=tuple(tuple((name, Fraction(k)) for name, k in stage.items()) for stage in stages),
        experiments=tuple(sorted({name for row in rows for name in row["experiments"]})),
        named_apart=named_apart,
        seeds=tuple(sorted({row["seed"] for row in rows if row["seed"] is not None})),
        values={
            m: _value(by_measure[m.ability, m.benchmark]) for m in measures if (m.ability, m.benchmark) in by_measure
        },
        recipe=tuple((str(name), str(value)) for name, value in rows[0].get("recipe", ())),
    )


def _value(rows: list[Row]) -> Value:
    bounded = [row for row in rows if is_number(row["low"]) and is_number(row["high"])]
    items = Interval(fmean(r["low"] for r in bounded), fmean(r["high"] for r in bounded)) if bounded else None
    sizes = {row["n"] for row in rows}
    summary = mean_over_seeds([row["score"] for row in rows])
    scores = tuple(SeedScore(row["seed"], row["score"], row["key"]) for row in rows)
    return Value(summary=summary, items=items, n=sizes.pop() if len(sizes) == 1 else None, scores=scores)
