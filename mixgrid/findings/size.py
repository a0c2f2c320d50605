"""Claim 2: at equal data the larger model is better, except at very little data.

    each ability alone: the mean over k above 1/64 of larger minus smaller model       above 0

Cells: each source alone at each k (rq1) for models next to each other in size. What happens at 1/64 and below is the
claim's exception and decides nothing. Models are ordered by their parameters where the study says all their shapes,
and as the study lists them otherwise.
"""

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise

from mixgrid.evidence import Evidence, Ground
from mixgrid.findings import Claim, Part, Term

LITTLE = Fraction(1, 64)
"""At and below this share the paper's sizes are not in order; above it they are."""


def parts(evidence: Evidence) -> Iterator[Part]:
    """One part a pair of models next in size and ability."""
    recipes = dict.fromkeys(ground.recipe for ground in evidence.grounds)
    for recipe in recipes:
        sizes = [found for model in evidence.models if (found := evidence.ground(model, recipe))]
        for small, large in pairwise(sizes):
            for ability, measure in evidence.measures.items():
                words = f"alone, minus {small.name}, mean over k above {LITTLE}"
                terms = _terms(small, large, ability)
                yield Part(ground=large.name, measure=measure, words=words, terms=terms, expects="above")


def _terms(small: Ground, large: Ground, ability: str) -> tuple[Term, ...]:
    """The mean over the ks that both have; empty where they share none."""
    ks = [k for k in large.ks(lambda k: large.single(ability, k)) if k > LITTLE and small.single(ability, k)]
    sides = ((1.0, large), (-1.0, small))
    return tuple((sign / len(ks), ground.single(ability, k)) for k in ks for sign, ground in sides)


CLAIM = Claim(
    name="size", number=2, parts=parts, experiments=("rq1", "a second model"),
    words="At equal data the larger model is better, except at very little data.",
)  # fmt: skip
