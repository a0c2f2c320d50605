"""Tiny models with random weights, and transformers' own answers to a prompt at a time: the oracle."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    Qwen2Config,
)

from mixgrid.generation import Answer
from mixgrid.models import train_tokenizer

TOKENIZER = train_tokenizer(iter([""]), vocabulary_size=300)
SHAPE = {
    "vocab_size": len(TOKENIZER), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
    "bos_token_id": TOKENIZER.bos_token_id, "eos_token_id": TOKENIZER.eos_token_id,
}  # fmt: skip
ROTARY = SHAPE | {"intermediate_size": 24, "initializer_range": 0.5}
CONFIGS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**ROTARY),
    "llama_grouped": lambda: LlamaConfig(**ROTARY, num_key_value_heads=2),
    "llama_tied": lambda: LlamaConfig(**ROTARY, num_key_value_heads=1, head_dim=8, tie_word_embeddings=True),
    "llama_scaled_rotary": lambda: LlamaConfig(
        **ROTARY, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 10_000.0}
    ),
    "qwen2": lambda: Qwen2Config(**ROTARY, num_key_value_heads=2),
    "gpt_neox": lambda: GPTNeoXConfig(**ROTARY),
    "gpt2": lambda: GPT2Config(**SHAPE, initializer_range=1.0, tie_word_embeddings=False),
    "llama_eager": lambda: LlamaConfig(**ROTARY, attn_implementation="eager"),
    "mamba": lambda: MambaConfig(vocab_size=len(TOKENIZER), hidden_size=16, num_hidden_layers=1),
    "mistral": lambda: MistralConfig(**ROTARY, num_key_value_heads=2, sliding_window=6),
}
"""GPT-2 has absolute positions, Mistral here a window that its prompts outgrow."""

Expected = Callable[..., Answer]


@cache
def build(architecture: str, dtype: torch.dtype) -> Any:
    """Random weights, with an end token that comes often enough for answers to end at different places."""
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(CONFIGS[architecture]()).to(dtype).eval()
    with torch.no_grad():
        model.get_output_embeddings().weight[TOKENIZER.eos_token_id] *= 3 if architecture == "gpt2" else 2
    return model


@pytest.fixture(scope="session")
def model_of() -> Callable[..., Any]:
    """A model by the name of its architecture, in double precision unless said otherwise."""
    return lambda architecture="llama", dtype=torch.float64: build(architecture, dtype)


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    """One token a byte."""
    return TOKENIZER


@pytest.fixture(scope="session")
def expected() -> Expected:
    """What model.generate answers to one prompt, greedily."""

    def answer(model: Any, prompt: str, *, limit: int) -> Answer:
        ids = TOKENIZER(prompt, return_tensors="pt")["input_ids"]
        output = model.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=limit, do_sample=False,
            eos_token_id=TOKENIZER.eos_token_id, pad_token_id=TOKENIZER.pad_token_id,
        )  # fmt: skip
        new = output[0, ids.shape[1] :].tolist()
        reason = "stop" if new[-1] == TOKENIZER.eos_token_id else "length"
        return Answer(TOKENIZER.decode(new, skip_special_tokens=True), reason, len(new))

    return answer
