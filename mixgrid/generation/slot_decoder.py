"""Next-token logits of any transformers model with plain attention: its own forward pass over keys and values in slots.

    decoder = SlotDecoder(model, rows=128)
    decoder.admit([[1, 57, 9], [1, 80]])          # all tokens but each prompt's last
    decoder.step(torch.tensor([33, 4]))           # their last tokens -> logits, 2 x V

transformers' DynamicCache copies all keys and values each step to add a column, and all its rows end at that column.
Here a step writes in place, each row at its own length; the model sees a cache filled up on the right, and a mask.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import Cache, DynamicCache
from transformers.cache_utils import CacheLayerMixin, DynamicLayer

from mixgrid.generation.slots import Slots, by_tokens, places

# N rows, T columns, H key-value heads, D size of a head, V vocabulary

_PREFILL_TOKENS = {"cpu": 1024, "cuda": 16_384}


def fits(model: Any) -> str | None:
    """None for a model whose every layer attends to all that came before, else why not."""
    other = {
        type(layer).__name__ for layer in DynamicCache(config=model.config).layers if type(layer) is not DynamicLayer
    }
    return f"it has layers with a {min(other)}" if other else None


class _SlotLayer(CacheLayerMixin):  # type: ignore[misc]
    """A layer of the slots as transformers' attention sees it in a step of one token."""

    def __init__(self, slots: Slots, number: int, where: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self._slots, self._number, self._where = slots, number, where
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing: there are keys and values already."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Write the new token of each row; all columns that the longest row needs."""
        slots, number = self._slots, self._number
        slots.add(number, self._where, key_states[:, :, 0], value_states[:, :, 0])
        count, width = len(key_states), slots.width
        return slots.keys[number][:count, :, :width], slots.values[number][:count, :, :width]

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Columns and where they start."""
        return self.get_seq_length() + query_length, 0

    def get_seq_length(self) -> int:
        """Columns before the new token: as if each row ended where the longest does."""
        return self._slots.width - 1

    def get_max_length(self) -> int:
        """No limit."""
        return -1


class SlotDecoder:
    """See `mixgrid.generation.batched.Decoder`."""

    refills = True

    def __init__(self, model: Any, *, rows: int) -> None:
        self._model, self._slots = model, Slots(rows)
        self._layers = len(DynamicCache(config=model.config).layers) or model.config.num_hidden_layers

    def admit(self, prompts: Sequence[Sequence[int]]) -> None:
        """Prompts filled up on the right, with a mask."""
        for group in by_tokens(prompts, limit=_PREFILL_TOKENS.get(self._model.device.type, 1024)):
            if longest := max(map(len, group)):
                tokens = [[*prompt, *[0] * (longest - len(prompt))] for prompt in group]
                mask = [[1] * len(prompt) + [0] * (longest - len(prompt)) for prompt in group]
                self._fill(*(torch.tensor(rows, device=self._model.device) for rows in (tokens, mask)))
            self._slots.admit([len(prompt) for prompt in group])

    def _fill(self, tokens_NT: Tensor, mask_NT: Tensor) -> None:
        cache = DynamicCache(config=self._model.config)
        positions_NT = torch.arange(tokens_NT.shape[1], device=tokens_NT.device).expand(tokens_NT.shape)
        self._model(
            input_ids=tokens_NT, attention_mask=mask_NT, position_ids=positions_NT, past_key_values=cache,
            use_cache=True, logits_to_keep=1,
        )  # fmt: skip
        for number, layer in enumerate(cache.layers):
            self._slots.fill(number, layer.keys, layer.values)

    def step(self, tokens_N: Tensor) -> Tensor:
        """Logits after one more token a row, N x V."""
        where = places(self._slots, tokens_N.device)
        lengths_N1 = where[1][:, None]
        mask_NT = (torch.arange(self._slots.width, device=tokens_N.device) <= lengths_N1).long()
        logits_N1V: Tensor = self._model(
            input_ids=tokens_N[:, None], attention_mask=mask_NT, position_ids=lengths_N1, use_cache=True,
            past_key_values=Cache(layers=[_SlotLayer(self._slots, i, where) for i in range(self._layers)]),
        ).logits  # fmt: skip
        self._slots.advance()
        return logits_N1V[:, -1]

    def keep(self, rows: Sequence[int]) -> None:
        """Row i becomes what row rows[i] was."""
        self._slots.keep(rows)
