"""Continuous batching on a CPU: its trial, and who answers when it fails."""

from typing import Any

import pytest
import torch
from transformers import LlamaForCausalLM

from mixgrid.generation import Prompt, generate
from mixgrid.generation.continuous import check_greedy

PROMPTS = [f"{'abcdefghij'[: i % 9 + 1]} {i}?" for i in range(20)]


@pytest.mark.parametrize("architecture", ["llama_grouped", "llama_eager"])
def test_continuous_answers_equal_those_of_transformers_prompt_by_prompt(
    architecture: str, model_of: Any, tokenizer: Any, expected: Any
) -> None:
    model = model_of(architecture, torch.float32)
    attention = model.config._attn_implementation
    answers = generate(model, tokenizer, PROMPTS, max_new_tokens=20, batch_size=6, engine="continuous")
    assert answers == [expected(model, prompt, limit=20) for prompt in PROMPTS]
    assert model.config._attn_implementation == attention


def test_prompts_with_a_temperature_are_drawn_as_by_transformers(model_of: Any, tokenizer: Any) -> None:
    asked = [Prompt("abc", temperature, seed) for temperature in (0.0, 1.0) for seed in range(3)]
    options = {"max_new_tokens": 8, "batch_size": 3}
    model = model_of("llama", torch.float32)
    expected = generate(model, tokenizer, asked, **options)
    assert generate(model, tokenizer, asked, engine="continuous", **options) == expected


class Crooked(LlamaForCausalLM):
    """Its pages say the opposite."""

    def forward(self, *inputs: Any, **options: Any) -> Any:
        output = super().forward(*inputs, **options)
        if "cu_seq_lens_q" in options:
            output.logits = -output.logits
        return output


def test_pages_that_say_something_else_are_noticed_and_transformers_answers(
    model_of: Any, tokenizer: Any, expected: Any
) -> None:
    straight = model_of("llama", torch.float32)
    model = Crooked(straight.config).eval()
    model.load_state_dict(straight.state_dict())
    with pytest.warns(RuntimeWarning, match=r"continuous batching: .*behind the likeliest.*transformers goes on"):
        answers = generate(model, tokenizer, PROMPTS[:4], max_new_tokens=5, batch_size=4, engine="continuous")
    assert answers == [expected(straight, prompt, limit=5) for prompt in PROMPTS[:4]]


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda new: [*new[:3], (new[3] + 1) % 256, *new[4:]], "behind the likeliest"),
        (lambda new: new[:-1], "neither ends"),
        (lambda new: [*new, *new], "neither ends"),
    ],
)
def test_trial_finds_another_token_a_missing_end_and_more_than_the_limit(
    change: Any, finding: str, model_of: Any, tokenizer: Any
) -> None:
    model, prompt = model_of("llama", torch.float32), tokenizer("abc")["input_ids"]
    ids = torch.tensor([prompt])
    options = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": tokenizer.eos_token_id}
    new = model.generate(ids, attention_mask=torch.ones_like(ids), **options)[0, len(prompt) :].tolist()
    check_greedy(model, prompt, new, end=tokenizer.eos_token_id, limit=8)
    with pytest.raises(RuntimeError, match=finding):
        check_greedy(model, prompt, change(new), end=tokenizer.eos_token_id, limit=8)
