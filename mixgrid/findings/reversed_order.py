"""Control for claim 6: what sequential training keeps is what came last, whichever ability that is.

In reversed order (general first, the specialised after it, the study's first one last):

    the last ability       minus 85 % of its source alone       above 0: kept
    all others             the same                             below 0: forgotten

Cells: `reversed_order`, with the single sources of rq4.
"""

from collections.abc import Iterator

from mixgrid.evidence import Evidence, Ground
from mixgrid.findings import KEPT, Claim, Part, kept_beyond, percent
from mixgrid.result_cells import Cell


def parts(evidence: Evidence) -> Iterator[Part]:
    """One part a model and ability."""
    for ground in evidence.grounds:
        cell = _reversed(evidence, ground)
        last = cell.stages[-1][0][0] if cell else None
        for ability, measure in evidence.measures.items():
            yield Part(
                ground=ground.name, measure=measure, words=f"reversed order minus {percent(KEPT)} of alone",
                terms=kept_beyond(cell, ground.single(ability), measure),
                expects="above" if ability == last else "below",
            )  # fmt: skip


def _reversed(evidence: Evidence, ground: Ground) -> Cell | None:
    """The cell that starts with a general source and ends with a specialised one, each alone and once."""
    for cell in ground.cells:
        order = [stage[0][0] for stage in cell.stages if len(stage) == 1 and stage[0][1] == 1]
        complete = sorted(order) == sorted(evidence.abilities) and len(order) == len(cell.stages) > 1
        if complete and order[0] in evidence.general and order[-1] in evidence.specialised:
            return cell
    return None


CLAIM = Claim(
    name="reversed_order", number=9, parts=parts, experiments=("reversed_order", "rq4"),
    words="Control: in reversed order sequential training keeps the ability that came last and forgets the others.",
)  # fmt: skip
