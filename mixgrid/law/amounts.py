"""How much of which ability a cell trains on, and where: the law's only input.

    ({math: 1, code: 1}, {general: 1, math: 1/4})  with 512 rows a source
        ->  Amounts(last={"general": 512, "math": 128}, before={"math": 512, "code": 512})

The last stage is kept apart from all earlier ones: what came before is partly forgotten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from mixgrid.steps.subsample import subset_size

if TYPE_CHECKING:
    import numpy as np

Stages = Sequence[Mapping[str, Fraction]]


@dataclass(frozen=True, kw_only=True)
class Amounts:
    """Examples an epoch of each ability: in the last stage, and in all earlier stages together."""

    last: Mapping[str, int]
    before: Mapping[str, int]

    @property
    def total(self) -> int:
        """Examples an epoch of all stages."""
        return sum(self.last.values()) + sum(self.before.values())


def amounts_of(stages: Stages, sizes: Mapping[str, int]) -> Amounts:
    """The amounts of a cell; `sizes` are the training rows of each ability's source."""
    counted = [{ability: subset_size(k, sizes[ability]) for ability, k in stage.items()} for stage in stages]
    before: dict[str, int] = {}
    for stage in counted[:-1]:
        for ability, n in stage.items():
            before[ability] = before.get(ability, 0) + n
    return Amounts(last=counted[-1] if counted else {}, before=before)


def matrix(amounts: Sequence[Amounts], abilities: Sequence[str]) -> "np.ndarray":
    """One row a cell: each ability's examples in the last stage, then each one's in the stages before."""
    import numpy as np

    rows = [[a.last.get(b, 0) for b in abilities] + [a.before.get(b, 0) for b in abilities] for a in amounts]
    return np.array(rows, dtype=float).reshape(len(rows), 2 * len(abilities))


def log_amounts(amounts: "np.ndarray", unit: float) -> "np.ndarray":
    """log(1 + n / unit): logarithms that have a place for nothing. `unit` is a study's smallest amount."""
    import numpy as np

    return np.log1p(amounts / unit)
