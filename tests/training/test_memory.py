"""What a stage needs of memory, counted by hand, and what happens when it was not enough."""

import copy
import resource
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from mixgrid.errors import StepError
from mixgrid.recipe import Recipe
from mixgrid.runtime import DEFAULT, TrainingRuntime
from mixgrid.tokens import MixedExamples
from mixgrid.training.batches import Prepared, Weighted, weigh
from mixgrid.training.engine import Engine, make_engine
from mixgrid.training.general_engine import GeneralEngine
from mixgrid.training.loop import prefetched, prepared_in_groups
from mixgrid.training.memory import MemoryPlan, fixed_bytes, kept_bytes, plan_memory, saved_bytes
from mixgrid.training.stage import train_stage

RECIPE = Recipe(epochs=1, batch_size=4, peak_learning_rate=1e-2, warmup_ratio=0.0, schedule="constant")
SHAPE = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}


def _model(**changes: Any) -> Any:
    torch.manual_seed(1)
    shape = {**SHAPE, "num_key_value_heads": 2, **changes}
    return LlamaForCausalLM(LlamaConfig(vocab_size=23, **shape, initializer_range=0.2))


def _batch(*lengths: int) -> list[Weighted]:
    random = np.random.default_rng(0)
    return weigh([(random.integers(0, 23, n, dtype=np.int32), np.ones(n, bool)) for n in lengths])


def _limited(model: Any, tokens: int) -> Any:
    """The model on a device that has no memory for rows of more tokens."""

    def refuse(_: Any, __: Any, named: Any) -> None:
        if named["input_ids"].shape[1] > tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")

    model.model.register_forward_pre_hook(refuse, with_kwargs=True)
    return model


def _plan(runtime: TrainingRuntime, *, available: int, fixed_rows: bool) -> MemoryPlan:
    return plan_memory(
        _model(), runtime=runtime, longest=30, shards=1, half=False, available=available, fixed_rows=fixed_rows,
        plain_head=True,
    )  # fmt: skip


def _engine(model: Any, **runtime: Any) -> GeneralEngine:
    return GeneralEngine(model, recipe=RECIPE, runtime=TrainingRuntime(**runtime), longest=30, seed=0)


def test_weights_gradients_and_moments_take_sixteen_bytes_a_parameter() -> None:
    # 23 x 16 twice; a layer: q and o 16 x 16, k and v 8 x 16, three of 16 x 24, two norms; one more norm
    parameters = 2 * 23 * 16 + 2 * (2 * 256 + 2 * 128 + 3 * 384 + 2 * 16) + 16
    assert fixed_bytes(_model(), shards=1) == 16 * parameters


def test_frozen_weights_take_no_more_than_themselves() -> None:
    model = _model()
    whole = fixed_bytes(model, shards=1)
    model.requires_grad_(False)
    assert fixed_bytes(model, shards=1) == whole // 4


def test_shards_take_their_part_and_two_of_the_largest_layer_put_together() -> None:
    layer, outside = 2 * 256 + 2 * 128 + 3 * 384 + 2 * 16, 2 * 23 * 16 + 16
    assert fixed_bytes(_model(), shards=4) == 4 * (2 * layer + outside) + 2 * 4 * layer


def test_half_precision_counts_its_copies_of_the_weights() -> None:
    # matrices are multiplied in bf16, and their copies are kept: 2 bytes a weight, embeddings and norms have none
    matrices = 2 * (2 * 256 + 2 * 128 + 3 * 384)
    kept, _ = kept_bytes(_model(), half=True, checkpointing=False, logits=False)
    assert kept == pytest.approx(2 * matrices, abs=100)
    assert kept_bytes(_model(), half=False, checkpointing=False, logits=False)[0] < 100


def test_logits_are_counted_where_they_are_kept() -> None:
    model = LlamaForCausalLM(LlamaConfig(vocab_size=5000, **SHAPE))
    (_, without), (_, with_logits) = (
        kept_bytes(model, half=False, checkpointing=False, logits=logits) for logits in (False, True)
    )
    assert 4 * 5000 * 0.9 <= with_logits - without <= 3 * 4 * 5000  # log-probabilities at least


def test_bytes_kept_a_token_grow_with_the_layers_and_shrink_with_checkpointing() -> None:
    two, four, twice = (
        kept_bytes(_model(num_hidden_layers=n), half=False, checkpointing=checkpointing, logits=False)[1]
        for n, checkpointing in ((2, False), (4, False), (4, True))
    )
    assert four > 1.8 * two > 16 * 4  # more than one hidden state
    assert twice < four / 2


