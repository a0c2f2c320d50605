"""Claim 1: abilities scale differently. Specialised ones keep improving with data, general ones come early and stay.

    math, code    full minus the largest k up to a quarter of it       above 0: four times the data still helps
    general       the largest k up to 1/16, against 85 % of full       above 0: most of it is there already

Cells: each source alone at each k (rq1). The paper sees the general ability emerge by about a thousand examples, a
64th of its source, and be flat from there; 1/16 leaves it some room. Log-linearity, which it sees in code at 33B
only, is not tested.
"""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial

from mixgrid.evidence import Evidence, Ground
from mixgrid.findings import KEPT, Claim, Part, at_most, difference, kept_beyond, percent

STEP = Fraction(1, 4)
"""Fourfold data, the paper's own step between two points of a curve."""
EARLY = Fraction(1, 16)


def parts(evidence: Evidence) -> Iterator[Part]:
    """One part a model and ability."""
    for ground in evidence.grounds:
        for ability in evidence.measures:
            yield from _part(evidence, ground, ability)


def _part(evidence: Evidence, ground: Ground, ability: str) -> Iterator[Part]:
    single, measure = partial(ground.single, ability), evidence.measures[ability]
    ks = ground.ks(single)
    full = ks[-1] if ks else Fraction(1)
    limit = full * (STEP if ability in evidence.specialised else EARLY)
    less = at_most(ks, limit)
    cell = None if less is None else single(less)
    k = less or f"{limit} or less"
    if ability in evidence.specialised:
        words, terms = f"k = {full} minus k = {k}", difference(single(full), cell)
    else:
        words, terms = f"k = {k} minus {percent(KEPT)} of k = {full}", kept_beyond(cell, single(full), measure)
    yield Part(ground=ground.name, measure=measure, words=f"alone, {words}", terms=terms, expects="above")


CLAIM = Claim(
    name="scaling", number=1, parts=parts, experiments=("rq1",),
    words="Specialised abilities keep improving with their data; general ones come with little of it and stay.",
)  # fmt: skip
