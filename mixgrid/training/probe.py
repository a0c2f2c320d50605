"""What a model makes of a flattened row, found out by trying: architectures do not say, and a wrong guess trains on.

    check_rows(model, own_attention="sdpa")     # StepError: BloomForCausalLM mixes the examples of a row (...)
    has_plain_head(model)                       # -> True: a LLaMA's logits are its head's product and no more

A model that ignores `mixgrid_segments` (attention of its own, a recurrence over the row) would let examples see one
another without a word: 0.1 to 5 % of the loss, in eight architectures of transformers 5.23.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mixgrid.errors import StepError
from mixgrid.tokens import Arrays
from mixgrid.training.attention import use_segment_attention
from mixgrid.training.batches import Row, row_of, weigh
from mixgrid.training.loss import hidden_states, own_logits

_LENGTHS = (5, 3)
"""Shorter than any sliding window, and different: a row of these is not dense."""

_TOLERANCE, _HALF_TOLERANCE = 1e-4, 0.1
"""Of the largest logit. Rounding is 1e-6 in fp32; the smallest leak that was seen, untrained RecurrentGemma's, 1e-3."""


@torch.no_grad()
def check_rows(model: Any, *, own_attention: str) -> None:
    """Let `model` attend within segments, and check that each example of a row has the logits that it has alone.

    Alone means: with its `own_attention`, as transformers runs it. Raises StepError.
    """
    examples = _examples(model)
    with _evaluating(model):
        model.set_attn_implementation(own_attention)
        alone_NV = torch.cat([_alone(model, tokens) for tokens, _ in examples]).float()
        use_segment_attention(model)
        row = _row(model, examples)
        try:
            together_NV = own_logits(model, row).float()
        except (AttributeError, TypeError) as error:
            raise StepError(_mixes(model, f"{type(error).__name__}: {error}")) from error
    if together_NV.shape != alone_NV.shape:
        raise StepError(_mixes(model, f"logits {tuple(together_NV.shape)}, not {tuple(alone_NV.shape)}"))
    tolerance = _TOLERANCE if model.dtype == torch.float32 else _HALF_TOLERANCE
    difference, largest = float((together_NV - alone_NV).abs().max()), float(alone_NV.abs().max())
    if not difference <= tolerance * largest:
        raise StepError(_mixes(model, f"logits differ by {difference / largest:.1e} of the largest"))


@torch.no_grad()
def has_plain_head(model: Any) -> bool:
    """Whether the model's logits are its output head's product with the last hidden states, and nothing else.

    The head gives made-up numbers here, so that a cap on large logits shows however small a new model's are.
    """
    head = model.get_output_embeddings()
    if not isinstance(head, nn.Linear) or head.bias is not None:
        return False
    row, seen = _row(model, _examples(model)), []

    def make_up(_: Any, given: tuple[Tensor], product: Tensor) -> Tensor:
        seen.append((given[0], torch.linspace(-90, 90, product.numel()).reshape(product.shape).to(product)))
        return seen[-1][1]

    hook = head.register_forward_hook(make_up)
    try:
        with _evaluating(model):
            logits_NV = own_logits(model, row)
            hidden_NH = hidden_states(model, row)
    except AttributeError:  # Llama4ForCausalLM, for one, does not say which part of it is the base model
        return False
    finally:
        hook.remove()
    if len(seen) != 1 or not torch.equal(seen[0][1].reshape(-1, head.out_features), logits_NV):
        return False
    return torch.allclose(seen[0][0].reshape(hidden_NH.shape), hidden_NH, rtol=1e-3, atol=0)


def _examples(model: Any) -> list[Arrays]:
    """Different tokens, none of them special: the padding token's embedding is often 0."""
    config, size = model.config.get_text_config(), model.get_input_embeddings().num_embeddings
    named = (getattr(config, f"{name}_token_id", None) for name in ("pad", "bos", "eos"))
    special = [i for ids in named if ids is not None for i in (ids if isinstance(ids, list) else [ids])]
    plain = [i for i in np.linspace(0, size - 1, 4 * sum(_LENGTHS), dtype=np.int32) if i not in special]
    tokens = np.resize(list(dict.fromkeys(plain)) or [0], sum(_LENGTHS)).astype(np.int32)
    return [(part, np.ones(len(part), bool)) for part in np.split(tokens, np.cumsum(_LENGTHS)[:-1])]


def _row(model: Any, examples: list[Arrays]) -> Row:
    return row_of(weigh(examples)).to(model.get_input_embeddings().weight.device)


def _alone(model: Any, tokens: Any) -> Tensor:
    """The logits that predict all tokens but the first."""
    tokens_1T = torch.from_numpy(tokens).long()[None].to(model.get_input_embeddings().weight.device)
    logits_NV: Tensor = model(input_ids=tokens_1T, use_cache=False).logits[0, :-1]
    return logits_NV


@contextmanager
def _evaluating(model: Any) -> Iterator[None]:
    """Without dropout, which would make any two passes differ."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def _mixes(model: Any, what: str) -> str:
    return (
        f"{type(model).__name__} mixes the examples of a row, or computes them otherwise than alone ({what}); use a "
        f"model whose attention is transformers' AttentionInterface, such as LLaMA, Qwen and Mistral"
    )
