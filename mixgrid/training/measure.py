"""Loss of given responses under a checkpoint, an example at a time in the result, many at a time in the making.

response_losses(model, examples, progress=progress)  -> ([31.2, 40.5], [24, 30])    nats and tokens an example
"""

from typing import Any

import torch
from torch.nn.functional import cross_entropy

from mixgrid.progress import Progress
from mixgrid.tokens import Examples
from mixgrid.training.attention import use_segment_attention
from mixgrid.training.batches import flatten
from mixgrid.training.loop import to_device

_EXAMPLES_A_ROW = 32


@torch.inference_mode()
def response_losses(model: Any, examples: Examples, *, progress: Progress) -> tuple[list[float], list[int]]:
    """Nats summed over the response tokens of each example, and their number (0 where it is fully masked)."""
    before = model.config._attn_implementation
    use_segment_attention(model)
    nats, counts = [0.0] * len(examples), [0] * len(examples)
    try:
        for start in range(0, len(examples), _EXAMPLES_A_ROW):
            chosen = [i for i in range(start, min(start + _EXAMPLES_A_ROW, len(examples))) if examples[i][1][1:].any()]
            for row in flatten([examples[i] for i in chosen], max_row_tokens=1 << 30):
                row = to_device(row, model.device)
                output = model(
                    input_ids=row.tokens_1T, position_ids=row.positions_1T, segments=row.segments,
                    logits_to_keep=row.places_N, use_cache=False,
                )  # fmt: skip
                losses_N = cross_entropy(output.logits[0].float(), row.targets_N, reduction="none").double()
                sizes = [int(examples[i][1][1:].sum()) for i in chosen]
                for i, part in zip(chosen, torch.split(losses_N, sizes), strict=True):
                    nats[i], counts[i] = float(part.sum()), len(part)
            progress(min(1.0, (start + _EXAMPLES_A_ROW) / len(examples)), f"{start}/{len(examples)} examples")
    finally:
        model.set_attn_implementation(before)
    return nats, counts
