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
from mixgrid.training.batches import Prepared, Weighted
from mixgrid.training.curve import Curve
from mixgrid.training.engine import Engine
from mixgrid.training.snapshots import Snapshots

Batches = Callable[[int], Sequence[Weighted]]
REPORT_EVERY_S = 0.5
PREPARED_TOKENS = 4096
"""Tokens of the batches that are prepared at once on a CPU."""


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
    for step, prepared in zip(steps, _prepared(engine, batch_of, steps), strict=True):
        rate = recipe.peak_learning_rate * learning_rate_factor(recipe, step=step, total_steps=total_steps)
        curve.add(prepared.batch, loss=_update(engine, prepared, step=step, rate=rate), rate=rate)
        now = time.monotonic()
        curve.seconds = before + now - started
        if now - reported > REPORT_EVERY_S or step + 1 == end:
            reported = now
            progress((step + 1) / total_steps, _report(curve, total_steps))
        if snapshots and step + 1 < end and snapshots.due(step + 1):
            snapshots.save(engine, curve)
    return curve


def _prepared(engine: Engine, batch_of: Batches, steps: range) -> Iterator[Prepared]:
    """The batches of `steps`, cut into rows. An accelerator leaves the CPU idle; a CPU that trains has no time."""

    def prepare(step: int) -> Prepared:
        return engine.prepare(batch_of(step))

    return prepared_in_groups(prepare, steps) if engine.device.type == "cpu" else prefetched(prepare, steps)


def _update(engine: Engine, prepared: Prepared, *, step: int, rate: float) -> float:
    """One optimiser step; returns the batch's loss."""
    if not prepared.batch:
        return 0.0
    loss = engine.accumulate(prepared, step=step)
    if not loss < float("inf"):
        raise StepError(f"the loss became {loss} at step {step}; lower peak_learning_rate or raise warmup_ratio")
    engine.update(rate=rate)
    return loss


def _report(curve: Curve, total_steps: int) -> str:
    speed = f"{curve.tokens_per_second:,.0f} tokens/s"
    return f"step {len(curve.loss)}/{total_steps}, loss {curve.loss[-1]:.3f}, {speed}"


def prepared_in_groups(
    prepare: Callable[[int], Prepared], steps: range, *, tokens: int = PREPARED_TOKENS
) -> Iterator[Prepared]:
    """The batches of `steps`, prepared until they have `tokens`: between a tiny model's steps it finds caches cold.

    Raises what preparing raises, once the batches before have been given.
    """
    ready: list[Prepared] = []
    for step in steps:
        try:
            ready.append(prepare(step))
        except Exception:
            yield from ready
            raise
        if sum(e.length for prepared in ready for e in prepared.batch) >= tokens or step == steps[-1]:
            yield from ready
            ready = []


def prefetched(prepare: Callable[[int], Prepared], steps: range) -> Iterator[Prepared]:
    """The batches of `steps`, the next one prepared while one is computed; raises what preparing raises."""
    with ThreadPoolExecutor(1, thread_name_prefix="mixgrid-prefetch") as pool:
        ahead = pool.submit(prepare, steps[0]) if steps else None
        for step in steps:
            assert ahead is not None
            prepared = ahead.result()
            if step + 1 in steps:
                ahead = pool.submit(prepare, step + 1)
            yield prepared
