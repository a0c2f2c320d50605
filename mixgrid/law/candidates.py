"""What could be trained: every cell that was run, and the strategies at proportions on a finer grid than was run.

candidates(laws, model="lab.small", budget=Budget(examples=600))
    -> [Candidate(strategy="dmt", k="1/12", stages=[{"math": "1", ...}, ...], examples=1109, seeds=0), ...]

With a budget, every strategy also comes with all its amounts cut to 1/2, 1/4, ... and only what fits is left.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from mixgrid.errors import StudyError
from mixgrid.law.amounts import Amounts, amounts_of
from mixgrid.law.designs import Designs, finer
from mixgrid.result_cells import Cell
from mixgrid.strategies import Stages, load_strategies, strategy_of

if TYPE_CHECKING:
    from mixgrid.law.study_law import StudyLaw


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What one epoch of all stages may take; `tokens_each` are the mean tokens of an example of each ability."""

    amount: float
    tokens_each: Mapping[str, float] | None = None

    def cost(self, amounts: Amounts) -> float:
        """Examples, or tokens."""
        if self.tokens_each is None:
            return amounts.total
        parts = (*amounts.last.items(), *amounts.before.items())
        return sum(self.tokens_each[ability] * n for ability, n in parts)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A training that could be run, or was with `seeds` seeds."""

    strategy: str
    k: Fraction
    share: Fraction
    stages: Stages
    amounts: Amounts
    seeds: int

    @property
    def label(self) -> str:
        """`dmt, k = 1/8: code + math → general + 1/8 code + 1/8 math`."""
        stages = ([name if k == 1 else f"{k} {name}" for name, k in stage.items()] for stage in self.stages)
        k = "" if self.k == 1 or not load_strategies()[self.strategy].varies else f", k = {self.k}"
        cut = "" if self.share == 1 else f", {self.share} of all"
        name = self.strategy.replace("_", " ")
        return f"{name}{k}{cut}: " + " → ".join(" + ".join(stage) for stage in stages)


def candidates(laws: "StudyLaw", *, model: str, budget: Budget | None) -> list[Candidate]:
    """All different ones that fit, the run ones first. Raises StudyError when nothing fits."""
    found: dict[object, Candidate] = {}
    cells = [cell for cell in laws.cells if cell.model == model and cell.strategy != "base"]
    for candidate in (*_run(cells, laws.sizes), *_possible(laws.designs, laws.sizes, cut=budget is not None)):
        found.setdefault(_identity(candidate.amounts), candidate)
    fitting = [c for c in found.values() if budget is None or budget.cost(c.amounts) <= budget.amount]
    if not fitting and budget is not None:
        least = min(budget.cost(c.amounts) for c in found.values())
        raise StudyError(f"--budget {budget.amount:g}: no strategy fits an epoch; the smallest takes {least:,.0f}")
    return fitting


def _run(cells: Sequence[Cell], sizes: Mapping[str, int]) -> Iterator[Candidate]:
    for cell in cells:
        stages = tuple(dict(stage) for stage in cell.stages)
        yield Candidate(
            strategy=cell.strategy, k=cell.proportion or Fraction(1), share=Fraction(1), stages=stages,
            amounts=amounts_of(stages, sizes), seeds=max(1, len(cell.seeds)),
        )  # fmt: skip


def _possible(designs: Designs, sizes: Mapping[str, int], *, cut: bool) -> Iterator[Candidate]:
    ks = finer(designs.proportions)
    shares = [Fraction(1, 2**i) for i in range(9)] if cut else [Fraction(1)]
    lists: list[tuple[Fraction, Fraction, Stages]] = [
        (k, Fraction(1), ({a: k},)) for a in designs.abilities for k in ks
    ]
    for name in designs.strategies():
        varied = ks if load_strategies()[name].varies else [Fraction(1)]
        lists += [(k, share, designs.stages(name, k, share=share)) for k in varied for share in shares]
    for k, share, stages in lists:
        amounts = amounts_of(stages, sizes)
        if all(min(amounts_of((stage,), sizes).last.values()) > 0 for stage in stages):
            yield Candidate(strategy=strategy_of(stages), k=k, share=share, stages=stages, amounts=amounts, seeds=0)


def _identity(amounts: Amounts) -> object:
    return (tuple(sorted(amounts.last.items())), tuple(sorted(amounts.before.items())))
