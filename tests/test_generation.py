"""Greedy answers: transformers' own model.generate, a prompt at a time, is the oracle."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM

from mixgrid.generation import Answer, generate
from mixgrid.models import train_tokenizer
from mixgrid.recipe import Recipe
from mixgrid.tokens import MixedExamples
from mixgrid.training.stage import train_stage

TOKENIZER = train_tokenizer(iter([""]), vocabulary_size=300)
PROMPTS = [f"{'abcdefghij'[: i % 9 + 1]} {i}?" for i in range(24)]


@cache
def _model(architecture: str = "llama") -> Any:
    """Random weights, with an end token that comes often enough for answers to end at different places."""
    torch.manual_seed(3)
    shape = {"vocab_size": len(TOKENIZER), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4}
    if architecture == "gpt2":  # absolute positions, which LLaMA's rotary ones are not
        config = GPT2Config(**shape, initializer_range=1.0, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2)
        model = GPT2LMHeadModel(config).double().eval()
    else:
        config = LlamaConfig(**shape, intermediate_size=24, num_key_value_heads=2, initializer_range=0.5)
        model = LlamaForCausalLM(config).double().eval()
    with torch.no_grad():
        model.lm_head.weight[TOKENIZER.eos_token_id] *= 3 if architecture == "gpt2" else 2
    return model


def _expected(model: Any, prompt: str, *, limit: int) -> Answer:
    ids = TOKENIZER(prompt, return_tensors="pt")["input_ids"]
    output = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False,
        eos_token_id=TOKENIZER.eos_token_id, pad_token_id=TOKENIZER.pad_token_id,
    )  # fmt: skip
    new = output[0, ids.shape[1] :].tolist()
    reason = "stop" if new[-1] == TOKENIZER.eos_token_id else "length"
    return Answer(TOKENIZER.decode(new, skip_special_tokens=True), reason, len(new))


def _answers(prompts: list[str], *, limit: int, batch_size: int) -> list[Answer]:
    return generate(_model(), TOKENIZER, prompts, max_new_tokens=limit, batch_size=batch_size)


@pytest.mark.parametrize("architecture", ["llama", "gpt2"])
def test_batched_answers_equal_those_of_transformers_prompt_by_prompt(architecture: str) -> None:
    model = _model(architecture)
    answers = generate(model, TOKENIZER, PROMPTS, max_new_tokens=12, batch_size=16)
    assert answers == [_expected(model, prompt, limit=12) for prompt in PROMPTS]
    assert {answer.finish_reason for answer in answers} == {"stop", "length"}
    assert len({answer.tokens for answer in answers}) > 4  # rows left their batches at different places


@settings(max_examples=8, deadline=None)
@given(prompts=st.lists(st.sampled_from(PROMPTS), min_size=1, max_size=12), batch_size=st.integers(2, 12))
def test_answers_do_not_depend_on_batch_size_or_order(prompts: list[str], batch_size: int) -> None:
    alone = [_answers([prompt], limit=8, batch_size=1)[0] for prompt in prompts]
    assert _answers(prompts, limit=8, batch_size=batch_size) == alone


def test_answer_of_one_token_ends_at_its_limit() -> None:
    (answer,) = _answers(["abc"], limit=1, batch_size=4)
    assert (answer.finish_reason, answer.tokens) == ("length", 1)


def test_no_prompts_get_no_answers() -> None:
    assert _answers([], limit=4, batch_size=4) == []


def test_progress_counts_answers_up_to_all_of_them() -> None:
    told: list[float] = []
    generate(_model(), TOKENIZER, PROMPTS[:5], max_new_tokens=1, batch_size=2, progress=lambda s, _: told.append(s))
    assert told == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_model_trained_to_answer_ok_says_so_and_stops() -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(TOKENIZER), **shape))
    recipe = Recipe(epochs=40, batch_size=2, peak_learning_rate=2e-2, warmup_ratio=0, schedule="constant")
    ids = [np.array(TOKENIZER(f"{question}: ok</s>")["input_ids"], dtype=np.int32) for question in "ab"]
    examples = MixedExamples.in_memory([(tokens, np.arange(len(tokens)) > 2) for tokens in ids])
    train_stage(model, examples, recipe=recipe, seed=0)
    model.set_attn_implementation("sdpa")
    # " ok" is three letters of one token each, and the end token
    answers = generate(model.eval(), TOKENIZER, ["a:", "b:"], max_new_tokens=20, batch_size=2)
    assert answers == [Answer(" ok", "stop", 4)] * 2
