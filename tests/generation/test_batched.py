"""The running batch: transformers' own model.generate, a prompt at a time, is the oracle."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from mixgrid.errors import InputError, StepError
from mixgrid.generation import Answer, Prompt, generate, make_engine
from mixgrid.generation.batched import choose_decoder
from mixgrid.generation.lean_decoder import LeanDecoder
from mixgrid.generation.padded_decoder import PaddedDecoder
from mixgrid.generation.sampling import draws, next_tokens
from mixgrid.generation.slot_decoder import SlotDecoder
from mixgrid.recipe import Recipe
from mixgrid.tokens import MixedExamples
from mixgrid.training.stage import train_stage

PROMPTS = [f"{'abcdefghij'[: i % 9 + 1] * (i % 3 + 1)} {i}?" for i in range(24)]
DECODERS = {
    "llama": LeanDecoder, "llama_grouped": LeanDecoder, "llama_tied": LeanDecoder, "llama_scaled_rotary": SlotDecoder,
    "qwen2": SlotDecoder, "gpt_neox": SlotDecoder, "gpt2": SlotDecoder, "mistral": PaddedDecoder,
}  # fmt: skip


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("architecture", DECODERS)
def test_answers_equal_those_of_transformers_prompt_by_prompt(
    architecture: str, dtype: torch.dtype, model_of: Any, tokenizer: Any, expected: Any
) -> None:
    model = model_of(architecture, dtype)
    assert type(choose_decoder(model, rows=6)) is DECODERS[architecture]
    answers = generate(model, tokenizer, PROMPTS, max_new_tokens=12, batch_size=6)
    assert answers == [expected(model, prompt, limit=12) for prompt in PROMPTS]
    assert {answer.finish_reason for answer in answers} == {"stop", "length"}
    assert len({answer.tokens for answer in answers}) > 3  # rows left at different times, others came instead


@pytest.mark.parametrize("architecture", ["llama_grouped", "gpt_neox"])
@settings(max_examples=8, deadline=None)
@given(
    prompts=st.lists(st.text("abc 1?", max_size=40), min_size=1, max_size=12),
    batch_size=st.integers(1, 12),
    limit=st.sampled_from([1, 7, 70]),
    temperature=st.sampled_from([0.0, 1.0]),
)
def test_answers_depend_on_neither_batch_size_nor_neighbours(
    architecture: str,
    prompts: list[str],
    batch_size: int,
    limit: int,
    temperature: float,
    model_of: Any,
    tokenizer: Any,
) -> None:
    model = model_of(architecture)
    asked = [Prompt(text, temperature, seed) for seed, text in enumerate(prompts)]
    alone = [generate(model, tokenizer, [one], max_new_tokens=limit, batch_size=1)[0] for one in asked]
    assert generate(model, tokenizer, asked, max_new_tokens=limit, batch_size=batch_size) == alone


def test_answers_come_one_by_one_the_short_ones_first(model_of: Any, tokenizer: Any) -> None:
    engine = make_engine("transformers", model=model_of(), tokenizer=tokenizer, batch_size=24)
    told = list(engine.answers([Prompt(text) for text in PROMPTS], max_new_tokens=12))
    assert sorted(index for index, _ in told) == list(range(24))
    assert [answer.tokens for _, answer in told] == sorted(answer.tokens for _, answer in told)


def test_draws_follow_the_distribution_at_their_temperature() -> None:
    logits = torch.tensor([[1.0, 0.0, -1.0, -torch.inf]])
    drawn = [int(next_tokens(logits, temperatures=[0.5], numbers=[number])) for number in draws(7, 4000)]
    shares = np.bincount(drawn, minlength=4) / 4000
    assert shares == pytest.approx(np.exp([2, 0, -2, -np.inf]) / np.exp([2, 0, -2, -np.inf]).sum(), abs=0.02)
    assert shares[3] == 0


def test_drawn_answers_differ_by_seed_and_greedy_ones_do_not(model_of: Any, tokenizer: Any) -> None:
    asked = [Prompt("abc", temperature, seed) for temperature in (0.0, 1.0) for seed in range(4)]
    answers = generate(model_of(), tokenizer, asked, max_new_tokens=12, batch_size=8)
    assert len(set(answers[:4])) == 1
    assert len(set(answers[4:])) == 4


def test_answer_ends_before_a_stop_string_and_counts_its_tokens(model_of: Any, tokenizer: Any) -> None:
    lengths = range(1, 31)
    texts = [generate(model_of(), tokenizer, ["abc"], max_new_tokens=n, batch_size=1)[0].text for n in lengths]
    stop = next(letter for letter in reversed(texts[-1]) if letter.isascii())
    (cut,) = generate(model_of(), tokenizer, ["abc"], max_new_tokens=30, batch_size=1, stop=["never said", stop])
    count = next(n for n, text in zip(lengths, texts, strict=True) if stop in text)
    assert cut == Answer(texts[-1][: texts[-1].index(stop)], "stop", count)


def test_model_without_keys_and_values_is_refused(model_of: Any, tokenizer: Any) -> None:
    with pytest.raises(StepError, match="MambaForCausalLM takes no `past_key_values`"):
        generate(model_of("mamba"), tokenizer, ["abc"], max_new_tokens=4, batch_size=1)


@pytest.mark.parametrize(("name", "message"), [("vllm", "'vllm' is unknown"), ("server", "no server was given")])
def test_engine_that_is_unknown_or_lacks_its_server_is_refused(name: str, message: str, tokenizer: Any) -> None:
    with pytest.raises(InputError, match=message):
        make_engine(name, tokenizer=tokenizer, batch_size=1)


def test_answer_of_one_token_ends_at_its_limit(model_of: Any, tokenizer: Any) -> None:
    (answer,) = generate(model_of(), tokenizer, ["abc"], max_new_tokens=1, batch_size=4)
    assert (answer.finish_reason, answer.tokens) == ("length", 1)


def test_empty_prompt_is_answered_as_the_start_of_a_text(model_of: Any, tokenizer: Any, expected: Any) -> None:
    answers = generate(model_of(), tokenizer, ["", "ab"], max_new_tokens=5, batch_size=2)
    assert answers == [expected(model_of(), text, limit=5) for text in ("", "ab")]
    options = {"max_new_tokens": 5, "batch_size": 2, "add_special_tokens": False}
    assert generate(model_of(), tokenizer, [""], **options) == answers[:1]


def test_no_prompts_get_no_answers(model_of: Any, tokenizer: Any) -> None:
    assert generate(model_of(), tokenizer, [], max_new_tokens=4, batch_size=4) == []


def test_progress_counts_answers_up_to_all_of_them(model_of: Any, tokenizer: Any) -> None:
    told: list[float] = []
    options = {"max_new_tokens": 1, "batch_size": 2, "progress": lambda share, _: told.append(share)}
    generate(model_of(), tokenizer, PROMPTS[:5], **options)
    assert told == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])


def test_model_trained_to_answer_ok_says_so_and_stops(tokenizer: Any) -> None:
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **shape))
    recipe = Recipe(epochs=40, batch_size=2, peak_learning_rate=2e-2, warmup_ratio=0, schedule="constant")
    ids = [np.array(tokenizer(f"{question}: ok</s>")["input_ids"], dtype=np.int32) for question in "ab"]
    examples = MixedExamples.in_memory([(tokens, np.arange(len(tokens)) > 2) for tokens in ids])
    train_stage(model, examples, recipe=recipe, seed=0)
    model.set_attn_implementation("sdpa")
    # " ok" is three letters of one token each, and the end token
    answers = generate(model.eval(), tokenizer, ["a:", "b:"], max_new_tokens=20, batch_size=2)
    assert answers == [Answer(" ok", "stop", 4)] * 2
