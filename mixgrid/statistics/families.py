"""Several tests of one claim: Holm's correction.

holm([.01, .04, .03])  ->  [.03, .06, .06]
"""

from collections.abc import Sequence


def holm(probabilities: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p values, in the order given; whichever null hypotheses are true, the chance of
    rejecting any of them at `adjusted < alpha` is at most alpha (Holm 1979)."""
    if any(not 0 <= p <= 1 for p in probabilities):
        raise ValueError(f"p values {list(probabilities)}: each must lie in 0..1")
    adjusted, reached, left = [0.0] * len(probabilities), 0.0, len(probabilities)
    for place in sorted(range(left), key=lambda i: probabilities[i]):
        reached = max(reached, min(1.0, left * probabilities[place]))
        adjusted[place] = reached
        left -= 1
    return adjusted
