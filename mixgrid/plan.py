"""The plan of a study: its cells, the different steps they share, and which of them the store already has.

    plan = make_plan(load_study("demo"), Selection(), store)
    plan.summary()  -> {"cells": 136, "final_checkpoints": 92, "stages": {"naive": 196, "unique": 94}, ...}

A step runs if what it leaves is asked for (scores and the report are) or needed by a step that runs.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

from mixgrid.cells import Cell, Selection, expand
from mixgrid.errors import StudyError
from mixgrid.graph import Graph
from mixgrid.recipe import Recipe
from mixgrid.record import Record
from mixgrid.runtime import StudyRuntime
from mixgrid.step import Step
from mixgrid.steps import KIND_ORDER
from mixgrid.steps.aggregate import AggregateSettings, CheckpointNames, ScoreNames, aggregate
from mixgrid.steps.base import BaseSettings
from mixgrid.store import Store
from mixgrid.strategies import strategy_of
from mixgrid.study import Study


@dataclass
class Plan:
    """A study's graph. `scores`, `represented` and `aggregate` are asked for; `found` has the store's records, by key.

    `after`: steps that go on from what another one leaves, and could do without. `sources` are the downloads, by
    the names that stages have for them: the abilities first, then filtered ones. `sizes` are their training rows where
    they are known. `represented`: whose hidden states, each base first.
    """

    study: Study
    cells: list[Cell]
    chains: dict[str, list[Step]]
    steps: dict[str, Step]
    names: AggregateSettings
    scores: list[Step]
    aggregate: Step
    unpinned: list[str]
    examples: dict[str, int | None]
    after: dict[str, str]
    bases: dict[str, Step]
    sources: dict[str, Step]
    sizes: dict[str, int | None]
    represented: list[tuple[CheckpointNames, Step]]
    found: dict[str, Record] = field(default_factory=dict)

    def look_up(self, store: Store) -> None:
        """Ask the store for every step of the plan."""
        self.found = {key: r for key, step in self.steps.items() if (r := store.find(step)) is not None}

    @property
    def scored(self) -> list[Record | None]:
        """The record of each of `scores`, None where it is missing."""
        return [self.found.get(step.key) for step in self.scores]

    def missing(self) -> dict[str, Step]:
        """The steps that have to run, inputs before what needs them."""
        needed: set[str] = set()
        open_steps = [*self.scores, *(step for _, step in self.represented), self.aggregate]
        while open_steps:
            step = open_steps.pop()
            if step.key not in self.found and step.key not in needed:
                needed.add(step.key)
                open_steps += step.parents()
        return {key: step for key, step in self.steps.items() if key in needed}

    def summary(self) -> dict[str, Any]:
        """Counts of cells, stages, examples and steps, with and without sharing."""
        stages = [step for chain in self.chains.values() for step in chain]
        unique = {step.key for step in stages}
        kinds = Counter(step.kind for step in self.steps.values())
        cached = Counter(step.kind for key, step in self.steps.items() if key in self.found)
        to_run = Counter(step.kind for step in self.missing().values())
        return {
            "study": self.study.name,
            "cells": len(self.cells),
            "final_checkpoints": len({chain[-1].key for chain in self.chains.values()}),
            "stages": {"naive": len(stages), "unique": len(unique)},
            "examples_per_epoch": {
                "naive": _sum(self.examples[step.key] for step in stages),
                "unique": _sum(self.examples[key] for key in unique),
            },
            "steps": {
                kind: {"unique": kinds[kind], "cached": cached[kind], "to_run": to_run[kind]} for kind in KIND_ORDER
            },
            "training_bytes": {model: self.training_bytes(model) for model in self.bases},
            "unpinned": self.unpinned,
        }

    def training_bytes(self, model: str) -> int | None:
        """What a model's weights, gradients and AdamW's moments take, over all processes; None before it is known.

        16 bytes a parameter, plus the activations of the tokens that are computed at once.
        """
        base = self.bases[model]
        record, settings = self.found.get(base.key), base.settings
        assert isinstance(settings, BaseSettings)
        if record is not None:
            return 16 * int(record.ledger["parameters"])
        return None if settings.shape is None else 16 * settings.shape.parameters


def make_plan(
    study: Study,
    *,
    selection: Selection,
    lock: dict[str, str],
    store: Store | None = None,
    runtime: StudyRuntime | None = None,
) -> Plan:
    """Expand a study and build its graph. Needs no network; a store spares it the counting of files."""
    cells = expand(study, selection)
    graph = Graph(study, lock, store, runtime)
    chains = {cell.name: graph.chain(cell) for cell in cells}
    examples = {
        step.key: graph.mixture_examples(stage)
        for cell in cells
        for step, stage in zip(chains[cell.name], cell.stages, strict=True)
    }
    checkpoints: list[tuple[Step, CheckpointNames]] = []
    models = list(dict.fromkeys(cell.model for cell in cells))
    for model in models:
        checkpoints.append((graph.base(model), _base_names(model)))
        checkpoints += _final_checkpoints([c for c in cells if c.model == model], chains, study.recipe)
    on_the_way, after = _on_the_way(cells, graph)
    checkpoints += on_the_way
    score_names, scores = [], []
    for number, (checkpoint, names) in enumerate(checkpoints):
        based = {cell.experiment for cell in cells if cell.model == names.model}
        for ability, choice, step in graph.scores(checkpoint, names.model, names.experiments or based):
            score_names.append(
                ScoreNames(
                    checkpoint=number, ability=ability, benchmark=choice.name, out_of_domain=choice.out_of_domain
                )
            )
            scores.append(step)
    settings = AggregateSettings(
        study=study.name,
        question=study.question,
        checkpoints=tuple(names for _, names in checkpoints),
        scores=tuple(score_names),
        specialised=study.specialised,
        models=_by_size({model: graph.base(model) for model in models}),
        abilities=tuple(graph.sources),
    )
    represented = _represented(study, cells, chains, graph)
    last = aggregate(settings, scores, sources=[graph.download(ability) for ability in graph.sources])
    trained = dict.fromkeys([*graph.sources, *(name for cell in cells for stage in cell.stages for name in stage)])
    steps = {**graph.steps, last.key: last}
    bases = {model: graph.base(model) for model in models}
    unpinned = graph.unpinned(models, {(name.ability, name.benchmark) for name in score_names})
    sources, sizes = {name: graph.download(name) for name in trained}, {name: graph.rows_of(name) for name in trained}
    return Plan(
        study, cells, chains, steps, settings, scores, last, unpinned, examples, after, bases, sources, sizes,
        represented,
    )  # fmt: skip


def _represented(
    study: Study, cells: list[Cell], chains: dict[str, list[Step]], graph: Graph
) -> list[tuple[CheckpointNames, Step]]:
    """For each model its base and the cells that `hidden_states` names, at their first seed; none if none is left."""
    if study.hidden_states is None:
        return []
    try:
        study.hidden_states.check_cells(list(dict.fromkeys(cell.design for cell in expand(study))))
    except ValueError as error:
        raise StudyError(f"study {study.name}, hidden_states.cells: {error}") from None
    first: dict[tuple[str, str], Cell] = {}
    for cell in cells:
        first.setdefault((cell.model, cell.design), cell)
    found = []
    for model in dict.fromkeys(cell.model for cell in cells):
        named = [first[model, design] for design in study.hidden_states.cells if (model, design) in first]
        checkpoints = [(_base_names(model), graph.base(model))] if named else []
        checkpoints += [(_names([cell], study.recipe), chains[cell.name][-1]) for cell in named]
        for names, checkpoint in checkpoints:
            if (step := graph.represent(checkpoint, model)) is not None:
                found.append((names, step))
    return found


def _by_size(bases: dict[str, Step]) -> tuple[str, ...]:
    """The models from small to large where the study says all their shapes, else in its order."""
    shapes = {model: base.settings.shape for model, base in bases.items() if isinstance(base.settings, BaseSettings)}
    sizes = {model: shape.parameters for model, shape in shapes.items() if shape is not None}
    return tuple(sorted(bases, key=sizes.__getitem__) if len(sizes) == len(bases) else bases)


def _final_checkpoints(
    cells: list[Cell], chains: dict[str, list[Step]], recipe: Recipe
) -> list[tuple[Step, CheckpointNames]]:
    """Each different final checkpoint with the names of all experiments that it answers."""
    by_key: dict[str, list[Cell]] = {}
    for cell in cells:
        by_key.setdefault(chains[cell.name][-1].key, []).append(cell)
    return [(chains[named[0].name][-1], _names(named, recipe)) for named in by_key.values()]


def _on_the_way(cells: list[Cell], graph: Graph) -> tuple[list[tuple[Step, CheckpointNames]], dict[str, str]]:
    """The checkpoints of all forgetting curves with their names, and which of them goes on from which."""
    named: dict[str, tuple[Step, CheckpointNames]] = {}
    after: dict[str, str] = {}
    for cell in cells:
        for number, parts in enumerate(graph.parts(cell), start=1):
            for (_, earlier), (_, later) in pairwise(parts):
                after[later.key] = earlier.key
            for share, step in parts:
                if share in cell.evaluate_at:
                    known = named[step.key][1].experiments if step.key in named else ()
                    experiments = tuple(dict.fromkeys((*known, cell.experiment)))
                    names = _point(cell, number, share, graph.study.recipe)
                    names = names.model_copy(update={"experiments": experiments})
                    named[step.key] = (step, names)
    return list(named.values()), after


def _point(cell: Cell, stage: int, share: Fraction, recipe: Recipe) -> CheckpointNames:
    """A point of a curve is named after what was trained so far."""
    so_far = dataclasses.replace(cell, stages=cell.stages[:stage])
    return _names([so_far], recipe).model_copy(update={"stage": stage, "at": str(share)})


def _names(cells: list[Cell], recipe: Recipe) -> CheckpointNames:
    first = cells[0]
    return CheckpointNames(
        model=first.model,
        seed=first.seed,
        experiments=tuple(dict.fromkeys(cell.experiment for cell in cells)),
        strategy=strategy_of(first.stages),
        proportion=str(first.k),
        proportions=tuple({ability: str(k) for ability, k in stage.items()} for stage in first.stages),
        recipe=first.recipe.differences(recipe),
    )


def _base_names(model: str) -> CheckpointNames:
    return CheckpointNames(model=model, seed=None, experiments=(), strategy="base", proportion=None, proportions=())


def _sum(sizes: Iterable[int | None]) -> int | None:
    known = list(sizes)
    return None if None in known else sum(size or 0 for size in known)
