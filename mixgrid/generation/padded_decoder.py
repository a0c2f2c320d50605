"""Next-token logits of the other models (sliding windows, recurrent layers): prompts padded on the left, rows dropped.

    decoder = PaddedDecoder(model)
    decoder.admit([[1, 57, 9], [1, 80]])          # all tokens but each prompt's last
    decoder.step(torch.tensor([33, 4]))           # their last tokens -> logits, 2 x V

The cache is transformers' own for the model, which all rows fill at the same column: no prompt comes later.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from mixgrid.errors import StepError

# N rows, T columns, V vocabulary


class PaddedDecoder:
    """See `mixgrid.generation.batched.Decoder`. Raises StepError for a model whose cache is of another kind."""

    refills = False

    def __init__(self, model: Any) -> None:
        if "past_key_values" not in inspect.signature(model.forward).parameters:
            kind = type(model).__name__
            raise StepError(
                f"{kind} takes no `past_key_values`; mixgrid generates with models that do, or with a server"
            )
        self._model = model

    def admit(self, prompts: Sequence[Sequence[int]]) -> None:
        """A new batch."""
        width = max(map(len, prompts))
        self._cache = DynamicCache(config=self._model.config)
        mask = [[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts]
        self._mask_NT = torch.tensor(mask, device=self._model.device, dtype=torch.long).view(len(prompts), width)
        if width:
            tokens = [[0] * (width - len(prompt)) + [*prompt] for prompt in prompts]
            self._forward(torch.tensor(tokens, device=self._model.device))

    def step(self, tokens_N: Tensor) -> Tensor:
        """Logits after one more token a row, N x V."""
        self._mask_NT = torch.cat([self._mask_NT, self._mask_NT.new_ones(len(self._mask_NT), 1)], dim=1)
        return self._forward(tokens_N[:, None])

    def keep(self, rows: Sequence[int]) -> None:
        """Row i becomes what row rows[i] was."""
        kept = torch.tensor(rows, device=self._model.device, dtype=torch.long)
        if rows:
            self._cache.batch_select_indices(kept)
        self._mask_NT = self._mask_NT[kept]

    def _forward(self, tokens_NT: Tensor) -> Tensor:
        positions_NT = (self._mask_NT.cumsum(1) - 1).clamp(min=0)[:, -tokens_NT.shape[1] :]
        logits_N1V: Tensor = self._model(
            input_ids=tokens_NT, attention_mask=self._mask_NT, position_ids=positions_NT, past_key_values=self._cache,
            use_cache=True, logits_to_keep=1,
        ).logits  # fmt: skip
        return logits_N1V[:, -1]
