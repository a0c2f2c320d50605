"""Rows of a study whose law is known: losses that follow a power law of the own amount and of the mixture."""

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import pytest

SIZES = {"sums": 1000, "chat": 1000}
KS = [Fraction(1, 2**i) for i in range(8)]
Row = dict[str, Any]
Stage = dict[str, Fraction]
MakeRows = Callable[..., list[Row]]


def amounts(stages: Iterable[Stage], ability: str) -> tuple[float, float]:
    """The ability's own examples and the others' in the last stage."""
    last = list(stages)[-1] if stages else {}
    own = float(last.get(ability, 0)) * 1000
    return own, sum(float(k) * 1000 for name, k in last.items() if name != ability)


def true_loss(stages: list[Stage], ability: str) -> float:
    """0.2 + 3 (1 + n / 20)^-0.9, times more the more else is mixed in."""
    own, others = amounts(stages, ability)
    return 0.2 + 3 * (1 + own / 20) ** -0.9 * (1 + others / (own + 20)) ** 0.4


def designs() -> list[tuple[str, Fraction, list[Stage]]]:
    """Both sources alone and mixed, at each k."""
    found: list[tuple[str, Fraction, list[Stage]]] = []
    for k in KS:
        found += [
            ("single", k, [{"sums": k}]),
            ("single", k, [{"chat": k}]),
            ("multi_task", k, [{"sums": k, "chat": k}]),
        ]
        found += [("dmt", k, [{"sums": Fraction(1)}, {"chat": Fraction(1), "sums": k}])]
    return found


def rows_of(
    value: Callable[[list[Stage], str], float], *, benchmark: str = "response_loss", seeds: int = 2
) -> list[Row]:
    """A row a design, seed and ability; the seeds differ by two percent."""
    rows = []
    for number, (strategy, k, stages) in enumerate(designs()):
        for seed in range(seeds):
            for ability in SIZES:
                score = value(stages, ability) * (1 + 0.01 * (-1) ** (seed + number))
                names = {
                    "model": "toy",
                    "seed": seed,
                    "experiments": ["rq"],
                    "strategy": strategy,
                    "proportion": str(k),
                }
                written = [{name: str(part) for name, part in stage.items()} for stage in stages]
                half = 0.02 * abs(score)
                figures = {"score": score, "n": 200, "low": score - half, "high": score + half}
                measured = {"ability": ability, "benchmark": benchmark, "key": f"{number} {seed} {ability}"}
                rows.append({**names, "proportions": written, **figures, **measured})
    return rows


@pytest.fixture(scope="session")
def losses() -> list[Row]:
    """Losses of `true_loss`."""
    return rows_of(true_loss)


@pytest.fixture(scope="session")
def rates() -> list[Row]:
    """Rates that rise with the own amount and do not care for others: 0.9 u / (1 + u), u = (n / 100)^1.5."""

    def rate(stages: list[Stage], ability: str) -> float:
        power = (amounts(stages, ability)[0] / 100) ** 1.5
        return 0.9 * power / (1 + power)

    return rows_of(rate, benchmark="sums.exact", seeds=3)


@pytest.fixture(scope="session")
def make_rows() -> MakeRows:
    """Rows of any function of stages and ability."""
    return rows_of
