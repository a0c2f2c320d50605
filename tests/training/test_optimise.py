"""Which examples a step sees, and what training does with them; a plain padded torch loop is the oracle."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mixgrid.errors import StepError
from mixgrid.recipe import Recipe, learning_rate_factor
from mixgrid.runtime import TrainingRuntime
from mixgrid.tokens import Examples, MixedExamples
from mixgrid.training.order import example_order
from mixgrid.training.stage import train_stage

VOCABULARY = 23
RECIPE = Recipe(
    epochs=2, batch_size=4, peak_learning_rate=1e-2, warmup_ratio=0.3, schedule="cosine",
    weight_decay=0.1, max_gradient_norm=0.5, adam_beta2=0.95,
)  # fmt: skip


ENGINES = {"lean": 4, "general": 2}
"""Heads for keys and values: grouped-query attention has to take the general way."""


def _model(engine: str = "lean") -> Any:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=VOCABULARY, **shape, num_key_value_heads=ENGINES[engine], initializer_range=0.2)
    return LlamaForCausalLM(config)


def _mixture(examples: int, *, share: float = 0.5) -> MixedExamples:
    """Random examples of 5 to 29 tokens; the first one is fully masked."""
    random = np.random.default_rng(0)
    lengths = random.integers(5, 30, examples)
    masks = [random.random(n) < (share if i else 0.0) for i, n in enumerate(lengths)]
    tokens = random.integers(0, VOCABULARY, lengths.sum(), dtype=np.int32)
    source = Examples(tokens, np.concatenate(masks), np.cumsum([0, *lengths]), lengths == 29)
    return MixedExamples([source], np.zeros(examples, np.int16), np.arange(examples))


def _weights(model: Any) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in model.state_dict().values())


def _trained(engine: str = "lean", *, seed: int = 0, recipe: Recipe = RECIPE) -> tuple[bytes, list[float]]:
    model = _model(engine)
    trained = train_stage(model, _mixture(11), recipe=recipe, seed=seed)
    return _weights(model), trained.curve.loss


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


@pytest.mark.parametrize("engine", ENGINES)
def test_train_stage_follows_a_plain_padded_loop_step_by_step(engine: str) -> None:
    mixture, model = _mixture(11), _model(engine)
    reference = copy.deepcopy(model)
    orders = [example_order(11, seed=7, epoch=epoch) for epoch in (0, 1)]
    batches = [order[start : start + 4] for order in orders for start in (0, 4, 8)]
    # 6 steps, the first ceil(0.3 * 6) = 2 of them warm-up; then a half cosine over 4: 1, cos^2(22.5 degrees), 1/2, ...
    rates = [0.01 * factor for factor in (0.5, 1.0, 1.0, 0.853553391, 0.5, 0.146446609)]
    expected = list(_plain_loop(reference, batches, rates, mixture))
    trained = train_stage(model, mixture, recipe=RECIPE, seed=7)
    ledger = trained.ledger
    assert trained.curve.loss == pytest.approx(expected, rel=1e-4)
    assert trained.curve.learning_rate == pytest.approx(rates, rel=1e-7)
    assert (ledger["examples"], ledger["steps"], ledger["fully_masked"], ledger["dropped"]) == (11, 6, 1, 0)
    assert ledger["truncated"] == sum(len(mixture[i][0]) == 29 for i in range(11))
    assert ledger["response_tokens"] == 2 * sum(int(mixture[i][1][1:].sum()) for i in range(11))
    assert ledger["tokens"] == 2 * sum(len(mixture[i][0]) for i in range(1, 11))
    for name, theirs in reference.state_dict().items():
        assert float((model.state_dict()[name] - theirs).norm()) <= 1e-3 * float(theirs.norm())


@pytest.mark.parametrize("engine", ENGINES)
def test_train_stage_twice_gives_the_same_weights_to_the_bit(engine: str) -> None:
    torch.manual_seed(123)
    first = _trained(engine)
    torch.manual_seed(456)
    np.random.seed(789)
    assert _trained(engine) == first


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("row_tokens", [1, 40, 70])
def test_train_stage_with_batches_cut_into_rows_takes_the_steps_of_whole_batches(engine: str, row_tokens: int) -> None:
    recipe = RECIPE.model_copy(update={"adam_epsilon": 1e-3})
    runs = [
        train_stage(_model(engine), _mixture(11), recipe=recipe, seed=0, runtime=TrainingRuntime(row_tokens=tokens))
        for tokens in (row_tokens, 1000)
    ]
    assert runs[0].curve.loss == pytest.approx(runs[1].curve.loss, rel=1e-5)
    assert runs[0].curve.response_tokens == runs[1].curve.response_tokens


def test_train_stage_with_another_seed_gives_other_weights() -> None:
    assert _trained(seed=0)[0] != _trained(seed=1)[0]


@pytest.mark.parametrize("engine", ENGINES)
def test_train_stage_in_either_precision_learns_alike_in_one_process(engine: str) -> None:
    # a warm worker trains with one recipe after another
    expected = _trained(engine)[1]
    half = _trained(engine, recipe=RECIPE.model_copy(update={"precision": "bf16"}))[1]
    assert half == pytest.approx(expected, rel=0.02)
    assert half != expected
    assert _trained(engine)[1] == expected


def test_train_stage_with_a_batch_of_fully_masked_examples_changes_no_weight() -> None:
    model = _model()
    before = _weights(model)
    trained = train_stage(model, _mixture(5, share=0.0), recipe=RECIPE, seed=0)
    assert _weights(model) == before
    assert (trained.ledger["fully_masked"], trained.ledger["tokens"]) == (5, 0)
    assert trained.curve.response_tokens == [0, 0, 0, 0]


def test_train_stage_whose_loss_explodes_says_what_to_change() -> None:
    recipe = RECIPE.model_copy(update={"peak_learning_rate": 1e30, "schedule": "constant"})
    with pytest.raises(StepError, match="peak_learning_rate"):
        _trained(recipe=recipe)


def test_train_stage_tells_its_progress_up_to_the_last_step() -> None:
    told: list[tuple[float, str]] = []
    train_stage(_model(), _mixture(11), recipe=RECIPE, seed=0, progress=lambda share, text: told.append((share, text)))
    assert told[-1][0] == 1.0
    assert "step 6/6" in told[-1][1]


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
