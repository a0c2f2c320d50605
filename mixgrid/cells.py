"""Cells: a study expanded, one experiment's name for one training outcome, for one model and seed.

    expand(study) -> Cell(lab.small:dmt:1/4:0), Cell(lab.small:rq1.math:1/4:0), ...

Two cells may be the same training under two names; that shows in the plan, where they share steps.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixgrid.errors import StudyError
from mixgrid.experiments import Design, load_experiments
from mixgrid.names import choose
from mixgrid.recipe import Recipe
from mixgrid.strategies import Stages
from mixgrid.study import Study, Variant


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One name for one training outcome. `evaluate_at`: shares of each stage after which it is scored too."""

    experiment: str
    arm: str
    k: Fraction
    stages: Stages
    model: str
    seed: int
    recipe: Recipe
    evaluate_at: tuple[Fraction, ...] = ()

    @property
    def name(self) -> str:
        """`model:experiment[.arm]:k:seed`, unique in a study."""
        return f"{self.model}:{self.design}:{self.seed}"

    @property
    def design(self) -> str:
        """`experiment[.arm]:k`: what cells of all models and seeds share."""
        experiment = f"{self.experiment}.{self.arm}" if self.arm else self.experiment
        return f"{experiment}:{self.k}"


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
        for variant in study.variants():
            if selection.only is not None and not {variant.name, variant.label} & set(selection.only):
                continue
            designs = list(load_experiments()[variant.name].designs(variant.axes))
            for seed in variant.seeds:
                if selection.seeds is None or seed in selection.seeds:
                    cells += [_cell(variant, design, model=model.name, seed=seed) for design in designs]
    if not cells:
        raise StudyError(f"study {study.name}: no cell is left by --only, --models and --seeds together; widen them")
    return cells


def _cell(variant: Variant, design: Design, *, model: str, seed: int) -> Cell:
    recipe = variant.recipe.changed(design.recipe) if design.recipe else variant.recipe
    return Cell(
        experiment=variant.label, arm=design.arm, k=design.k, stages=design.stages, model=model, seed=seed,
        recipe=recipe, evaluate_at=variant.evaluate_at,
    )  # fmt: skip


def _check(study: Study, selection: Selection) -> None:
    variants = study.variants()
    seeds = [str(s) for variant in variants for s in variant.seeds]
    names = [name for variant in variants for name in (variant.name, variant.label)]
    choices: list[tuple[str, Sequence[object] | None, list[str]]] = [
        ("--only", selection.only, list(dict.fromkeys(names))),
        ("--models", selection.models, [m.name for m in study.models]),
        ("--seeds", selection.seeds, list(dict.fromkeys(seeds))),
    ]
    for option, chosen, allowed in choices:
        for value in chosen or ():
            try:
                choose(str(value), allowed, what=option.strip("-").rstrip("s") if option != "--only" else "experiment")
            except ValueError as error:
                raise StudyError(f"study {study.name}, {option}: {error}") from None
