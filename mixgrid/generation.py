"""Greedy answers in batches: prompts padded on the left, rows dropped as soon as they are finished.

generate(model, tokenizer, ["USER: 1 + 1? ASSISTANT:"], max_new_tokens=64, batch_size=128)
    -> [Answer(text=" #### 2", finish_reason="stop", tokens=5)]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mixgrid.progress import Progress, silent


@dataclass(frozen=True)
class Answer:
    """One answer. `finish_reason` is "stop" at the end token and "length" at the limit; `tokens` counts new tokens."""

    text: str
    finish_reason: str
    tokens: int


@torch.inference_mode()
def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    batch_size: int,
    add_special_tokens: bool = True,
    progress: Progress = silent,
) -> list[Answer]:
    """Answer each prompt greedily; results in the prompts' order. Prompts of like length share a batch."""
    if not prompts:
        return []
    encoded = tokenizer(list(prompts), add_special_tokens=add_special_tokens)["input_ids"]
    order = sorted(range(len(prompts)), key=lambda i: len(encoded[i]))
    answers: dict[int, Answer] = {}
    for start in range(0, len(order), batch_size):
        chosen = order[start : start + batch_size]
        new = _generate_batch(model, tokenizer, [encoded[i] for i in chosen], max_new_tokens=max_new_tokens)
        for i, ids in zip(chosen, new, strict=True):
            stopped = bool(ids) and ids[-1] == tokenizer.eos_token_id
            text = tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
            answers[i] = Answer(text, "stop" if stopped else "length", len(ids))
        progress(len(answers) / len(order), f"{len(answers)}/{len(order)} answers")
    return [answers[i] for i in range(len(prompts))]


def _generate_batch(
    model: Any, tokenizer: Any, prompts: Sequence[list[int]], *, max_new_tokens: int
) -> list[list[int]]:
    """New tokens of each prompt, the end token included where it came."""
    from transformers import DynamicCache

    tokens_BT, mask_BT = _pad_left(prompts, pad=tokenizer.eos_token_id, device=model.device)
    positions_BT = (mask_BT.cumsum(1) - 1).clamp(min=0)
    cache = DynamicCache(config=model.config)
    new: list[list[int]] = [[] for _ in prompts]
    alive = list(range(len(prompts)))
    for _ in range(max_new_tokens):
        logits_B1V = model(
            input_ids=tokens_BT, attention_mask=mask_BT, position_ids=positions_BT, past_key_values=cache,
            use_cache=True, logits_to_keep=1,
        ).logits  # fmt: skip
        tokens_BT = logits_B1V[:, -1].argmax(-1, keepdim=True)
        chosen = tokens_BT[:, 0].tolist()
        for row, token in zip(alive, chosen, strict=True):
            new[row].append(token)
        keep = [i for i, token in enumerate(chosen) if token != tokenizer.eos_token_id]
        if not keep:
            break
        mask_BT = torch.cat([mask_BT, mask_BT.new_ones(len(mask_BT), 1)], dim=1)
        positions_BT = positions_BT[:, -1:] + 1
        if len(keep) < len(alive):
            kept = torch.tensor(keep, device=model.device)
            cache.batch_select_indices(kept)
            tokens_BT, mask_BT, positions_BT = tokens_BT[kept], mask_BT[kept], positions_BT[kept]
            alive = [alive[i] for i in keep]
    return new


def _pad_left(prompts: Sequence[list[int]], *, pad: int, device: Any) -> tuple[Tensor, Tensor]:
    width = max(len(prompt) for prompt in prompts)
    tokens = torch.tensor([[pad] * (width - len(p)) + p for p in prompts], device=device)
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=device)
    return tokens, mask
