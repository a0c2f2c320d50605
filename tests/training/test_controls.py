"""The controls the paper lacks: a loss averaged an example, adapters, budgets; by hand or against plain torch."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mixgrid.errors import InputError
from mixgrid.recipe import Adapter, Budget, Recipe
from mixgrid.tokens import MixedExamples
from mixgrid.training.batches import flatten, weigh
from mixgrid.training.stage import train_stage

RECIPE = Recipe(epochs=2, batch_size=3, peak_learning_rate=1e-2, warmup_ratio=0.0, schedule="constant")
LORA = RECIPE.model_copy(update={"adapter": Adapter(name="lora", rank=4)})


def _model() -> Any:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    return LlamaForCausalLM(LlamaConfig(vocab_size=23, **shape, initializer_range=0.2))


def _examples(*responses: int) -> list[tuple[Any, Any]]:
    """Examples of 6 tokens each, whose last tokens are trained on."""
    random = np.random.default_rng(0)
    return [(random.integers(0, 23, 6, dtype=np.int32), np.arange(6) >= 6 - n) for n in responses]


def test_weights_of_a_token_average_are_equal_and_sum_to_one() -> None:
    assert [e.weight for e in weigh(_examples(1, 3, 0), average="token")] == [1 / 4, 1 / 4]


def test_weights_of_an_example_average_give_each_example_the_same_share() -> None:
    # two examples with a response: half the loss each, over 1 and over 3 tokens
    assert [(e.weight, e.targets) for e in weigh(_examples(1, 3, 0), average="example")] == [(1 / 2, 1), (1 / 6, 3)]


def test_loss_averaged_an_example_is_the_mean_of_the_examples_own_losses() -> None:
    examples = _examples(1, 4)
    recipe = RECIPE.model_copy(update={"loss_average": "example"})
    first = train_stage(_model(), MixedExamples.in_memory(examples), recipe=recipe, seed=0).curve.loss[0]
    alone = []
    for tokens, mask in examples:
        labels = torch.from_numpy(np.where(mask, tokens, -100)).long()[None]
        with torch.no_grad():
            alone.append(float(_model()(torch.from_numpy(tokens).long()[None], labels=labels).loss))
    assert first == pytest.approx(sum(alone) / 2, rel=1e-5)


def test_flattened_weights_stand_beside_the_tokens_they_weigh() -> None:
    (row,) = flatten(_examples(2, 1), max_row_tokens=99, average="example")
    assert row.weights_N.tolist() == [1 / 4, 1 / 4, 1 / 2]
    assert row.places_N.tolist() == [3, 4, 10]


def test_budget_below_an_epoch_counts_what_no_step_saw() -> None:
    recipe = RECIPE.changed({"budget": Budget(examples=4)})
    trained = train_stage(_model(), MixedExamples.in_memory(_examples(*[2] * 10)), recipe=recipe, seed=0)
    assert (trained.ledger["examples"], trained.ledger["dropped"], trained.ledger["steps"]) == (10, 6, 2)


def test_adapter_leaves_a_plain_checkpoint_whose_change_has_its_rank() -> None:
    before, model = _model(), _model()
    merged = train_stage(model, MixedExamples.in_memory(_examples(3, 2, 4)), recipe=LORA, seed=0).model
    assert type(merged) is LlamaForCausalLM
    old, new = before.state_dict(), merged.state_dict()
    assert old.keys() == new.keys()
    ranks = {n: int(torch.linalg.matrix_rank(new[n] - old[n], atol=1e-6)) for n in old if "proj" in n}
    assert set(ranks.values()) == {4}
    assert all(torch.equal(new[n], old[n]) for n in old if "proj" not in n)


def test_adapter_trains_only_the_modules_it_is_told_to() -> None:
    recipe = LORA.model_copy(update={"adapter": Adapter(name="lora", targets=("q_proj",))})
    merged = train_stage(_model(), MixedExamples.in_memory(_examples(3, 2)), recipe=recipe, seed=0).model
    changed = {n for n, w in merged.state_dict().items() if not torch.equal(w, _model().state_dict()[n])}
    assert changed == {f"model.layers.{i}.self_attn.q_proj.weight" for i in (0, 1)}


def test_adapter_for_modules_that_are_not_there_is_refused() -> None:
    recipe = LORA.model_copy(update={"adapter": Adapter(name="lora", targets=("quack",))})
    with pytest.raises(InputError, match="quack"):
        train_stage(_model(), MixedExamples.in_memory(_examples(3)), recipe=recipe, seed=0)


def test_flops_of_a_stage_are_those_counted_by_hand() -> None:
    # 2 layers: 4 x 16 x 16 + 3 x 16 x 24 = 2176 weights each; a head of 23 x 16; 2 examples of 6 tokens, 3 taught
    ledger = train_stage(_model(), MixedExamples.in_memory(_examples(3, 3)), recipe=RECIPE, seed=0).ledger
    epoch = 6 * (2 * 2176 * 12 + 23 * 16 * 6) + 6 * 2 * 16 * (36 + 36)
    assert ledger["flops"] == 2 * epoch
    assert ledger["model_flops_utilisation"] is None  # no peak is known for a CPU


def test_ledger_of_a_stage_says_what_it_cost() -> None:
    ledger = train_stage(_model(), MixedExamples.in_memory(_examples(3, 3)), recipe=RECIPE, seed=0).ledger
    assert (ledger["device"], ledger["processes"], ledger["row_tokens"]) == ("cpu", 1, 1024)
    assert ledger["seconds"] > 0
    assert ledger["tokens_per_second"] == pytest.approx(24 / ledger["seconds"], rel=0.5)
    assert ledger["peak_memory_bytes"] > ledger["estimated_memory_bytes"] > 0
    assert math.isfinite(ledger["final_loss"])
