"""Experiments: the questions of a study, each as a list of designs that every model and seed is trained with.

    load_experiments()["dmt"].designs(Axes(specialised=("code", "math"), general=("general",), proportions=(1, 1/4)))
        -> Design(strategy dmt, k=1, stages=...), Design(strategy dmt, k=1/4, stages=...)

Every experiment names its own cells, even where they are the same training as another's: the plan finds that out.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mixgrid.recipe import Recipe
from mixgrid.registry import load_folder
from mixgrid.strategies import Stages, load_strategies


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What an experiment may use of a study: abilities in the study's order and the proportions of its sweep.

    `rows` are declared training rows, for experiments that count examples; `recipe` is the one they start from.
    `filters` are the abilities whose look-alikes a filter can tell.
    """

    specialised: tuple[str, ...]
    general: tuple[str, ...]
    proportions: tuple[Fraction, ...]
    rows: Mapping[str, int | None] = field(default_factory=dict)
    recipe: Recipe | None = None
    filters: tuple[str, ...] = ()

    @property
    def abilities(self) -> tuple[str, ...]:
        """All abilities, specialised first."""
        return (*self.specialised, *self.general)

    def stages(self, strategy: str, k: Fraction = Fraction(1)) -> Stages:
        """The stages of a strategy over all abilities."""
        return load_strategies()[strategy].stages(specialised=self.specialised, general=self.general, k=k)


@dataclass(frozen=True, kw_only=True)
class Design:
    """One cell without its model and seed. `arm` tells an experiment's sweeps apart (rq3 has a, b and c).

    `recipe` has settings that replace the study's, such as `{"budget": {"steps": 200}}` in a control.
    """

    k: Fraction
    stages: Stages
    arm: str = ""
    recipe: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Experiment:
    """A named list of designs.

    `needs_both` asks for specialised and general abilities, `needs_rows` for the number of every source's rows,
    `needs_filters` for a filter of every specialised ability.
    """

    name: str
    designs: Callable[[Axes], Iterator[Design]]
    needs_both: bool = True
    needs_rows: bool = False
    needs_filters: bool = False

    def check(self, axes: Axes) -> None:
        """Raise ValueError when the study lacks what the experiment compares."""
        if self.needs_both and not (axes.specialised and axes.general):
            raise ValueError(
                f"experiment {self.name} compares specialised with general abilities, but specialised is "
                f"[{', '.join(axes.specialised)}] and general is [{', '.join(axes.general)}]; name some of the "
                "abilities, not all, under `specialised`, or drop the experiment"
            )
        unknown = [ability for ability in axes.abilities if axes.rows.get(ability) is None]
        if self.needs_rows and unknown:
            raise ValueError(
                f"experiment {self.name} counts examples, but how many rows {', '.join(unknown)} has is declared "
                "nowhere; add `rows: N` to the source (with `without` nobody knows), or drop the experiment"
            )
        lacking = [ability for ability in axes.specialised if ability not in axes.filters]
        if self.needs_filters and lacking:
            raise ValueError(
                f"experiment {self.name} removes what looks like {', '.join(lacking)}, and no filter tells it; "
                "add `filter: code`, or `filter: {name: ..., patterns: [...]}`, to the ability, or drop the experiment"
            )
        if next(self.designs(axes), None) is None:
            raise ValueError(
                f"experiment {self.name} has no cell at the proportions {', '.join(map(str, axes.proportions))}; "
                "give it smaller ones, such as proportions: [1/16]"
            )


def load_experiments() -> dict[str, Experiment]:
    """All experiments by name."""
    return load_folder("mixgrid.experiments", "EXPERIMENT")
