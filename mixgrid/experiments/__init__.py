"""Experiments: the questions of a study, each as a list of designs that every model and seed is trained with.

    load_experiments()["dmt"].designs(Axes(specialised=("code", "math"), general=("general",), proportions=(1, 1/4)))
        -> Design(strategy dmt, k=1, stages=...), Design(strategy dmt, k=1/4, stages=...)

Every experiment names its own cells, even where they are the same training as another's: the plan finds that out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from mixgrid.registry import load_folder
from mixgrid.strategies import Stages, load_strategies


@dataclass(frozen=True, kw_only=True)
class Axes:
    """What an experiment may use of a study: abilities in the study's order and the proportions of its sweep."""

    specialised: tuple[str, ...]
    general: tuple[str, ...]
    proportions: tuple[Fraction, ...]

    @property
    def abilities(self) -> tuple[str, ...]:
        """All abilities, specialised first."""
        return (*self.specialised, *self.general)

    def stages(self, strategy: str, k: Fraction = Fraction(1)) -> Stages:
        """The stages of a strategy over all abilities."""
        return load_strategies()[strategy].stages(specialised=self.specialised, general=self.general, k=k)


@dataclass(frozen=True, kw_only=True)
class Design:
    """One cell without its model and seed. `arm` tells an experiment's sweeps apart (rq3 has a, b and c)."""

    k: Fraction
    stages: Stages
    arm: str = ""


@dataclass(frozen=True)
class Experiment:
    """A named list of designs. `needs_both` asks for specialised and general abilities."""

    name: str
    designs: Callable[[Axes], Iterator[Design]]
    needs_both: bool = True

    def check(self, axes: Axes) -> None:
        """Raise ValueError when the study lacks what the experiment compares."""
        if self.needs_both and not (axes.specialised and axes.general):
            raise ValueError(
                f"experiment {self.name} compares specialised with general abilities, but specialised is "
                f"[{', '.join(axes.specialised)}] and general is [{', '.join(axes.general)}]; name some of the "
                "abilities, not all, under `specialised`, or drop the experiment"
            )


def load_experiments() -> dict[str, Experiment]:
    """All experiments by name."""
    return load_folder("mixgrid.experiments", "EXPERIMENT")
