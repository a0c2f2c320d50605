"""Loss of given responses under a checkpoint, an example at a time in the result, many at a time in the making.

response_losses(model, examples, progress=progress)  -> ([31.2, 40.5], [24, 30])    nats and tokens an example
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from mixgrid.progress import Progress
from mixgrid.tokens import Examples
from mixgrid.training.batches import row_of, weigh
from mixgrid.training.loss import own_logits
from mixgrid.training.probe import check_rows

MAX_ROW_TOKENS = 16_384
_EXAMPLES_A_ROW = 32


@torch.inference_mode()
def response_losses(model: Any, examples: Examples, *, progress: Progress) -> tuple[list[float], list[int]]:
    """Nats summed over the response tokens of each example, and their number (0 where it is fully masked).

    Raises StepError for a model that would let examples of a row see one another.
    """
    before = model.config._attn_implementation
    nats, counts = [0.0] * len(examples), [0] * len(examples)
    try:
        check_rows(model, own_attention=before)
        for chosen in _groups(examples):
            row = row_of(weigh([examples[i] for i in chosen])).to(model.device)
            losses_N = cross_entropy(own_logits(model, row).float(), row.targets_N, reduction="none").double()
            sizes = [int(examples[i][1][1:].sum()) for i in chosen]
            for i, part in zip(chosen, torch.split(losses_N, sizes), strict=True):
                nats[i], counts[i] = float(part.sum()), len(part)
            progress((chosen[-1] + 1) / len(examples), f"{chosen[-1] + 1}/{len(examples)} examples")
    finally:
        model.set_attn_implementation(before)
    return nats, counts


def _groups(examples: Examples) -> Iterator[list[int]]:
    """Numbers of examples with a response, at most 32 examples and MAX_ROW_TOKENS tokens a group."""
    group: list[int] = []
    tokens = 0
    for index in range(len(examples)):
        length = len(examples[index][0])
        if group and (len(group) == _EXAMPLES_A_ROW or tokens + length > MAX_ROW_TOKENS):
            yield group
            group, tokens = [], 0
        if examples[index][1][1:].any():
            group.append(index)
            tokens += length
    if group:
        yield group
