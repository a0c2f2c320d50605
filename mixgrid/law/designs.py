"""What a study varies, read off its cells: which abilities are specialised, and which proportions were run.

designs_of(cells)  ->  Designs(specialised=("code", "math"), general=("general",), proportions=(1/64, 1/8, 1/2, 1))

Results name abilities and stages only; an ability is specialised if some cell trains on it before its last stage.
"""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixgrid.result_cells import Cell
from mixgrid.strategies import Stages, load_strategies


@dataclass(frozen=True, kw_only=True)
class Designs:
    """The abilities in the order of sequential training, and the proportions, ascending."""

    specialised: tuple[str, ...]
    general: tuple[str, ...]
    proportions: tuple[Fraction, ...]

    @property
    def abilities(self) -> tuple[str, ...]:
        """All abilities, specialised first."""
        return (*self.specialised, *self.general)

    def stages(self, strategy: str, k: Fraction, *, share: Fraction = Fraction(1)) -> Stages:
        """A strategy over all abilities, with every amount cut to a `share` of itself."""
        stages = load_strategies()[strategy].stages(specialised=self.specialised, general=self.general, k=k)
        return tuple({ability: part * share for ability, part in stage.items()} for stage in stages)

    def strategies(self) -> list[str]:
        """The strategies that make sense here; `single` is not one of them, it has a list of its own."""
        several = ["multi_task"] if len(self.abilities) > 1 else []
        return several + (["sequential", "mixed_sequential", "dmt"] if self.specialised and self.general else [])


def designs_of(cells: Sequence[Cell], abilities: Sequence[str]) -> Designs:
    """What the cells vary; `abilities` are all of the study's, in its order."""
    longest = max((cell for cell in cells), key=lambda cell: len(cell.stages), default=None)
    early = [ability for stage in (longest.stages[:-1] if longest else ()) for ability, _ in stage]
    early += [ability for cell in cells for stage in cell.stages[:-1] for ability, _ in stage]
    specialised = tuple(dict.fromkeys(early))
    proportions = {k for cell in cells for stage in cell.stages for _, k in stage}
    general = tuple(ability for ability in abilities if ability not in specialised)
    return Designs(specialised=specialised, general=general, proportions=tuple(sorted(proportions)))


def of_one_recipe(cells: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """Cells of one recipe, with the bases, and the experiments left out: the law of two recipes is not one law.

    It is the study's own recipe where some cell has it, else the one that most cells have.
    """
    trained = Counter(cell.recipe for cell in cells if cell.stages)
    own = () if () in trained or not trained else trained.most_common(1)[0][0]
    kept = [cell for cell in cells if not cell.stages or cell.recipe == own]
    named = {name for cell in kept for name in cell.experiments}
    return kept, sorted({name for cell in cells if cell not in kept for name in cell.experiments} - named)


def finer(proportions: Sequence[Fraction]) -> list[Fraction]:
    """The proportions with one between each two neighbours, half-way on a logarithmic axis."""
    between = [_simple((float(a) * float(b)) ** 0.5) for a, b in itertools.pairwise(sorted(proportions))]
    return sorted({*proportions, *between})


def _simple(k: float) -> Fraction:
    """A fraction close by that a person would write: 7/10, 2/11, 1/23."""
    return Fraction(k).limit_denominator(12) if k > 1 / 6 else Fraction(1, round(1 / k))
