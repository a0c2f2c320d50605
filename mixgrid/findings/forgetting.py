"""Claim 6: sequential and mixed sequential training keep the general ability and forget the specialised ones.

    general        strategy minus 85 % of the source alone       above 0: kept
    specialised    the same                                      below 0: forgotten

Cells: everything in full (rq4), for both strategies.
"""

from collections.abc import Iterator

from mixgrid.evidence import Evidence
from mixgrid.findings import KEPT, Claim, Part, kept_beyond, percent


def parts(evidence: Evidence) -> Iterator[Part]:
    """One part a model, strategy and ability."""
    for ground in evidence.grounds:
        for strategy in ("sequential", "mixed_sequential"):
            cell, name = ground.strategy(strategy), strategy.replace("_", " ")
            for ability, measure in evidence.measures.items():
                yield Part(
                    ground=ground.name, measure=measure, words=f"{name} minus {percent(KEPT)} of alone",
                    terms=kept_beyond(cell, ground.single(ability), measure),
                    expects="below" if ability in evidence.specialised else "above",
                )  # fmt: skip


CLAIM = Claim(
    name="forgetting", number=6, parts=parts, experiments=("rq4",),
    words="Sequential and mixed sequential training keep the general abilities and forget the specialised ones.",
)  # fmt: skip
