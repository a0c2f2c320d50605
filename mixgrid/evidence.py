"""Evidence: a study's cells as findings look them up, and the items behind a score.

    evidence = Evidence(rows, specialised=("code", "math"), models=("lab.small", "lab.large"), items=kept.get)
    for ground in evidence.grounds:                  one a model and recipe: what may be compared
        ground.single("math", 1)                     -> Cell, or None: not in the study
        ground.mix(1/4), ground.dmt(1/64), ground.sequential(), ground.one_stage(...)

Abilities are the study's own: `specialised`, and the rest are general.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

from mixgrid.artifact import Artifact
from mixgrid.filters import FILTERED
from mixgrid.result_cells import Cell, Measure, Row, build_cells, find_measures, find_models, unique_rows
from mixgrid.strategies import FULL, Stage, Stages, load_strategies, pooled

Items = Mapping[int, float]
"""A number for each item, whose mean over items is the score."""

MATCHED_STEPS = "matched_steps"


class Evidence:
    """Rows of `mixgrid results`, which may also say their `recipe`, as cells. `items` gives a score's by its key.

    `general` abilities are all that are trained and not specialised, unless they are named.
    """

    def __init__(
        self,
        rows: Iterable[Row],
        *,
        specialised: Sequence[str],
        general: Sequence[str] | None = None,
        models: Sequence[str] = (),
        items: Callable[[str], Items | None] = lambda _: None,
    ) -> None:
        unique = unique_rows(rows)
        measures = find_measures(unique)
        self.cells = build_cells(unique, measures)
        self.items = cache(items)
        self.measures = _primary(measures)
        trained = {name: None for cell in self.cells for stage in cell.stages for name, _ in stage}
        self.specialised = tuple(ability for ability in specialised if ability in trained)
        named = trained if general is None else general
        self.general = tuple(ability for ability in named if ability in trained and ability not in specialised)
        found = find_models(self.cells)
        self.models = [model for model in models if model in found] or found
        main = [cell for cell in self.cells if cell.stages and not _is_matched_only(cell)]
        recipes = list(dict.fromkeys((cell.model, cell.recipe) for cell in main))
        self.grounds = [self._ground(model, recipe, main) for model, recipe in sorted(recipes, key=self._place)]

    @property
    def abilities(self) -> tuple[str, ...]:
        """All abilities, specialised first."""
        return (*self.specialised, *self.general)

    def ground(self, model: str, recipe: tuple[tuple[str, str], ...]) -> "Ground | None":
        """The ground of one model and recipe."""
        return next((g for g in self.grounds if (g.model, g.recipe) == (model, recipe)), None)

    def _place(self, ground: tuple[str, object]) -> int:
        return self.models.index(ground[0])

    def _ground(self, model: str, recipe: tuple[tuple[str, str], ...], main: Sequence[Cell]) -> "Ground":
        cells = tuple(cell for cell in main if (cell.model, cell.recipe) == (model, recipe))
        matched = tuple(cell for cell in self.cells if cell.model == model and MATCHED_STEPS in _experiments(cell))
        return Ground(self, model, recipe, cells, matched)


@dataclass(frozen=True)
class Ground:
    """The cells of one model and recipe. Every look-up gives None where the study has no such cell."""

    evidence: Evidence
    model: str
    recipe: tuple[tuple[str, str], ...]
    cells: tuple[Cell, ...]
    matched: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The model, and in which settings its recipe is another than the study's."""
        changed = ", ".join(f"{setting} {value}" for setting, value in self.recipe if value != "null")
        return f"{self.model} ({changed})" if changed else self.model

    def trained(self, stages: Stages) -> Cell | None:
        """The cell with these stages."""
        wanted = _form(stages)
        return next((cell for cell in self.cells if _form([dict(s) for s in cell.stages]) == wanted), None)

    def single(self, ability: str, k: Fraction = FULL) -> Cell | None:
        """k of one ability's source alone."""
        return self.trained((pooled((ability,), k),))

    def matched_single(self, ability: str, k: Fraction) -> Cell | None:
        """k of one source alone, for as many steps as the mix at k."""
        found = [
            c for c in self.matched if c.stages == (((ability, k),),) and _without_length(c) == self._without_length
        ]
        return found[0] if found else None

    def mix(self, k: Fraction = FULL) -> Cell | None:
        """k of every source in one stage; k=1 is multi-task learning."""
        return self.strategy("multi_task", k)

    def filtered_mix(self, k: Fraction = FULL) -> Cell | None:
        """`mix` with the general sources filtered: the ablation."""
        filtered = [FILTERED + ability for ability in self.evidence.general]
        return self.trained((pooled((*self.evidence.specialised, *filtered), k),)) if filtered else None

    def strategy(self, name: str, k: Fraction = FULL) -> Cell | None:
        """A strategy over all abilities."""
        evidence = self.evidence
        if not (evidence.specialised and evidence.general) and name != "multi_task":
            return None
        stages = load_strategies()[name].stages(specialised=evidence.specialised, general=evidence.general, k=k)
        return self.trained(stages)

    def one_stage(self) -> list[Cell]:
        """The cells that train on all abilities at once, whatever the proportions."""
        return [
            c for c in self.cells if len(c.stages) == 1 and {n for n, _ in c.stages[0]} == {*self.evidence.abilities}
        ]

    def ks(self, find: Callable[[Fraction], Cell | None]) -> list[Fraction]:
        """The proportions at which `find` has a cell, ascending."""
        swept = {cell.proportion for cell in self.cells if cell.proportion is not None}
        return [k for k in sorted(swept) if find(k) is not None]

    @property
    def _without_length(self) -> tuple[tuple[str, str], ...]:
        return tuple(setting for setting in self.recipe if setting[0] not in ("epochs", "budget"))


