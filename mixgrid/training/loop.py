"""The optimiser loop that pretraining and fine-tuning share.

curve = optimise(model, batches, recipe=recipe, total_steps=189, progress=progress)
    curve.loss[0] -> 4.81, the mean over the response tokens of the first global batch
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mixgrid.errors import StepError
from mixgrid.models import device
from mixgrid.progress import Progress
from mixgrid.recipe import Recipe, learning_rate_factor
from mixgrid.training.attention import Segments, use_segment_attention
from mixgrid.training.batches import Row

_REPORT_EVERY_S = 0.5


@dataclass
class Curve:
    """What each optimiser step did."""

    loss: list[float] = field(default_factory=list)
    learning_rate: list[float] = field(default_factory=list)
    response_tokens: list[int] = field(default_factory=list)
    tokens: int = 0
    seconds: float = 0.0

    def to_parquet(self, path: Any) -> None:
        """Write one row a step."""
        import pandas as pd

        columns = {"loss": self.loss, "learning_rate": self.learning_rate, "response_tokens": self.response_tokens}
        pd.DataFrame({"step": range(len(self.loss)), **columns}).to_parquet(path, index=False)


def summed_loss(model: Any, row: Row) -> Tensor:
    """Cross-entropy in nats, summed over the row's response tokens; logits are computed for those alone."""
    output = model(
        input_ids=row.tokens_1T,
        position_ids=row.positions_1T,
        segments=row.segments,
        logits_to_keep=row.places_N,
        use_cache=False,
    )
    logits_NV = output.logits[0]
    return cross_entropy(
        logits_NV.to(torch.promote_types(logits_NV.dtype, torch.float32)), row.targets_N, reduction="sum"
    )


def to_device(row: Row, device: Any) -> Row:
    """The row with its tensors on `device`."""
    segments = Segments(tuple(t.to(device) for t in row.segments.gather), row.segments.scatter.to(device))
    tensors = (t.to(device) for t in (row.tokens_1T, row.positions_1T))
    tokens, positions = tensors
    return Row(tokens, positions, segments, row.places_N.to(device), row.targets_N.to(device))


def optimise(
    model: Any, batches: Iterable[Sequence[Row]], *, recipe: Recipe, total_steps: int, progress: Progress
) -> Curve:
    """Train in place with AdamW, one optimiser step a global batch.

    The loss of a batch is the sum over its rows divided by its response tokens. On a CPU in fp32 with one number of
    threads, the same arguments give the same weights to the bit. Raises StepError when the loss is no longer finite.
    """
    from accelerate import Accelerator

    # not accelerate's: it keeps the first precision for the whole process, and a worker trains with many recipes
    accelerator = Accelerator(mixed_precision="no", cpu=device() == "cpu")
    use_segment_attention(model)
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=recipe.peak_learning_rate,
        betas=(recipe.adam_beta1, recipe.adam_beta2),
        eps=recipe.adam_epsilon,
        weight_decay=recipe.weight_decay,
        fused=True,
    )
    model, optimizer = accelerator.prepare(model, optimizer)
    model.train()
    curve, started, reported = Curve(), time.monotonic(), 0.0
    for step, rows in enumerate(batches):
        rate = recipe.peak_learning_rate * learning_rate_factor(recipe, step=step, total_steps=total_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        loss, targets = _step(model, rows, optimizer=optimizer, accelerator=accelerator, recipe=recipe)
        curve.loss.append(loss)
        curve.learning_rate.append(rate)
        curve.response_tokens.append(targets)
        curve.tokens += sum(row.tokens_1T.shape[1] for row in rows)
        curve.seconds = time.monotonic() - started
        if curve.seconds - reported > _REPORT_EVERY_S or step + 1 == total_steps:
            reported = curve.seconds
            speed = curve.tokens / curve.seconds
            progress((step + 1) / total_steps, f"step {step + 1}/{total_steps}, loss {loss:.3f}, {speed:,.0f} tokens/s")
    return curve


def _step(model: Any, rows: Sequence[Row], *, optimizer: Any, accelerator: Any, recipe: Recipe) -> tuple[float, int]:
    """One optimiser step on one global batch; returns its mean loss and its number of response tokens."""
    targets = sum(len(row.targets_N) for row in rows)
    total = 0.0
    for row in rows:
        with torch.autocast(accelerator.device.type, dtype=torch.bfloat16, enabled=recipe.precision == "bf16"):
            loss = summed_loss(model, to_device(row, accelerator.device)) / targets
        accelerator.backward(loss)
        total += loss.item()
    if not rows:
        return 0.0, 0
    if not total < float("inf"):
        raise StepError(f"the loss became {total}; lower peak_learning_rate or raise warmup_ratio")
    accelerator.clip_grad_norm_(model.parameters(), recipe.max_gradient_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return total, targets
