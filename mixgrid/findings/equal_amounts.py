"""Control for claim 4 (the paper's appendix H): at one total, equal amounts help small sources and cost large ones.

    an ability that gets more examples than by equal proportions      equal amounts minus equal proportions   above 0
    one that gets fewer                                               the same                                below 0

Cells: `equal_amounts` and rq2 at the largest k of both. It follows from claim 4 if own amounts decide. Where sources
have one size the two mixes are the same training, and there is nothing to test.
"""

from collections.abc import Iterator

from mixgrid.evidence import Evidence
from mixgrid.findings import Claim, Part, difference


def parts(evidence: Evidence) -> Iterator[Part]:
    """One part a model and ability, at the largest k."""
    for ground in evidence.grounds:
        uneven = [c for c in ground.one_stage() if "equal_amounts" in {n.partition("@")[0] for n in c.experiments}]
        uneven = [c for c in uneven if c.proportion is not None and c is not ground.mix(c.proportion)]
        cell = max(uneven, key=lambda c: c.proportion or 0, default=None)
        for ability, measure in evidence.measures.items():
            k = cell.proportion if cell and cell.proportion else None
            more = bool(cell and k and dict(cell.stages[0])[ability] > k)
            yield Part(
                ground=ground.name, measure=measure, words=f"equal amounts minus equal proportions, k = {k}",
                terms=difference(cell, ground.mix(k) if k else None), expects="above" if more else "below",
            )  # fmt: skip


CLAIM = Claim(
    name="equal_amounts", number=10, parts=parts, experiments=("rq2", "equal_amounts, for sources of unequal size"),
    words="Control: at one total, equal amounts help the abilities of small sources and cost those of large ones.",
)  # fmt: skip