def item_scores(score: Artifact) -> Items | None:
    """Each item's part in a score; None where its items are not kept."""
    if "items.parquet" not in score.record.files:
        return None
    import pyarrow.parquet as pq

    from mixgrid.benchmarks import load_benchmarks
    from mixgrid.statistics import ratio_contributions

    benchmark = load_benchmarks()[score.record.settings["benchmark"]]
    wanted = ["nats", "tokens"] if benchmark.grade is None else [benchmark.headline]
    table = pq.ParquetFile(score.path("items.parquet")).read(["item", *wanted], use_threads=False).to_pydict()
    if benchmark.grade is None:
        _, values = ratio_contributions(table["nats"], table["tokens"])
        found = dict(zip(table["item"], values, strict=True))
    else:
        graded = zip(table["item"], table[benchmark.headline], strict=True)
        found = {item: float(value) for item, value in graded if value is not None and value == value}
    return found if len(found) > 1 else None


def _primary(measures: Sequence[Measure]) -> dict[str, Measure]:
    """The measure that speaks for each ability: its first benchmark, and a loss only where it has no other."""
    chosen: dict[str, Measure] = {}
    for measure in measures:  # accuracy comes before loss
        chosen.setdefault(measure.ability, measure)
    return chosen


def _experiments(cell: Cell) -> set[str]:
    """The experiments that name a cell, learning rates left out."""
    return {name.partition("@")[0] for name in cell.experiments}


def _is_matched_only(cell: Cell) -> bool:
    return _experiments(cell) == {MATCHED_STEPS} and len(cell.stages[0]) == 1


def _without_length(cell: Cell) -> tuple[tuple[str, str], ...]:
    return tuple(setting for setting in cell.recipe if setting[0] not in ("epochs", "budget"))


def _form(stages: Iterable[Stage]) -> tuple[tuple[tuple[str, Fraction], ...], ...]:
    return tuple(tuple(sorted(stage.items())) for stage in stages)
