"""Pretraining of the lab's tiny models on raw text: windows of one long token stream, loss on every token.

pretrain(model, tokenizer, Pretraining(text=LabText(documents=8000), steps=1500, batch_size=16, ...), progress=...)
    -> {"steps": 1500, "tokens": 3072000, "final_loss": 0.71, "tokens_per_second": 24000.0}
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixgrid.lab.text import pretraining_documents
from mixgrid.progress import Progress
from mixgrid.recipe import Recipe
from mixgrid.training.batches import Row, flatten
from mixgrid.training.loop import optimise

if TYPE_CHECKING:
    from mixgrid.steps.base import Pretraining


def pretrain(model: Any, tokenizer: Any, settings: "Pretraining", *, progress: Progress) -> dict[str, Any]:
    """Train `model` in place; return the ledger."""
    documents = pretraining_documents(documents=settings.text.documents, seed=settings.text.seed)
    encoded = tokenizer(documents, add_special_tokens=False)["input_ids"]
    stream = np.concatenate([[tokenizer.bos_token_id, *ids, tokenizer.eos_token_id] for ids in encoded])
    recipe = Recipe(
        epochs=1,
        batch_size=settings.batch_size,
        peak_learning_rate=settings.peak_learning_rate,
        warmup_ratio=0.03,
        schedule="cosine",
    )
    curve = optimise(model, _batches(stream, settings), recipe=recipe, total_steps=settings.steps, progress=progress)
    return {
        "steps": len(curve.loss),
        "tokens": curve.tokens,
        "final_loss": curve.loss[-1],
        "seconds": round(curve.seconds, 3),
        "tokens_per_second": round(curve.tokens / curve.seconds, 1),
    }


def _batches(stream: NDArray[np.int64], settings: "Pretraining") -> Iterator[list[Row]]:
    """Windows at random places of the stream, each one segment of a row."""
    draw = np.random.Generator(np.random.PCG64(settings.text.seed))
    length = settings.sequence_length
    everything = np.ones(length, dtype=bool)
    for _ in range(settings.steps):
        starts = draw.integers(0, len(stream) - length, size=settings.batch_size)
        windows = [(stream[s : s + length].astype(np.int32), everything) for s in starts]
        yield flatten(windows, max_row_tokens=settings.batch_size * length)
