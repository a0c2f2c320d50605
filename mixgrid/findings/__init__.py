"""Findings: claims about data composition, each with the effects that decide it. One file a claim.

    claim.parts(evidence)   ->  Part("lab.small", <math>, ((1, <DMT at 1/64>), (-.85, <math only>)), "above"), ...
    weigh(claim, evidence)  ->  Finding(verdict="contradicted", effects=(Effect(value=-.49, low=-.62, ...), ...))

A part is a weighted sum of cells' scores that the claim says is above 0, or below it; thresholds are in the weights.
A claim says that all its parts hold: one part against it contradicts it, and a model for which all parts are for it
supports it. `mixgrid.weighing` does the sums.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

from mixgrid.evidence import Evidence
from mixgrid.registry import load_folder
from mixgrid.result_cells import Cell, Measure

KEPT = 0.85
"""An ability is kept at this share of what its own source alone gives, and forgotten below it.

The paper draws the line here: on GSM8K all it calls kept has .854 or more, all it calls forgotten .816 or less.
"""

Term = tuple[float, Cell | None]
Direction = Literal["above", "below"]
Weighed = Literal["for", "against", "open"]
Verdict = Literal["supported", "contradicted", "undecided", "not tested"]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One sum of scores on one measure. A cell that is None is not in the study."""

    ground: str
    measure: Measure
    words: str
    terms: tuple[Term, ...]
    expects: Direction

    @property
    def has_cells(self) -> bool:
        """Whether the study has all cells of the sum, scored."""
        return bool(self.terms) and all(cell is not None and self.measure in cell.values for _, cell in self.terms)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence that a study can support or contradict. `number` is the paper's, 1 to 7; controls come after them.

    `parts` gives all parts for all models. `experiments` are those that would test it.
    """

    name: str
    number: int
    words: str
    parts: Callable[[Evidence], Iterator[Part]]
    experiments: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A part's value: positive is better, also for a loss. `adjusted_p` is Holm's, over the finding's effects.

    `low` and `high` are None where the items' noise is unknown. `detectable`: the true value that would have been seen
    in four of five repetitions. `seeds` is the fewest a cell has: with 1 the noise of training is not covered. `keys`
    has each cell's first score, by which the report finds it.
    """

    ground: str
    ability: str
    benchmark: str
    unit: str
    words: str
    cells: tuple[str, ...]
    expects: Direction
    value: float
    keys: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None
    p: float | None = None
    adjusted_p: float | None = None
    n: int | None = None
    seeds: int = 1
    paired: bool = False
    detectable: float | None = None
    verdict: Weighed = "open"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A claim and what a study says of it, as a whole and model by model.

    `missing` has parts without cells; `experiment` says what would test or decide it.
    """

    name: str
    number: int
    claim: str
    verdict: Verdict
    verdicts: Mapping[str, Verdict] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    missing: tuple[str, ...] = ()
    experiment: str = ""
    notes: tuple[str, ...] = ()

    @property
    def deciding(self) -> Effect | None:
        """The effect that the verdict hangs on: the clearest against the claim, else the weakest of those for it."""
        against = [effect for effect in self.effects if effect.verdict == "against"]
        if against:
            return min(against, key=lambda effect: effect.p or 0)
        shown = [e for e in self.effects if self.verdicts.get(e.ground) == self.verdict and e.p is not None]
        return max(shown, key=lambda effect: effect.p or 0, default=None)


def load_claims() -> list[Claim]:
    """All claims, the paper's first."""
    return sorted(load_folder("mixgrid.findings", "CLAIM").values(), key=lambda claim: (claim.number, claim.name))


def difference(cell: Cell | None, other: Cell | None) -> tuple[Term, ...]:
    """One cell minus another."""
    return ((1.0, cell), (-1.0, other))


def kept_beyond(cell: Cell | None, reference: Cell | None, measure: Measure) -> tuple[Term, ...]:
    """What a cell has above the share `KEPT` of a reference; of a loss, below as much more than the reference's."""
    return ((1.0, cell), (-(2 - KEPT) if measure.lower_is_better else -KEPT, reference))


def percent(share: float) -> str:
    """A share in words, such as `85 %`."""
    return f"{100 * share:.0f} %"


def at_most(ks: Sequence[Fraction], limit: Fraction) -> Fraction | None:
    """The largest k that is not above a limit."""
    return max((k for k in ks if k <= limit), default=None)
