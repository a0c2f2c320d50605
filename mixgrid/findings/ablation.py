"""Ablation of claim 3: what looks like the specialised abilities in the general source is part of what mixing does.

Without those conversations (`mixgrid/filters/`), for each specialised ability:

    filtered mix minus mix, at the largest k of both              above 0: mixing costs less
    filtered mix minus the source alone, at the smallest k        above 0: the gain at little data stays

Cells: `ablation` against rq2 and rq1. The paper prints this ablation for its 7B model only.
"""

from collections.abc import Iterator

from mixgrid.evidence import Evidence
from mixgrid.findings import Claim, Part, difference


def parts(evidence: Evidence) -> Iterator[Part]:
    """Two parts a model and specialised ability."""
    for ground in evidence.grounds:
        for ability in evidence.specialised:
            if (measure := evidence.measures.get(ability)) is None:
                continue
            much = [k for k in ground.ks(ground.filtered_mix) if ground.mix(k)][-1:]
            little = [k for k in ground.ks(ground.filtered_mix) if ground.single(ability, k)][:1]
            for words, ks, others in (
                ("mixed", much, [ground.mix(k) for k in much]),
                ("alone", little, [ground.single(ability, k) for k in little]),
            ):
                terms = difference(ground.filtered_mix(ks[0]), others[0]) if ks else ()
                yield Part(
                    ground=ground.name, measure=measure, terms=terms, expects="above",
                    words=f"mixed with filtered general minus {words}, k = {ks[0] if ks else 'one that both have'}",
                )  # fmt: skip


CLAIM = Claim(
    name="ablation", number=11, parts=parts, experiments=("rq1", "rq2", "ablation"),
    words="Ablation: without what looks like them in the general source, mixing costs specialised abilities less at "
    "much data and still gains at little.",
)  # fmt: skip
