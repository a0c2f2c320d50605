"""Claim 7: DMT at a small k keeps both; raising k trades general ability for specialised ability.

    every ability    DMT at the smallest k minus 85 % of the source alone      above 0: kept
    specialised      DMT at the smallest k minus mixed sequential, its k = 0   above 0: the little k does it
                     DMT at the largest k minus at the smallest                above 0 } the trade
    general          the same                                                  below 0 }

Cells: dmt, with the single sources and mixed sequential training of rq4. The small k is the smallest of the study's
sweep, as in the paper, which recommends its smallest.
"""

from collections.abc import Iterator

from mixgrid.evidence import Evidence, Ground
from mixgrid.findings import KEPT, Claim, Direction, Part, Term, difference, kept_beyond, percent
from mixgrid.result_cells import Measure


def parts(evidence: Evidence) -> Iterator[Part]:
    """Three parts a model and specialised ability, two a general one."""
    for ground in evidence.grounds:
        for ability, measure in evidence.measures.items():
            for words, terms, expects in _sums(ground, ability, measure, ability in evidence.specialised):
                yield Part(ground=ground.name, measure=measure, words=words, terms=terms, expects=expects)


def _sums(
    ground: Ground, ability: str, measure: Measure, is_specialised: bool
) -> Iterator[tuple[str, tuple[Term, ...], Direction]]:
    ks = ground.ks(lambda k: ground.strategy("dmt", k))
    little = ground.strategy("dmt", ks[0]) if ks else None
    much = ground.strategy("dmt", ks[-1]) if len(ks) > 1 else None
    small, large = (ks[0], ks[-1]) if ks else ("small", "large")
    kept = kept_beyond(little, ground.single(ability), measure)
    yield f"DMT at k = {small} minus {percent(KEPT)} of alone", kept, "above"
    if is_specialised:
        without = difference(little, ground.strategy("mixed_sequential"))
        yield f"DMT at k = {small} minus mixed sequential", without, "above"
    trade: Direction = "above" if is_specialised else "below"
    yield f"DMT at k = {large} minus k = {small}", difference(much, little), trade


CLAIM = Claim(
    name="dmt", number=7, parts=parts, experiments=("rq4", "dmt"),
    words="DMT at a small k keeps specialised and general abilities; raising k trades general ability for specialised.",
)  # fmt: skip
