"""Pretraining of the lab's tiny models on raw text: rows of one long token stream, loss on every token.

pretrain(model, tokenizer, Pretraining(text=LabText(documents=8000), steps=1500, batch_size=16, ...), progress=...)
    -> {"steps": 1500, "tokens": 3072000, "final_loss": 0.71, "tokens_per_second": 49000.0}
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixgrid.errors import StepError
from mixgrid.lab.text import pretraining_documents
from mixgrid.progress import Progress
from mixgrid.recipe import Budget, Recipe
from mixgrid.runtime import DEFAULT, TrainingRuntime
from mixgrid.training.batches import Weighted, weigh
from mixgrid.training.engine import make_engine
from mixgrid.training.loop import optimise
from mixgrid.training.order import example_order
from mixgrid.training.snapshots import Snapshots

if TYPE_CHECKING:
    from mixgrid.steps.base import Pretraining


def pretrain(
    model: Any,
    tokenizer: Any,
    settings: "Pretraining",
    *,
    progress: Progress,
    runtime: TrainingRuntime = DEFAULT,
    snapshots: Snapshots | None = None,
) -> dict[str, Any]:
    """Train `model` in place; return the ledger."""
    documents = pretraining_documents(documents=settings.text.documents, seed=settings.text.seed)
    encoded = tokenizer(documents, add_special_tokens=False)["input_ids"]
    stream = np.concatenate([[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id] for ids in encoded])
    recipe = Recipe(
        budget=Budget(steps=settings.steps),
        batch_size=settings.batch_size,
        peak_learning_rate=settings.peak_learning_rate,
        warmup_ratio=settings.warmup_ratio,
        schedule="cosine",
        adam_beta2=settings.adam_beta2,
    )
    engine = make_engine(
        model, recipe=recipe, runtime=runtime, longest=settings.sequence_length, seed=settings.text.seed
    )
    batches = _Rows(stream, settings)
    curve = optimise(engine, batches, recipe=recipe, total_steps=settings.steps, snapshots=snapshots, progress=progress)
    engine.write_back()
    return {
        "steps": len(curve.loss),
        "tokens": curve.tokens,
        "final_loss": curve.final_loss,
        "seconds": round(curve.seconds, 3),
        "tokens_per_second": round(curve.tokens_per_second, 1),
    }


class _Rows:
    """The stream cut into rows, each one example; shuffled anew each time all have been read."""

    def __init__(self, stream: NDArray[np.int64], settings: "Pretraining") -> None:
        length, self._size = settings.sequence_length, settings.batch_size
        self._rows = stream[: len(stream) // length * length].reshape(-1, length).astype(np.int32)
        if len(self._rows) < self._size:
            raise StepError(
                f"the pretraining text has {len(self._rows)} rows of {length} tokens, fewer than a batch of "
                f"{self._size}; give it more documents, or shorter or fewer rows a batch"
            )
        self._everything = np.ones(length, dtype=bool)
        self._order = self._shuffled(settings)

    def _shuffled(self, settings: "Pretraining") -> NDArray[np.int64]:
        """The rows of all steps. A new epoch is drawn when too few rows are left, and named after the step."""
        order: list[NDArray[np.int64]] = []
        drawn = 0
        for step in range(settings.steps):
            if drawn < (step + 1) * self._size:
                order.append(example_order(len(self._rows), seed=settings.text.seed, epoch=step))
                drawn += len(self._rows)
        return np.concatenate(order)

    def __call__(self, step: int) -> Sequence[Weighted]:
        numbers = self._order[step * self._size : (step + 1) * self._size]
        return weigh([(self._rows[i], self._everything) for i in numbers])
