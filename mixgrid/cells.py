"""Cells: a study expanded, one experiment's name for one training outcome, for one model and seed.

    expand(study) -> Cell(lab.small:dmt:1/4:0), Cell(lab.small:rq1.math:1/4:0), ...

Two cells may be the same training under two names; that shows in the plan, where they share steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixgrid.errors import StudyError
from mixgrid.experiments import load_experiments
from mixgrid.names import choose
from mixgrid.strategies import Stages
from mixgrid.study import Study


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One name for one training outcome."""

    experiment: str
    arm: str
    k: Fraction
    stages: Stages
    model: str
    seed: int

    @property
    def name(self) -> str:
        """`model:experiment[.arm]:k:seed`, unique in a study."""
        experiment = f"{self.experiment}.{self.arm}" if self.arm else self.experiment
        return f"{self.model}:{experiment}:{self.k}:{self.seed}"


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What `--only`, `--models` and `--seeds` leave of a study; None leaves all."""

    only: tuple[str, ...] | None = None
    models: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None


def expand(study: Study, selection: Selection = Selection()) -> list[Cell]:
    """All cells of a study, by model, experiment, seed and design. Raises StudyError for an unknown selection."""
    _check(study, selection)
    cells = []
    for model in study.models:
        if selection.models is not None and model.name not in selection.models:
            continue
        for choice in study.experiments:
            if selection.only is not None and choice.name not in selection.only:
                continue
            designs = list(load_experiments()[choice.name].designs(study.axes(choice)))
            for seed in choice.seeds or study.seeds:
                if selection.seeds is not None and seed not in selection.seeds:
                    continue
                cells += [
                    Cell(experiment=choice.name, arm=d.arm, k=d.k, stages=d.stages, model=model.name, seed=seed)
                    for d in designs
                ]
    if not cells:
        raise StudyError(f"study {study.name}: no cell is left by --only, --models and --seeds together; widen them")
    return cells


def _check(study: Study, selection: Selection) -> None:
    seeds = [str(s) for e in study.experiments for s in (e.seeds or study.seeds)]
    choices: list[tuple[str, Sequence[object] | None, list[str]]] = [
        ("--only", selection.only, [e.name for e in study.experiments]),
        ("--models", selection.models, [m.name for m in study.models]),
        ("--seeds", selection.seeds, list(dict.fromkeys(seeds))),
    ]
    for option, chosen, allowed in choices:
        for value in chosen or ():
            try:
                choose(str(value), allowed, what=option.strip("-").rstrip("s") if option != "--only" else "experiment")
            except ValueError as error:
                raise StudyError(f"study {study.name}, {option}: {error}") from None
