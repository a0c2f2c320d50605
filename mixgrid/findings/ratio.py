"""Claim 4: the amount of an ability's own data decides its score; the ratio to the other sources hardly does.

    own      most minus least of its own data, the others held fixed               above 0
    others   most minus least of the others' data, its own held fixed (mean)       between -1/5 and 1/5 of own

Cells: one stage with all abilities, of which the specialised have one k and the general another (rq3, with rq2 on the
diagonal). "Hardly" is a fifth of what the own amount does, so that it means the same on every scale; it is tested
as two one-sided parts, own / 5 - others and own / 5 + others, both above 0.
"""

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from mixgrid.evidence import Evidence, Ground
from mixgrid.findings import Claim, Part, Term, percent
from mixgrid.result_cells import Cell

HARDLY = 0.2
"""The share of the own amount's effect that the others' may have."""

Plane = dict[tuple[Fraction, Fraction], Cell]
"""Cells by (own k, the others' k)."""


def parts(evidence: Evidence) -> Iterator[Part]:
    """Three parts a model and ability; an ability whose others are only of its own role has none."""
    for ground in evidence.grounds:
        for ability, measure in evidence.measures.items():
            plane = _plane(evidence, ground, ability)
            own, others = _own(plane), _others(plane)
            scaled = [(HARDLY * weight, cell) for weight, cell in own]
            rise, fall = [(-weight, cell) for weight, cell in others], others
            for words, terms in (
                ("most minus least own data", own),
                (
                    f"{percent(HARDLY)} of what own data does, minus what the others' data adds",
                    [*scaled, *rise] if own and others else [],
                ),
                (
                    f"{percent(HARDLY)} of what own data does, minus what the others' data takes",
                    [*scaled, *fall] if own and others else [],
                ),
            ):
                yield Part(ground=ground.name, measure=measure, words=words, terms=tuple(terms), expects="above")


def _plane(evidence: Evidence, ground: Ground, ability: str) -> Plane:
    """Cells in which the ability's role has one k and the other role another."""
    mine, theirs = evidence.specialised, evidence.general
    if ability in theirs:
        mine, theirs = theirs, mine
    plane = {}
    for cell in ground.one_stage() if theirs else []:
        kept = dict(cell.stages[0])
        own, others = {kept[a] for a in mine}, {kept[a] for a in theirs}
        if len(own) == len(others) == 1:
            plane[own.pop(), others.pop()] = cell
    return plane


def _own(plane: Plane) -> list[Term]:
    """Most minus least of its own data, where the others' amount leaves most to choose from."""
    by_others: defaultdict[Fraction, list[Fraction]] = defaultdict(list)
    for own, others in plane:
        by_others[others].append(own)
    fixed = max(by_others, key=lambda o: (len(by_others[o]), o), default=None)
    if fixed is None or len(by_others[fixed]) < 2:
        return []
    return [(1.0, plane[max(by_others[fixed]), fixed]), (-1.0, plane[min(by_others[fixed]), fixed])]


def _others(plane: Plane) -> list[Term]:
    """Most minus least of the others' data, the mean over its own amounts that have both."""
    by_own: defaultdict[Fraction, list[Fraction]] = defaultdict(list)
    for own, others in plane:
        by_own[own].append(others)
    pairs = [(plane[own, max(ks)], plane[own, min(ks)]) for own, ks in sorted(by_own.items()) if len(ks) > 1]
    share = 1 / max(1, len(pairs))
    return [term for most, least in pairs for term in ((share, most), (-share, least))]


CLAIM = Claim(
    name="ratio", number=4, parts=parts, experiments=("rq3",),
    words="The amount of an ability's own data decides its score; the ratio to the other sources hardly does.",
)  # fmt: skip
