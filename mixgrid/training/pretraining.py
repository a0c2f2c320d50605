"""Pretraining of the lab's tiny models on raw text: rows of one long token stream, loss on every token.

pretrain(model, tokenizer, Pretraining(text=LabText(documents=8000), steps=1500, batch_size=16, ...), progress=...)
    -> {"steps": 1500, "tokens": 3072000, "final_loss": 0.71, "tokens_per_second": 24000.0}
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mixgrid.errors import StepError
from mixgrid.lab.text import pretraining_documents
from mixgrid.progress import Progress
from mixgrid.recipe import Recipe
from mixgrid.training.batches import Row, example_order, flatten
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
        warmup_ratio=settings.warmup_ratio,
        schedule="cosine",
        adam_beta2=settings.adam_beta2,
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
    """The stream cut into rows, each one segment; shuffled anew each time all have been read."""
    length, size = settings.sequence_length, settings.batch_size
    rows = stream[: len(stream) // length * length].reshape(-1, length).astype(np.int32)
    if len(rows) < size:
        raise StepError(
            f"the pretraining text has {len(rows)} rows of {length} tokens, fewer than a batch of {size}; give it more "
            "documents, or shorter or fewer rows a batch"
        )
    everything = np.ones(length, dtype=bool)
    order = np.empty(0, dtype=np.int64)
    for step in range(settings.steps):
        if len(order) < size:
            epoch = example_order(len(rows), seed=settings.text.seed, epoch=step)
            order = np.concatenate([order, epoch])
        batch, order = order[:size], order[size:]
        yield flatten([(rows[i], everything) for i in batch], max_row_tokens=size * length)
