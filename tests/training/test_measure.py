"""Losses of given responses: one example at a time with plain transformers is the oracle."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import Gemma2Config, Gemma2ForCausalLM, LlamaConfig, LlamaForCausalLM

from mixgrid.errors import StepError
from mixgrid.progress import silent
from mixgrid.tokens import Examples
from mixgrid.training.measure import response_losses

VOCABULARY = 23


def _model() -> Any:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    config = LlamaConfig(vocab_size=VOCABULARY, **shape, num_key_value_heads=2, initializer_range=0.3)
    return LlamaForCausalLM(config).eval()


MODEL = _model()


def _examples(lengths: list[int], seed: int) -> Examples:
    """Random tokens and masks; every third example is fully masked."""
    random = np.random.default_rng(seed)
    masks = [random.random(n) < (0.0 if i % 3 == 2 else 0.5) for i, n in enumerate(lengths)]
    tokens = random.integers(0, VOCABULARY, sum(lengths), dtype=np.int32)
    return Examples(tokens, np.concatenate(masks), np.cumsum([0, *lengths]), np.zeros(len(lengths), bool))


@torch.no_grad()
def _alone(tokens: Any, mask: Any) -> float:
    """Nats of one example, token by token."""
    probabilities = MODEL(torch.tensor(tokens)[None].long()).logits[0].double().softmax(-1)
    return -sum(float(probabilities[i - 1, tokens[i]].log()) for i in range(1, len(tokens)) if mask[i])


@settings(max_examples=6, deadline=None)
@given(lengths=st.lists(st.integers(2, 40), min_size=1, max_size=40), seed=st.integers(0, 99))
def test_response_losses_of_many_equal_those_of_one_at_a_time(lengths: list[int], seed: int) -> None:
    examples = _examples(lengths, seed)
    nats, counts = response_losses(MODEL, examples, progress=silent)
    assert counts == [int(examples[i][1][1:].sum()) for i in range(len(lengths))]
    assert nats == pytest.approx([_alone(*examples[i]) for i in range(len(lengths))], rel=1e-5, abs=1e-9)


def test_response_losses_of_a_fully_masked_example_are_nothing() -> None:
    nats, counts = response_losses(MODEL, _examples([15, 17, 19, 14], seed=0), progress=silent)
    assert (nats[2], counts[2]) == (0.0, 0)
    assert all(n > 0 for n in (nats[0], nats[1], nats[3]))


def test_response_losses_of_no_example_are_empty() -> None:
    nothing = Examples(np.zeros(0, np.int32), np.zeros(0, bool), np.zeros(1, np.int64), np.zeros(0, bool))
    assert response_losses(MODEL, nothing, progress=silent) == ([], [])


@pytest.mark.parametrize("changed", range(5))
def test_changed_example_leaves_the_losses_of_the_others_unchanged_to_the_bit(changed: int) -> None:
    examples = _examples([12, 30, 6, 12, 25], seed=3)
    everything = dataclasses.replace(examples, mask=np.ones(85, bool))
    tokens = examples.tokens.copy()
    span = slice(examples.offsets[changed], examples.offsets[changed + 1])
    tokens[span] = (tokens[span] + 1) % VOCABULARY
    before, _ = response_losses(MODEL, everything, progress=silent)
    after, _ = response_losses(MODEL, dataclasses.replace(everything, tokens=tokens), progress=silent)
    assert [a != b for a, b in zip(before, after, strict=True)] == [i == changed for i in range(5)]


@pytest.mark.parametrize("special", [{"sliding_window": 8}, {"attn_logit_softcapping": 5.0}])
def test_response_losses_of_a_model_with_other_attention_are_refused(special: dict[str, Any]) -> None:
    shape = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 4}
    shape |= {"vocab_size": VOCABULARY, "num_key_value_heads": 2, "head_dim": 4}
    model = Gemma2ForCausalLM(Gemma2Config(**shape, **({"attn_logit_softcapping": None} | special)))
    with pytest.raises(StepError, match="max_length"):
        response_losses(model, _examples([9, 4], seed=0), progress=silent)
