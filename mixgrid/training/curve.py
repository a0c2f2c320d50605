"""What each optimiser step of a training did: kept as the loss curve, and carried from snapshot to snapshot.

curve.loss[0] -> 4.81, the weighted mean over the response tokens of the first global batch
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from mixgrid.training.batches import Weighted


@dataclass
class Curve:
    """One entry a step; the rest are sums over all steps. `squares` sums each example's squared length."""

    loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    response_tokens: list[int] = field(default_factory=list)
    tokens: int = 0
    squares: int = 0
    seconds: float = 0.0

    def add(self, batch: Sequence[Weighted], *, loss: float, rate: float) -> None:
        """One more step."""
        self.loss.append(loss)
        self.learning_rate.append(rate)
        self.response_tokens.append(sum(e.targets for e in batch))
        self.tokens += sum(e.length for e in batch)
        self.squares += sum(e.length**2 for e in batch)

    @property
    def tokens_per_second(self) -> float:
        """Tokens that were computed, prompt and response, in the time of the steps."""
        return self.tokens / self.seconds if self.seconds else 0.0

    @property
    def final_loss(self) -> float | None:
        """The loss of the last step that had a response token."""
        losses = zip(reversed(self.loss), reversed(self.response_tokens), strict=True)
        return next((loss for loss, tokens in losses if tokens), None)

    def to_parquet(self, path: Path) -> None:
        """Write one row a step."""
        import pandas as pd

        columns = {"loss": self.loss, "learning_rate": self.learning_rate, "response_tokens": self.response_tokens}
        pd.DataFrame({"step": range(len(self.loss)), **columns}).to_parquet(path, index=False)

    def to_json(self, path: Path) -> None:
        """Write all of it."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def from_json(cls, path: Path) -> "Curve":
        """Read what `to_json` wrote: every float as it was."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