def test_plan_takes_a_fixed_row_on_a_cpu_and_says_what_it_expects() -> None:
    plan = _plan(DEFAULT, available=10**9, fixed_rows=True)
    assert (plan.row_tokens, plan.activation_checkpointing) == (1024, False)
    assert plan.estimated_bytes == plan.fixed_bytes + 1024 * plan.bytes_a_token < plan.available_bytes


def test_plan_for_an_accelerator_fills_nine_tenths_of_it_before_it_computes_twice() -> None:
    kept, a_token = kept_bytes(_model(), half=False, checkpointing=False, logits=False)
    fixed = fixed_bytes(_model(), shards=1) + kept
    roomy, tight = ((fixed + tokens * a_token) / 0.9 + 1 for tokens in (100, 29))
    assert (_plan(DEFAULT, available=int(roomy), fixed_rows=False)).row_tokens == 100
    assert not _plan(DEFAULT, available=int(roomy), fixed_rows=False).activation_checkpointing
    assert _plan(DEFAULT, available=int(tight), fixed_rows=False).activation_checkpointing  # the longest has 30 tokens


def test_row_that_cannot_fit_is_refused_before_the_run_with_what_to_change() -> None:
    with pytest.raises(
        StepError, match=r"GiB were free at the start; try a smaller row_tokens.*sharding: full.*adapter: lora"
    ) as raised:
        _plan(TrainingRuntime(row_tokens=10**9), available=10**9, fixed_rows=True)
    assert "activation_checkpointing: true" not in str(raised.value)  # that was tried
    assert "max_length" not in str(raised.value)  # an example of 30 tokens would fit
    assert "precision: bf16 in the recipe" in str(raised.value)


def test_out_of_memory_cuts_smaller_rows_and_takes_the_same_step() -> None:
    batch, losses = _batch(30, 12, 25, 8), []
    for model in (_model(), _limited(_model(), 40)):
        engine = _engine(model)
        losses += _two_steps(engine, engine.prepare(batch), engine.prepare(batch))
    assert losses[2:] == pytest.approx(losses[:2], rel=1e-5)
    assert engine.row_tokens == 32  # 512 halved until a row of 40 tokens at most was cut


def test_out_of_memory_on_a_single_example_says_which_settings_to_change() -> None:
    model = _model()
    engine = _engine(model)
    _limited(model, 20)
    with pytest.raises(
        StepError, match=r"row of 30 tokens.*activation_checkpointing: true.*max_length.*sharding: full"
    ) as raised:
        engine.accumulate(engine.prepare(_batch(30, 12)), step=0)
    assert "row_tokens" not in str(raised.value)


def _lean(**runtime: Any) -> Engine:
    model = _model(num_key_value_heads=4)
    return make_engine(model, recipe=RECIPE, runtime=TrainingRuntime(**runtime), longest=30, seed=0)


def test_lean_engine_refuses_rows_that_cannot_fit_before_the_run() -> None:
    with pytest.raises(StepError, match=r"a smaller row_tokens in the runtime file, activation_checkpointing: true"):
        _lean(row_tokens=10**9)


def test_lean_engine_counts_activations_and_logits() -> None:
    small, large = _lean(row_tokens=30).estimated_bytes, _lean(row_tokens=1030).estimated_bytes
    assert large - small > 1000 * 4 * (2 * (12 * 16 + 4 * 24) + 23)  # two layers' inputs and products, logits


def test_lean_engine_that_meets_the_end_of_memory_says_which_settings_to_change() -> None:
    # 500 logits of 200,000 are 400 MB, more than malloc may have kept from other tests; 40 may be had
    model = LlamaForCausalLM(LlamaConfig(vocab_size=200_000, **SHAPE))
    engine = make_engine(model, recipe=RECIPE, runtime=DEFAULT, longest=500, seed=0)
    limits, used = resource.getrlimit(resource.RLIMIT_AS), psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 40_000_000, limits[1]))
    try:
        with pytest.raises(StepError, match=r"row of 500 tokens.*activation_checkpointing: true.*max_length"):
            engine.accumulate(engine.prepare(_batch(500)), step=0)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert engine.accumulate(engine.prepare(_batch(500)), step=0) > 1


