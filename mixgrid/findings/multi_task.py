"""Claim 5: multi-task learning keeps the specialised abilities and hurts the general one most of all strategies.

    specialised    multi-task minus 85 % of the source alone              above 0: kept
    general        multi-task minus the source alone                      below 0: hurt
                   multi-task minus sequential, and minus mixed           below 0: more than by the others
                   sequential

Cells: everything in full (rq4). "Most" compares strategies, as the paper does; it cannot compare abilities, whose
scores are on different scales.
"""

from collections.abc import Iterator

from mixgrid.evidence import Evidence
from mixgrid.findings import KEPT, Claim, Part, difference, kept_beyond, percent


def parts(evidence: Evidence) -> Iterator[Part]:
    """One part a model and specialised ability, three a general one."""
    for ground in evidence.grounds:
        mixed = ground.mix()
        for ability, measure in evidence.measures.items():
            alone = ground.single(ability)
            if ability in evidence.specialised:
                words, terms = f"multi-task minus {percent(KEPT)} of alone", kept_beyond(mixed, alone, measure)
                yield Part(ground=ground.name, measure=measure, words=words, terms=terms, expects="above")
                continue
            others = {"alone": alone, "sequential": ground.strategy("sequential")}
            others["mixed sequential"] = ground.strategy("mixed_sequential")
            for name, other in others.items():
                words, terms = f"multi-task minus {name}", difference(mixed, other)
                yield Part(ground=ground.name, measure=measure, words=words, terms=terms, expects="below")


CLAIM = Claim(
    name="multi_task", number=5, parts=parts, experiments=("rq4",),
    words="Multi-task learning keeps the specialised abilities and, of all strategies, hurts the general ones most.",
)  # fmt: skip
