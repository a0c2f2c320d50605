"""Flattened rows against transformers' own padded batches: the same loss and the same gradients, whatever the rows."""

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from padded_batches import VOCABULARY, batches, distances, padded, small_model

from mixgrid.tokens import Arrays
from mixgrid.training.attention import use_segment_attention
from mixgrid.training.batches import flatten, rows_of, weigh
from mixgrid.training.lean_engine import fits
from mixgrid.training.lean_llama import LeanLlama
from mixgrid.training.loss import ResponseLoss
from mixgrid.training.probe import has_plain_head


def _flattened(model: Any, batch: list[Arrays], row_tokens: int) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Any model's way: autograd."""
    use_segment_attention(model)
    rows = flatten(batch, max_row_tokens=row_tokens)
    wrapped = ResponseLoss(model, plain_head=has_plain_head(model))
    loss = torch.stack([wrapped(row) for row in rows]).sum()
    return loss.detach(), list(torch.autograd.grad(loss, list(model.parameters())))


def _lean(
    model: Any, batch: list[Arrays], row_tokens: int, *, multiple: int = 1
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """A plain LLaMA's way on a CPU: written out."""
    model = copy.deepcopy(model)
    assert fits(model) is None
    lean, rows = LeanLlama(model), rows_of(weigh(batch), max_row_tokens=row_tokens, multiple=multiple)
    loss = torch.stack([lean.accumulate(row) for row in rows]).sum()
    gradients = dict(lean.flat.named(lean.gradients))
    return loss, [gradients[name] for name, _ in model.named_parameters()]


WAYS = [(_flattened, "llama"), (_flattened, "llama_grouped"), (_lean, "llama"), (_lean, "llama_tied")]


@pytest.mark.parametrize(("way", "architecture"), [*WAYS, (_flattened, "gpt_neox")])
@settings(max_examples=25, deadline=None)
@given(batch=batches(), row_tokens=st.integers(1, 250))
def test_flattened_batch_in_double_precision_has_the_padded_loss_and_gradients(
    way: Any, architecture: str, batch: list[Arrays], row_tokens: int
) -> None:
    model = small_model(architecture, torch.float64)
    expected, gradients = padded(model, batch, "sdpa")
    loss, ours = way(model, batch, row_tokens)
    assert float(loss) == pytest.approx(float(expected), rel=1e-10)
    assert max(distances(ours, gradients)) <= 1e-10


@pytest.mark.parametrize(("way", "architecture"), WAYS)
@settings(max_examples=25, deadline=None)
@given(batch=batches(), row_tokens=st.integers(1, 250))
def test_flattened_batch_in_single_precision_has_the_padded_loss_and_gradients(
    way: Any, architecture: str, batch: list[Arrays], row_tokens: int
) -> None:
    model = small_model(architecture, torch.float32)
    expected, gradients = padded(model, batch, "eager")
    loss, ours = way(model, batch, row_tokens)
    assert float(loss) == pytest.approx(float(expected), rel=1e-5)
    # small gradients of queries and keys are differences of large numbers; the written-out passes round them by more
    floor = 0.05 if way is _lean else 0.02
    assert max(distances(ours, gradients, floor=floor)) <= 1e-5


@pytest.mark.parametrize(("way", "architecture"), [(_flattened, "llama_grouped"), (_lean, "llama")])
@settings(max_examples=10, deadline=None)
@given(batch=batches(), row_tokens=st.lists(st.integers(1, 250), min_size=2, max_size=2))
def test_flattened_batch_cut_into_other_rows_has_the_same_loss_and_gradients(
    way: Any, architecture: str, batch: list[Arrays], row_tokens: list[int]
) -> None:
    model = small_model(architecture, torch.float64)
    (loss, gradients), (other, others) = (way(model, batch, size) for size in row_tokens)
    assert float(loss) == pytest.approx(float(other), rel=1e-10)
    assert max(distances(gradients, others)) <= 1e-10


@pytest.mark.parametrize("multiple", [1, 16])
@pytest.mark.parametrize("row_tokens", [1, 420, 2000])
def test_long_examples_whose_queries_come_in_blocks_have_the_padded_loss_and_gradients(
    row_tokens: int, multiple: int
) -> None:
    random = np.random.default_rng(0)
    batch = [
        (random.integers(0, VOCABULARY, n, dtype=np.int32), (random.random(n) < 0.6) & (np.arange(n) >= prompt))
        for n, prompt in ((700, 0), (640, 500), (210, 190), (210, 0), (120, 60), (30, 0))
    ]
    model = small_model("llama", torch.float64)
    expected, gradients = padded(model, batch, "sdpa")
    loss, ours = _lean(model, batch, row_tokens, multiple=multiple)
    assert float(loss) == pytest.approx(float(expected), rel=1e-10)
    assert max(distances(ours, gradients)) <= 1e-10


@settings(max_examples=25, deadline=None)
@given(batch=batches(), row_tokens=st.integers(1, 250))
def test_flatten_keeps_examples_whole_in_order_and_within_the_budget(batch: list[Arrays], row_tokens: int) -> None:
    rows = flatten(batch, max_row_tokens=row_tokens)
    taught = [(tokens, mask) for tokens, mask in batch if mask[1:].any()]
    tokens = torch.cat([row.tokens_1T[0] for row in rows]).tolist()
    targets = torch.cat([row.targets_N for row in rows]).tolist()
    assert tokens == [int(t) for ids, _ in taught for t in ids]
    assert targets == [int(t) for ids, mask in taught for t in ids[1:][mask[1:]]]
    longest = max(len(ids) for ids, _ in taught)
    assert all(row.tokens_1T.shape[1] <= max(row_tokens, longest) for row in rows)


def test_flatten_of_fully_masked_examples_computes_nothing() -> None:
    # a mask on the first token alone teaches nothing either: no token comes before it
    first_only = np.arange(4) == 0
    batch = [(np.arange(4, dtype=np.int32), np.zeros(4, bool)), (np.arange(4, dtype=np.int32), first_only)]
    assert flatten(batch, max_row_tokens=100) == []
