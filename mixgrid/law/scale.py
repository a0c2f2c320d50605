"""The scale on which a law is fitted, and back: differences there are alike in size wherever they lie.

    Scale(lower_is_better=True, top=1.0).bend([0.25])   ->  [log 0.25]             a loss
    Scale(lower_is_better=False, top=10.0).bend([5.0])  ->  [2 arcsin sqrt 0.5]    a score between 0 and `top`

On the second one the noise of n items is 1 / sqrt(n) whatever the rate, also near 0 and 1 (Anscombe 1948).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

SMALLEST_LOSS = 1e-4  # nats a token: below, two losses are the same


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Losses on a logarithmic scale, scores of `items` items up to `top` on the angular one."""

    lower_is_better: bool
    top: float = 1.0
    items: int = 100

    def bend(self, values: "np.ndarray") -> "np.ndarray":
        """Values on the law's scale."""
        import numpy as np

        angle = 2 * np.arcsin(np.sqrt(np.clip(values / self.top, 0, 1)))
        bent: np.ndarray = np.log(np.maximum(values, 0) + SMALLEST_LOSS) if self.lower_is_better else angle
        return bent

    def unbend(self, bent: "np.ndarray") -> "np.ndarray":
        """Back to scores or losses, inside what is possible."""
        import numpy as np

        score = self.top * np.sin(np.clip(bent, 0, np.pi) / 2) ** 2
        loss = np.maximum(np.exp(np.clip(bent, -50, 50)) - SMALLEST_LOSS, 0)
        values: np.ndarray = loss if self.lower_is_better else score
        return values

    def slope(self, values: "np.ndarray") -> "np.ndarray":
        """How much the bent value moves when the value moves by one; an error's size is multiplied with it."""
        import numpy as np

        share = (np.clip(values / self.top, 0, 1) * self.items + 0.5) / (self.items + 1)
        of_angle = 1 / np.sqrt(share * (1 - share)) / self.top
        slopes: np.ndarray = 1 / (np.maximum(values, 0) + SMALLEST_LOSS) if self.lower_is_better else of_angle
        return slopes

    def use(self, values: "np.ndarray") -> "np.ndarray":
        """What weights weigh, from 0 to 1: the share of `top`, or exp(-loss), a response token's mean probability."""
        import numpy as np

        uses: np.ndarray = np.exp(-values) if self.lower_is_better else values / self.top
        return uses


def scale_of(values: Iterable[float], *, lower_is_better: bool, items: int | None) -> Scale:
    """The scale for a measure's scores: `top` is the least of 1, 10, 100, ... that none of them exceeds."""
    highest = max((value for value in values), default=1.0)
    top = 10.0 ** max(0, math.ceil(math.log10(highest) - 1e-9)) if highest > 0 else 1.0
    return Scale(lower_is_better=lower_is_better, top=top, items=items or 100)
