"""Control for claim 3: the gain of mixing at little data is more than the optimiser steps it brings along.

    each ability: mix minus single trained for as many steps, at the smallest k      above 0

Cells: `matched_steps`. Where this is contradicted while claim 3's gains are there, updates were the reason.
"""

from collections.abc import Iterator

from mixgrid.evidence import Evidence
from mixgrid.findings import Claim, Part, difference


def parts(evidence: Evidence) -> Iterator[Part]:
    """One part a model and ability."""
    for ground in evidence.grounds:
        for ability, measure in evidence.measures.items():
            ks = [k for k in ground.ks(ground.mix) if ground.matched_single(ability, k)]
            words = f"mixed minus alone at equal steps, k = {ks[0] if ks else 'the smallest'}"
            terms = difference(ground.mix(ks[0]), ground.matched_single(ability, ks[0])) if ks else ()
            yield Part(ground=ground.name, measure=measure, words=words, terms=terms, expects="above")


CLAIM = Claim(
    name="matched_steps", number=8, parts=parts, experiments=("matched_steps",),
    words="Control: at little data mixing gains also over single sources trained for as many optimiser steps.",
)  # fmt: skip
