"""One stage of supervised fine-tuning: a mixture, a recipe, a seed.

trained = train_stage(model, examples, recipe=recipe, seed=0, progress=progress)
    trained.ledger -> {"examples": 1000, "steps": 189, "tokens": 183702, "tokens_per_second": 52100.0, ...}
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from mixgrid.progress import Progress, silent
from mixgrid.recipe import Recipe
from mixgrid.runtime import DEFAULT, TrainingRuntime
from mixgrid.tokens import MixedExamples
from mixgrid.training.adapters import with_adapter
from mixgrid.training.batches import Weighted, weigh
from mixgrid.training.curve import Curve
from mixgrid.training.engine import Engine, make_engine
from mixgrid.training.flops import model_flops, utilisation
from mixgrid.training.loop import optimise
from mixgrid.training.order import BatchOrder
from mixgrid.training.peak import PeakMemory
from mixgrid.training.snapshots import Snapshots


@dataclass(frozen=True)
class Trained:
    """The model with its new weights (on the process that is `main`), and what the training did."""

    model: Any
    ledger: dict[str, Any]
    curve: Curve
    main: bool


def train_stage(
    model: Any,
    examples: MixedExamples,
    *,
    recipe: Recipe,
    seed: int,
    until: Fraction = Fraction(1),
    runtime: TrainingRuntime = DEFAULT,
    snapshots: Snapshots | None = None,
    progress: Progress = silent,
) -> Trained:
    """Train `model` in place for the recipe's epochs or budget, or the first `until` of its steps.

    With snapshots, goes on from the newest, and leaves one where `until` ends it, for whoever trains the rest.
    """
    order = BatchOrder(examples=len(examples), recipe=recipe, seed=seed)
    adapted = with_adapter(model, recipe.adapter, seed=seed) if recipe.adapter else None
    model = adapted.get_base_model() if adapted else model
    engine = make_engine(model, recipe=recipe, runtime=runtime, longest=examples.longest, seed=seed)
    gib = engine.estimated_bytes / 2**30
    progress(0.0, f"needs about {gib:.2f} GiB a process, computes {engine.row_tokens:,} tokens at once")

    def batch_of(step: int) -> Sequence[Weighted]:
        return weigh([examples[int(i)] for i in order.batch(step)], average=recipe.loss_average)

    with PeakMemory(engine.device) as peak:
        curve = optimise(
            engine, batch_of, recipe=recipe, total_steps=order.total_steps, until=order.steps_until(until),
            snapshots=snapshots, progress=progress,
        )  # fmt: skip
    if snapshots and until < 1:
        snapshots.save(engine, curve)
    flops = model_flops(model, curve)
    engine.write_back()
    ledger = {
        **_counts(examples, order, curve),
        **_speed(engine, curve, flops, recipe=recipe, runtime=runtime),
        "peak_memory_bytes": peak.bytes,
    }
    # elsewhere than on the main process sharded weights are gone
    return Trained(adapted.merge_and_unload() if adapted and engine.main else model, ledger, curve, engine.main)


def _counts(examples: MixedExamples, order: BatchOrder, curve: Curve) -> dict[str, Any]:
    """Of the mixture: all examples, those that no step saw (a budget below an epoch), cut ones, ones without loss."""
    seen = np.unique(np.concatenate([order.batch(s) for s in range(min(len(curve.loss), order.steps_an_epoch))]))
    return {
        "examples": len(examples),
        "dropped": len(examples) - len(seen),
        "truncated": examples.count_truncated(),
        "fully_masked": examples.count_fully_masked(),
        "steps": len(curve.loss),
        "tokens": curve.tokens,
        "response_tokens": sum(curve.response_tokens),
        "final_loss": curve.final_loss,
    }


def _speed(engine: Engine, curve: Curve, flops: float, *, recipe: Recipe, runtime: TrainingRuntime) -> dict[str, Any]:
    processes = runtime.processes
    share = utilisation(
        flops, seconds=curve.seconds, processes=processes, device=engine.device, half=recipe.precision == "bf16"
    )
    return {
        "seconds": round(curve.seconds, 3),
        "tokens_per_second": round(curve.tokens_per_second, 1),
        "flops": flops,
        "model_flops_utilisation": share,
        "device": engine.device.type,
        "processes": processes,
        "row_tokens": engine.row_tokens,
        "estimated_memory_bytes": engine.estimated_bytes,
    }