def test_lean_engine_that_meets_the_end_of_memory_cuts_smaller_rows_and_takes_the_same_step() -> None:
    model = LlamaForCausalLM(LlamaConfig(vocab_size=200_000, **SHAPE))
    engine = make_engine(copy.deepcopy(model), recipe=RECIPE, runtime=DEFAULT, longest=200, seed=0)
    batches = [engine.prepare(_batch(200, 199, 198)) for _ in range(2)]
    limits, used = resource.getrlimit(resource.RLIMIT_AS), psutil.Process().memory_info().vms
    resource.setrlimit(resource.RLIMIT_AS, (used + 440_000_000, limits[1]))  # 597 logits of 200,000 are 478 MB
    try:
        losses = _two_steps(engine, *batches)
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    assert engine.row_tokens < 597
    calm = make_engine(model, recipe=RECIPE, runtime=DEFAULT, longest=200, seed=0)
    assert losses == pytest.approx(_two_steps(calm, *batches), rel=1e-5)
    assert calm.row_tokens == 1024


def _two_steps(engine: Engine, first: Prepared, second: Prepared) -> list[float]:
    losses = [engine.accumulate(first, step=0)]
    engine.update(rate=1e-2)
    return [*losses, engine.accumulate(second, step=1)]


def test_model_of_the_lean_engine_takes_the_general_one_where_activations_are_to_be_computed_twice() -> None:
    assert isinstance(_lean(activation_checkpointing=True), GeneralEngine)
    assert not isinstance(_lean(), GeneralEngine)


def test_any_other_error_is_not_taken_for_a_lack_of_memory() -> None:
    model = _model()
    model.model.register_forward_pre_hook(lambda *_: (_ for _ in ()).throw(RuntimeError("shape mismatch")))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        _engine(model)


def test_activation_checkpointing_gives_the_same_weights_to_the_bit() -> None:
    random = np.random.default_rng(0)
    examples = MixedExamples.in_memory([(random.integers(0, 23, 9, dtype=np.int32), np.ones(9, bool))] * 6)
    trained = [
        train_stage(_model(), examples, recipe=RECIPE, seed=0, runtime=TrainingRuntime(activation_checkpointing=on))
        for on in (False, True)
    ]
    weights = [t.model.state_dict() for t in trained]
    kept = [saved_bytes(t.model, 24, half=False, logits=False) for t in trained]
    assert kept[1] < kept[0] / 2
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler looks at attributes that warn
def test_compiled_layers_give_the_same_losses() -> None:
    random = np.random.default_rng(0)
    examples = MixedExamples.in_memory(
        [(random.integers(0, 23, n, dtype=np.int32), np.ones(n, bool)) for n in (5, 9, 14, 7, 11, 6)]
    )
    curves = [
        train_stage(_model(), examples, recipe=RECIPE, seed=0, runtime=TrainingRuntime(compile=compiled)).curve.loss
        for compiled in (False, True)
    ]
    assert curves[1] == pytest.approx(curves[0], rel=1e-5)


def _prepared(step: int) -> Prepared:
    return Prepared(_batch(step + 2), rows=[], row_tokens=1)


@pytest.mark.parametrize("ahead", [prefetched, prepared_in_groups])
def test_batches_prepared_ahead_come_in_order_and_errors_where_they_belong(ahead: Any) -> None:
    def prepare(step: int) -> Prepared:
        if step == 4:
            raise OSError("the disk is gone")
        return _prepared(step)

    batches = ahead(prepare, range(1, 10))
    assert [next(batches).longest for _ in range(3)] == [3, 4, 5]
    with pytest.raises(OSError, match="gone"):
        next(batches)


@pytest.mark.parametrize("ahead", [prefetched, prepared_in_groups])
def test_batches_prepared_ahead_are_those_of_the_steps_and_no_more(ahead: Any) -> None:
    asked: list[int] = []

    def prepare(step: int) -> Prepared:
        asked.append(step)
        return _prepared(step)

    assert [prepared.longest for prepared in ahead(prepare, range(2, 5))] == [4, 5, 6]
    assert asked == [2, 3, 4]
    assert list(ahead(prepare, range(5, 5))) == []


def test_some_batches_are_prepared_at_once_and_large_ones_alone() -> None:
    asked: list[int] = []

    def prepare(step: int) -> Prepared:
        asked.append(step)
        return _prepared(step)

    counts = [len(asked) for _ in prepared_in_groups(prepare, range(2, 9), tokens=8)]
    assert counts == [2, 2, 4, 4, 5, 6, 7]  # of 4 and 5 tokens, of 6 and 7, then 8, 9 and 10 alone
