"""Strategies: rules that turn abilities and a proportion k into stages (Dong et al. 2023, sections 3 and 4).

    load_strategies()["dmt"].stages(specialised=("code", "math"), general=("general",), k=1/256)
        -> ({code: 1, math: 1}, {general: 1, code: 1/256, math: 1/256})

A stage is written as its mixture: ability -> proportion kept. Each file here is one strategy and pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixgrid.registry import load_folder

Stage = Mapping[str, Fraction]
Stages = tuple[Stage, ...]
FULL = Fraction(1)


@dataclass(frozen=True)
class Strategy:
    """A named rule. `varies` says whether k changes its stages."""

    name: str
    stages: Callable[..., Stages]
    varies: bool


def load_strategies() -> dict[str, Strategy]:
    """All strategies by name."""
    return load_folder("mixgrid.strategies", "STRATEGY")


def pooled(abilities: Sequence[str], k: Fraction = FULL) -> Stage:
    """One mixture with the same proportion of every ability."""
    return dict.fromkeys(abilities, k)


def strategy_of(stages: Stages) -> str:
    """The strategy that a list of stages is an instance of, whatever experiment named it.

    `single` and `multi_task` have one stage; `dmt` comes back to an earlier source in a later stage; `sequential` has
    one source in every stage but the last, which has all general ones; `mixed_sequential` is what remains. No stage
    at all is `base`.
    """
    if not stages:
        return "base"
    if len(stages) == 1:
        return "single" if len(stages[0]) == 1 else "multi_task"
    seen = [ability for stage in stages for ability in stage]
    if len(set(seen)) < len(seen):
        return "dmt"
    return "sequential" if all(len(stage) == 1 for stage in stages[:-1]) else "mixed_sequential"
