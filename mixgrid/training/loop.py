"""The optimiser loop that pretraining and fine-tuning share.

    curve = optimise(engine, batch_of, recipe=recipe, total_steps=189, progress=progress)
        curve.loss[0] -> 4.81, the mean over the response tokens of the first global batch

`batch_of(step)` is a function of the step alone, so a run that goes on from a snapshot sees the same batches.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

from mixgrid.errors import StepError
from mixgrid.progress import Progress
from mixgrid.recipe import Recipe, learning_rate_factor
from mixgrid.training.batches import Weighted
from mixgrid.training.curve import Curve
from mixgrid.training.engine import Engine
from mixgrid.training.snapshots import Snapshots

Batches = Callable[[int], Sequence[Weighted]]
REPORT_EVERY_S = 0.5


def optimise(
    engine: Engine,
    batch_of: Batches,
    *,
    recipe: Recipe,
    total_steps: int,
    progress: Progress,
    until: int | None = None,
    snapshots: Snapshots | None = None,
) -> Curve:
    """Train with AdamW up to step `until` (all by default), one optimiser update a global batch.

    A batch without a response token is a step without an update. On a CPU in fp32 with one number of threads, the same
    arguments give the same weights to the bit, however often the training was interrupted. Raises StepError when the
    loss is no longer finite.
    """
    torch.set_flush_denormal(True)
    try:
        end = total_steps if until is None else until
        return _steps(
            engine, batch_of, recipe=recipe, end=end, total_steps=total_steps, snapshots=snapshots, progress=progress
        )
    finally:
        torch.set_flush_denormal(False)


def _steps(
    engine: Engine,
    batch_of: Batches,
    *,
    recipe: Recipe,
    end: int,
    total_steps: int,
    snapshots: Snapshots | None,
    progress: Progress,
) -> Curve:
    curve = snapshots.restore(engine, most=end) if snapshots else Curve()
    before, first = curve.seconds, len(curve.loss)
    started = reported = time.monotonic()
    steps = range(first, end)
    # an accelerator leaves the CPU idle; a CPU that trains has nothing to spare
    batches = map(batch_of, steps) if engine.device.type == "cpu" else prefetched(batch_of, steps)
    for step, batch in zip(steps, batches, strict=True):
        rate = recipe.peak_learning_rate * learning_rate_factor(recipe, step=step, total_steps=total_steps)
        curve.add(batch, loss=_update(engine, batch, step=step, rate=rate), rate=rate)
        now = time.monotonic()
        curve.seconds = before + now - started
        if now - reported > REPORT_EVERY_S or step + 1 == end:
            reported = now
            progress((step + 1) / total_steps, _report(curve, total_steps))
        if snapshots and step + 1 < end and snapshots.due(step + 1):
            snapshots.save(engine, curve)
    return curve


def _update(engine: Engine, batch: Sequence[Weighted], *, step: int, rate: float) -> float:
    """One optimiser step; returns the batch's loss."""
    if not batch:
        return 0.0
    loss = engine.accumulate(batch, step=step)
    if not loss < float("inf"):
        raise StepError(f"the loss became {loss} at step {step}; lower peak_learning_rate or raise warmup_ratio")
    engine.update(rate=rate)
    return loss


def _report(curve: Curve, total_steps: int) -> str:
    speed = f"{curve.tokens_per_second:,.0f} tokens/s"
    return f"step {len(curve.loss)}/{total_steps}, loss {curve.loss[-1]:.3f}, {speed}"


def prefetched(batch_of: Batches, steps: range) -> Iterator[Sequence[Weighted]]:
    """The batches of `steps`, the next one read from disk while one is computed; raises what reading raises."""
    with ThreadPoolExecutor(1, thread_name_prefix="mixgrid-prefetch") as pool:
        ahead = pool.submit(batch_of, steps[0]) if steps else None
        for step in steps:
            assert ahead is not None
            batch = ahead.result()
            if step + 1 in steps:
                ahead = pool.submit(batch_of, step + 1)
            yield batch
