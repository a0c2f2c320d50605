"""Which architectures compute a row's examples as if alone, which are refused; transformers' own run is the oracle."""

from typing import Any

import numpy as np
import pytest
import torch
import transformers

from mixgrid.errors import StepError
from mixgrid.progress import silent
from mixgrid.recipe import Recipe
from mixgrid.runtime import DEFAULT
from mixgrid.tokens import Examples
from mixgrid.training.attention import use_segment_attention
from mixgrid.training.general_engine import GeneralEngine
from mixgrid.training.measure import response_losses
from mixgrid.training.probe import has_plain_head

SIZES = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
GROUPED = SIZES | {"num_key_value_heads": 2, "pad_token_id": 0}
OLDER = {"vocab_size": 64, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
EXPERTS = {"num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
APART: dict[str, dict[str, Any]] = {
    "Qwen3": GROUPED | {"head_dim": 8},
    "Gemma": GROUPED | {"head_dim": 8},
    "Mixtral": GROUPED | {"num_local_experts": 4, "num_experts_per_tok": 2},
    "Qwen2Moe": GROUPED | EXPERTS | {"num_experts": 4},
    "Llama4": GROUPED | {"head_dim": 8, "intermediate_size_mlp": 48, "num_local_experts": 2},
    "Phi": SIZES,
    "GPTNeoX": SIZES,
    "GPT2": OLDER,
}
MIXED: dict[str, dict[str, Any]] = {
    "Bloom": {"vocab_size": 64, "hidden_size": 32, "n_layer": 2, "n_head": 4},
    "Falcon": SIZES,
    "Mpt": {"vocab_size": 64, "d_model": 32, "n_layers": 2, "n_heads": 4, "max_seq_len": 64},
    "Mamba": {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    "RecurrentGemma": GROUPED | {"head_dim": 8, "num_hidden_layers": 3, "lru_width": 32},
    "StableLm": GROUPED,
}
RECIPE = Recipe(epochs=1, batch_size=4, peak_learning_rate=1e-3, warmup_ratio=0.0, schedule="constant")


def _model(architecture: str, settings: dict[str, Any]) -> Any:
    names = {"GPT2": ("GPT2Config", "GPT2LMHeadModel"), "Llama4": ("Llama4TextConfig", "Llama4ForCausalLM")}
    config, model = names.get(architecture, (f"{architecture}Config", f"{architecture}ForCausalLM"))
    torch.manual_seed(0)
    return getattr(transformers, model)(getattr(transformers, config)(**settings)).eval()


def _examples() -> Examples:
    lengths = (9, 14, 7, 20)
    tokens = np.random.default_rng(0).integers(3, 64, sum(lengths), dtype=np.int32)
    return Examples(tokens, np.ones(len(tokens), bool), np.cumsum([0, *lengths]), np.zeros(4, bool))


@torch.no_grad()
def _alone(model: Any, tokens: Any) -> float:
    ids_1T = torch.from_numpy(tokens).long()[None]
    logits_TV = model(input_ids=ids_1T, use_cache=False).logits[0].float()
    return float(torch.nn.functional.cross_entropy(logits_TV[:-1], ids_1T[0, 1:], reduction="sum"))


@pytest.mark.parametrize("architecture", APART)
def test_architecture_with_attention_by_interface_gives_the_losses_of_examples_alone(architecture: str) -> None:
    model, examples = _model(architecture, APART[architecture]), _examples()
    expected = [_alone(model, examples[i][0]) for i in range(len(examples))]
    nats, _ = response_losses(model, examples, progress=silent)
    assert nats == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("architecture", MIXED)
def test_architecture_that_mixes_the_examples_of_a_row_is_neither_measured_nor_trained(architecture: str) -> None:
    model = _model(architecture, MIXED[architecture])
    refused = f"{architecture}ForCausalLM mixes the examples of a row.*LLaMA, Qwen and Mistral"
    with pytest.raises(StepError, match=refused):
        response_losses(model, _examples(), progress=silent)
    with pytest.raises(StepError, match=refused):
        GeneralEngine(model, recipe=RECIPE, runtime=DEFAULT, longest=20, seed=0)


@pytest.mark.parametrize("padding", [None, 0, 63])
@pytest.mark.parametrize(
    ("architecture", "settings", "plain"),
    [
        ("Llama", {"attention_dropout": 0.5}, True),
        ("Granite", {"logits_scaling": 8.0}, False),
        ("Cohere", {}, False),  # scales too
        # caps logits at 30: a new model's small ones hardly change
        ("Gemma2", {"head_dim": 8, "attn_logit_softcapping": None}, False),
    ],
)
def test_head_is_plain_where_nothing_follows_it_whatever_the_padding_token(
    architecture: str, settings: dict[str, Any], plain: bool, padding: int | None
) -> None:
    model = _model(architecture, GROUPED | settings | {"pad_token_id": padding})
    use_segment_attention(model.train())
    assert has_plain_head(model) is plain
    assert model.training
