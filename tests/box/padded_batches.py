"""Random batches for small models, and their loss and gradients as transformers computes them, padded: the oracle.

loss, gradients = padded(small_model("llama", torch.float64), batch, "sdpa")
gradients[0].shape -> (31, 16), the first of model.parameters()
"""

from functools import cache
from typing import Any

import numpy as np
import torch
from hypothesis import assume
from hypothesis import strategies as st
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
)

from mixgrid.tokens import Arrays

VOCABULARY = 31
LONGEST = 40


@cache
def small_model(architecture: str, dtype: torch.dtype) -> Any:
    """The same weights in each dtype: `llama`, `llama_grouped` (2 heads of keys to 4), `llama_tied` or `gpt_neox`."""
    torch.manual_seed(5)
    shape = {"vocab_size": VOCABULARY, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    shape |= {"num_attention_heads": 4, "initializer_range": 0.3}
    if architecture == "gpt_neox":
        return GPTNeoXForCausalLM(GPTNeoXConfig(**shape)).to(dtype)
    shape |= {"num_key_value_heads": 2 if architecture == "llama_grouped" else 4}
    model = LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=architecture == "llama_tied"))
    if dtype == torch.float64:  # transformers' own norm computes in fp32
        for layer in model.model.layers:
            layer.input_layernorm, layer.post_attention_layernorm = (torch.nn.RMSNorm(16, eps=1e-6) for _ in range(2))
        model.model.norm = torch.nn.RMSNorm(16, eps=1e-6)
    return model.to(dtype)


@st.composite
def batches(draw: st.DrawFn, *, most: int = 6) -> list[Arrays]:
    """Up to `most` examples, with a response token at least.

    Behind a prompt, which may be nothing, some of an example's tokens are response, none or all.
    """
    lengths = draw(st.lists(st.integers(2, LONGEST), min_size=1, max_size=most))
    shares = draw(st.lists(st.sampled_from([0.0, 0.3, 1.0]), min_size=len(lengths), max_size=len(lengths)))
    prompts = draw(st.lists(st.sampled_from([0.0, 0.5, 0.9]), min_size=len(lengths), max_size=len(lengths)))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    batch = [
        (random.integers(0, VOCABULARY, n, dtype=np.int32), (random.random(n) < s) & (np.arange(n) >= p * n))
        for n, s, p in zip(lengths, shares, prompts, strict=True)
    ]
    assume(any(mask[1:].any() for _, mask in batch))
    return batch


def padded(model: Any, batch: list[Arrays], attention: str) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Loss and gradients of one padded batch, with labels of -100 where no loss is taken."""
    model.set_attn_implementation(attention)
    shape = (len(batch), max(len(tokens) for tokens, _ in batch))
    ids, real = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    labels = torch.full(shape, -100)
    for row, (tokens, mask) in enumerate(batch):
        ids[row, : len(tokens)] = torch.from_numpy(tokens).long()
        real[row, : len(tokens)] = 1
        labels[row, : len(tokens)][torch.from_numpy(mask)] = torch.from_numpy(tokens[mask]).long()
    positions = torch.arange(shape[1]).expand(shape)
    logits = model(input_ids=ids, attention_mask=real, position_ids=positions, use_cache=False).logits
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
    return loss.detach(), list(torch.autograd.grad(loss, list(model.parameters())))


def distances(ours: list[torch.Tensor], theirs: list[torch.Tensor], *, floor: float = 1e-3) -> list[float]:
    """Relative norm of the difference, a parameter at a time.

    A gradient below that share of the whole one, such as the exact 0 of a query that sees one token, counts as that.
    """
    whole = torch.stack([t.norm() for t in theirs]).norm()
    return [float((a - b).norm() / torch.maximum(b.norm(), floor * whole)) for a, b in zip(ours, theirs, strict=True)]
