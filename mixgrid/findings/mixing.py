"""Claim 3: against a source alone, mixing gains at little data and loses at full data.

    each ability: mix minus single, at the smallest k of both        above 0
                  mix minus single, at the largest k of both         below 0

Cells: each source alone (rq1) and k of every source pooled (rq2). Updates differ with the amount: see `matched_steps`.
"""

from collections.abc import Iterator

from mixgrid.evidence import Evidence
from mixgrid.findings import Claim, Direction, Part, difference


def parts(evidence: Evidence) -> Iterator[Part]:
    """Two parts a model and ability."""
    for ground in evidence.grounds:
        for ability, measure in evidence.measures.items():
            ks = [k for k in ground.ks(ground.mix) if ground.single(ability, k)]
            ends: list[tuple[int, Direction]] = [(0, "above"), (-1, "below")]
            for end, expects in ends:
                k = ks[end] if len(ks) > 1 else None
                terms = difference(ground.mix(k), ground.single(ability, k)) if k is not None else ()
                words = f"mixed minus alone, k = {k or 'two that both have'}"
                yield Part(ground=ground.name, measure=measure, words=words, terms=terms, expects=expects)


CLAIM = Claim(
    name="mixing", number=3, parts=parts, experiments=("rq1", "rq2"),
    words="Against each source alone, mixing them gains at little data and loses at full data.",
)  # fmt: skip
