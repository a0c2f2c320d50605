"""Two processes, with whole weights and with sharded ones, against the padded batch that one process computes."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from padded_batches import batches, distances, padded, small_model
from training_processes import Ask, trainers

from mixgrid.runtime import TrainingRuntime
from mixgrid.tokens import Arrays

ONE, TWO, SHARDED = (
    TrainingRuntime(),
    TrainingRuntime(processes=2),
    TrainingRuntime(processes=2, sharding="full"),
)
ALONE = [(np.arange(5, dtype=np.int32), np.ones(5, bool))]


@pytest.fixture(
    scope="module",
    params=[("llama_grouped", ONE), ("llama_grouped", TWO), ("llama_grouped", SHARDED), ("llama_tied", SHARDED)],
    ids=["one", "two", "two sharded", "two sharded, tied"],
)
def group(request: pytest.FixtureRequest) -> Iterator[tuple[str, Ask]]:
    """An architecture, and processes that train a model of it."""
    architecture, runtime = request.param
    with trainers(architecture, runtime) as ask:
        yield architecture, ask


@settings(max_examples=15, deadline=None, derandomize=True)
@example(batch=ALONE, row_tokens=1)  # nothing is left for a second process
@given(batch=batches(most=9), row_tokens=st.integers(1, 250))
def test_batch_in_processes_has_the_padded_loss_and_gradients_on_each(
    group: tuple[str, Ask], batch: list[Arrays], row_tokens: int
) -> None:
    architecture, ask = group
    model = small_model(architecture, torch.float64)
    expected, gradients = padded(model, batch, "sdpa")
    for loss, ours in ask(batch, row_tokens=row_tokens):
        assert loss == pytest.approx(float(expected), rel=1e-5)
        named = [torch.from_numpy(ours[name]) for name, _ in model.named_parameters()]
        assert max(distances(named, gradients, floor=0.02)) <= 1e-5


@pytest.mark.parametrize("architecture", ["llama_grouped", "llama_tied"])
def test_sharded_weights_end_in_the_first_process_once_and_nowhere_else(architecture: str) -> None:
    weights = sum(p.nbytes for p in small_model(architecture, torch.float32).parameters())
    with trainers(architecture, SHARDED) as ask:
        first, second = (held for held, _ in ask([], row_tokens=0))
    assert first == pytest.approx(weights, rel=0.02)  # shards of unequal size are put together with a margin
    assert second == 0
