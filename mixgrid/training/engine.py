"""Engines: who computes the gradients of a global batch and applies them. The loop knows no more than this.

    engine = make_engine(model, recipe=recipe, runtime=DEFAULT, longest=300, seed=0)
    loss = engine.accumulate(engine.prepare(batch), step=0)     # the batch's loss, over all processes
    engine.update(rate=1e-3)
    engine.write_back()                         # the trained weights are in `model`

There are two: `LeanEngine` for a plain LLaMA in fp32 in one CPU process, `GeneralEngine` for everything else (frozen
weights, as under adapters, are something else).
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from mixgrid.models import device
from mixgrid.recipe import Recipe
from mixgrid.runtime import TrainingRuntime
from mixgrid.training.batches import Prepared, Weighted

State = dict[str, dict[str, Tensor]]
"""Kind ("weights", "exp_avg", "exp_avg_sq") -> parameter's name -> tensor, in the model's own layout."""
MOMENTS = ("exp_avg", "exp_avg_sq")


class Engine(Protocol):
    """One training run's weights, gradients and optimiser."""

    device: torch.device
    main: bool
    """Whether this process speaks for all: reports, writes the checkpoint."""
    updates: int
    """Optimiser updates so far: AdamW's own count."""
    row_tokens: int
    """Tokens that are computed at once, at most (an example that is longer has a row of its own)."""
    estimated_bytes: int
    """The peak that was expected on this process's device."""

    def prepare(self, batch: Sequence[Weighted]) -> Prepared:
        """Cut the batch, which every process gives whole, into rows: at any time before, in any thread."""
        ...

    def accumulate(self, prepared: Prepared, *, step: int) -> float:
        """The batch's loss, over all processes; its gradients are added."""
        ...

    def update(self, *, rate: float) -> None:
        """Clip, one AdamW update, gradients back to zero."""
        ...

    def state(self) -> State:
        """Weights that train, and the optimiser's moments: tensors to save, or to load into."""
        ...

    def load(self, state: State, *, updates: int) -> None:
        """Go on from a state that `state` gave."""
        ...

    def write_back(self) -> None:
        """Put the trained weights into the model, whole, on the process that is `main`."""
        ...


def make_engine(model: Any, *, recipe: Recipe, runtime: TrainingRuntime, longest: int, seed: int) -> Engine:
    """The engine that suits the model, the device and the number of processes; `longest`: tokens of an example."""
    from mixgrid.training.lean_engine import LONGEST, LeanEngine, fits

    alone = runtime.processes == 1 and not runtime.compile and recipe.precision == "fp32"
    alone = alone and runtime.activation_checkpointing is not True  # a step of the lean way keeps all
    if alone and device() == "cpu" and longest <= LONGEST and fits(model) is None:
        return LeanEngine(model, recipe=recipe, runtime=runtime, longest=longest)
    from mixgrid.training.general_engine import GeneralEngine

    return GeneralEngine(model, recipe=recipe, runtime=runtime, longest=longest, seed=seed)
