"""Which examples a step sees, and what training does with them; a plain padded torch loop is the oracle."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from mixgrid.errors import StepError
from mixgrid.progress import silent
from mixgrid.recipe import Recipe, learning_rate_factor
from mixgrid.tokens import Examples, MixedExamples
from mixgrid.training.batches import epoch_batches, example_order, flatten
from mixgrid.training.loop import optimise
from mixgrid.training.stage import train_stage

VOCABULARY = 23
RECIPE = Recipe(
    epochs=2, batch_size=4, peak_learning_rate=1e-2, warmup_ratio=0.3, schedule="cosine",
    weight_decay=0.1, max_gradient_norm=0.5, adam_beta2=0.95,
)  # fmt: skip


def _model() -> Any:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=VOCABULARY, **shape, num_key_value_heads=2, initializer_range=0.2)
    return LlamaForCausalLM(config)


def _mixture(examples: int, *, share: float = 0.5) -> MixedExamples:
    """Random examples of 5 to 29 tokens; the first one is fully masked."""
    random = np.random.default_rng(0)
    lengths = random.integers(5, 30, examples)
    masks = [random.random(n) < (share if i else 0.0) for i, n in enumerate(lengths)]
    tokens = random.integers(0, VOCABULARY, lengths.sum(), dtype=np.int32)
    source = Examples(tokens, np.concatenate(masks), np.cumsum([0, *lengths]))
    return MixedExamples([source], np.zeros(examples, np.int16), np.arange(examples))


def _weights(model: Any) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())


def _trained(*, seed: int = 0, recipe: Recipe = RECIPE, examples: int = 11) -> tuple[bytes, list[float]]:
    model = _model()
    _, curve = train_stage(model, _mixture(examples), recipe=recipe, seed=seed, progress=silent)
    return _weights(model), curve.loss


def _padded_step(model: Any, batch: list[tuple[Any, Any]]) -> torch.Tensor:
    shape = (len(batch), max(len(tokens) for tokens, _ in batch))
    ids, real, labels = torch.zeros(shape).long(), torch.zeros(shape).long(), torch.full(shape, -100)
    for row, (tokens, mask) in enumerate(batch):
        ids[row, : len(tokens)], real[row, : len(tokens)] = torch.tensor(tokens).long(), 1
        labels[row, : len(tokens)] = torch.tensor(np.where(mask, tokens, -100)).long()
    return model(input_ids=ids, attention_mask=real, labels=labels, use_cache=False).loss


def _plain_loop(model: Any, batches: list[Any], rates: list[float], mixture: MixedExamples) -> Iterator[float]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.0, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
    for batch, rate in zip(batches, rates, strict=True):
        optimizer.param_groups[0]["lr"] = rate
        loss = _padded_step(model, [mixture[int(i)] for i in batch])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
        optimizer.step()
        optimizer.zero_grad()
        yield loss.item()


def test_train_stage_follows_a_plain_padded_loop_step_by_step() -> None:
    mixture, model = _mixture(11), _model()
    reference = copy.deepcopy(model)
    batches = [batch for epoch in (0, 1) for batch in epoch_batches(11, batch_size=4, seed=7, epoch=epoch)]
    # 6 steps, the first ceil(0.3 * 6) = 2 of them warm-up; then a half cosine over 4: 1, cos^2(22.5 degrees), 1/2, ...
    rates = [0.01 * factor for factor in (0.5, 1.0, 1.0, 0.853553391, 0.5, 0.146446609)]
    expected = list(_plain_loop(reference, batches, rates, mixture))
    ledger, curve = train_stage(model, mixture, recipe=RECIPE, seed=7, progress=silent)
    assert curve.loss == pytest.approx(expected, rel=1e-4)
    assert curve.learning_rate == pytest.approx(rates, rel=1e-7)
    assert (ledger["examples"], ledger["steps"], ledger["fully_masked"]) == (11, 6, 1)
    assert ledger["response_tokens"] == 2 * sum(int(mixture[i][1][1:].sum()) for i in range(11))
    assert ledger["tokens"] == 2 * sum(len(mixture[i][0]) for i in range(1, 11))
    for name, theirs in reference.state_dict().items():
        assert float((model.state_dict()[name] - theirs).norm()) <= 1e-3 * float(theirs.norm())


def test_train_stage_twice_gives_the_same_weights_to_the_bit() -> None:
    torch.manual_seed(123)
    first = _trained()
    torch.manual_seed(456)
    np.random.seed(789)
    assert _trained() == first


@pytest.mark.parametrize("row_tokens", [1, 40, 70])
def test_optimise_with_a_batch_cut_into_rows_takes_the_steps_of_the_whole_batch(row_tokens: int) -> None:
    curves, batch, recipe = [], [_mixture(8)[i] for i in range(8)], RECIPE.model_copy(update={"adam_epsilon": 1e-3})
    for size in (row_tokens, 1000):
        batches = [flatten(batch, max_row_tokens=size)] * 5
        curves.append(optimise(_model(), batches, recipe=recipe, total_steps=5, progress=silent))
    assert curves[0].loss == pytest.approx(curves[1].loss, rel=1e-5)
    assert (curves[0].tokens, curves[0].response_tokens) == (curves[1].tokens, curves[1].response_tokens)


def test_train_stage_with_another_seed_gives_other_weights() -> None:
    assert _trained(seed=0)[0] != _trained(seed=1)[0]


def test_train_stage_in_either_precision_learns_alike_in_one_process() -> None:
    # a warm worker trains with one recipe after another
    expected = _trained()[1]
    half = _trained(recipe=RECIPE.model_copy(update={"precision": "bf16"}))[1]
    assert half == pytest.approx(expected, rel=0.02)
    assert half != expected
    assert _trained()[1] == expected


def test_train_stage_with_a_batch_of_fully_masked_examples_changes_no_weight() -> None:
    model = _model()
    before = _weights(model)
    ledger, curve = train_stage(model, _mixture(5, share=0.0), recipe=RECIPE, seed=0, progress=silent)
    assert _weights(model) == before
    assert (ledger["fully_masked"], ledger["tokens"], curve.response_tokens) == (5, 0, [0, 0, 0, 0])


def test_train_stage_whose_loss_explodes_says_what_to_change() -> None:
    recipe = RECIPE.model_copy(update={"peak_learning_rate": 1e30, "schedule": "constant"})
    with pytest.raises(StepError, match="peak_learning_rate"):
        _trained(recipe=recipe)


def test_train_stage_tells_its_progress_up_to_the_last_step() -> None:
    told: list[tuple[float, str]] = []
    train_stage(_model(), _mixture(11), recipe=RECIPE, seed=0, progress=lambda share, text: told.append((share, text)))
    assert told[-1][0] == 1.0
    assert "step 6/6" in told[-1][1]


def test_example_order_is_the_same_on_every_machine_and_day() -> None:
    # a pinned value: if it changes, so does every trained checkpoint
    assert example_order(6, seed=0, epoch=0).tolist() == [3, 2, 5, 4, 0, 1]
    assert example_order(6, seed=0, epoch=1).tolist() == [1, 4, 3, 0, 2, 5]


def test_example_order_differs_between_epochs_and_seeds() -> None:
    orders = {tuple(example_order(50, seed=seed, epoch=epoch).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@given(examples=st.integers(1, 200), size=st.integers(1, 64), seed=st.integers(0, 2**32), epoch=st.integers(0, 9))
def test_epoch_batches_cover_each_example_once(examples: int, size: int, seed: int, epoch: int) -> None:
    batches = [b.tolist() for b in epoch_batches(examples, batch_size=size, seed=seed, epoch=epoch)]
    assert sorted(i for batch in batches for i in batch) == list(range(examples))
    assert all(len(batch) == size for batch in batches[:-1])


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # 11 steps: ceil(0.25 * 11) = 3 of warm-up, 8 that fall
        ("constant", [1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("linear", [1 / 3, 2 / 3, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("cosine", [1 / 3, 2 / 3, 1, 1, 0.961940, 0.853553, 0.691342, 0.5, 0.308658, 0.146447, 0.038060]),
    ],
)
def test_learning_rate_factor_rises_then_falls_as_the_schedule_says(schedule: Any, expected: list[float]) -> None:
    recipe = RECIPE.model_copy(update={"warmup_ratio": 0.25, "schedule": schedule})
    assert [learning_rate_factor(recipe, step=s, total_steps=11) for s in range(11)] == pytest.approx(
        expected, abs=1e-6
    )


def test_learning_rate_factor_without_warm_up_starts_at_the_peak() -> None:
    recipe = RECIPE.model_copy(update={"warmup_ratio": 0.0})
    assert [learning_rate_factor(recipe, step=s, total_steps=2) for s in (0, 1)] == pytest.approx([1.0, 0.5])
