"""A plain LLaMA's next-token logits with few operations: for CPUs, where small models wait for the operations' start.

    decoder = LeanDecoder(model, rows=128)
    decoder.admit([[1, 57, 9], [1, 80]])          # all tokens but each prompt's last
    decoder.step(torch.tensor([33, 4]))           # their last tokens -> logits, 2 x V

The same mathematics as transformers' LlamaForCausalLM: about two dozen operations a layer instead of a hundred. Queries
and keys are stored with the two halves of a head interleaved, as in mixgrid.training.lean_llama, so that rotating is
one complex product.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import rms_norm, scaled_dot_product_attention, silu

from mixgrid.generation.row_attention import Reach, attend, reach_of
from mixgrid.generation.slots import Slots, by_tokens, places
from mixgrid.products import linear
from mixgrid.training.lean_engine import not_plain

# N rows, T columns, C channels, A query heads, H key-value heads, D size of a head, R half of it, V vocabulary

LARGEST = 500_000_000
"""Parameters. Of larger models a copy of the weights would hurt, and the operations' start no longer counts."""
_BLOCK_NUMBERS = 2**22
"""Keys and values that a block of rows reads in a layer: fewer starts, while its scores stay in the cache."""
_PREFILL_TOKENS = 1024
"""At once: more do not stay in a core's cache."""


def fits(model: Any) -> str | None:
    """None if the model is one that this file computes, else the first reason why not."""
    reason = not_plain(model)
    if reason is None and sum(p.numel() for p in model.parameters()) > LARGEST:
        return f"it has more than {LARGEST:,} parameters"
    return reason


class _Layer:
    """A layer's weights: queries, keys and values in one matrix, gate and up in another."""

    def __init__(self, layer: Any, *, heads: int, key_heads: int, size: int) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        halves = torch.arange((heads + key_heads) * size).view(-1, 2, size // 2)
        turned = torch.cat([attention.q_proj.weight, attention.k_proj.weight])[halves.transpose(1, 2).reshape(-1)]
        turned[: heads * size] *= size**-0.5
        self.norm1, self.norm2 = layer.input_layernorm.weight, layer.post_attention_layernorm.weight
        self.qkv = torch.cat([turned, attention.v_proj.weight])
        self.out = attention.o_proj.weight
        self.gate_up = torch.cat([mlp.gate_proj.weight, mlp.up_proj.weight])
        self.down = mlp.down_proj.weight


class LeanDecoder:
    """See `mixgrid.generation.batched.Decoder`. The model's weights are read once, when it is made."""

    refills = True

    @torch.inference_mode()
    def __init__(self, model: Any, *, rows: int) -> None:
        config = model.config
        self._heads, self._key_heads = config.num_attention_heads, config.num_key_value_heads
        self._size, self._eps = model.model.layers[0].self_attn.head_dim, config.rms_norm_eps
        self._embedding, self._norm = model.model.embed_tokens.weight, model.model.norm.weight
        self._head = model.lm_head.weight
        self._inverse_frequencies = model.model.rotary_emb.inv_freq.to(torch.float32)
        self._shape = {"heads": self._heads, "key_heads": self._key_heads, "size": self._size}
        self._layers = [_Layer(layer, **self._shape) for layer in model.model.layers]
        self._slots = Slots(rows, keys_by_channel=True)

    def admit(self, prompts: Sequence[Sequence[int]]) -> None:
        """Prompts one below the other, filled up on the right: causal attention does not see what comes after."""
        for group in by_tokens(prompts, limit=_PREFILL_TOKENS):
            if longest := max(map(len, group)):
                self._fill(torch.tensor([[*prompt, *[0] * (longest - len(prompt))] for prompt in group]))
            self._slots.admit([len(prompt) for prompt in group])

    def _fill(self, tokens_NT: Tensor) -> None:
        """Keys and values of new rows."""
        turn_1T1R = self._turn(torch.arange(tokens_NT.shape[1]))[None]
        x_NTC = self._embedding[tokens_NT]
        for number, layer in enumerate(self._layers):
            query_NATD, key_NHTD, value_NHTD = (part.transpose(1, 2) for part in self._project(layer, x_NTC, turn_1T1R))
            self._slots.fill(number, key_NHTD, value_NHTD)
            if number + 1 < len(self._layers):  # of the last layer only keys and values are wanted
                attended_NATD = scaled_dot_product_attention(
                    query_NATD, key_NHTD, value_NHTD, is_causal=True, scale=1.0, enable_gqa=True
                )
                x_NTC = self._finish(layer, x_NTC, attended_NATD.transpose(1, 2).flatten(2))

    def step(self, tokens_N: Tensor) -> Tensor:
        """Logits after one more token a row, N x V."""
        where = places(self._slots, tokens_N.device)
        turn_N11R = self._turn(where[1])[:, None]
        x_N1C = self._embedding[tokens_N[:, None]]
        reaches: list[tuple[slice, Reach]] = []
        for number, layer in enumerate(self._layers):
            query_N1AD, key_N1HD, value_N1HD = self._project(layer, x_N1C, turn_N11R)
            self._slots.add(number, where, key_N1HD[:, 0], value_N1HD[:, 0])
            reaches = reaches or list(self._reaches())
            keys_NHDT, values_NHTD = self._slots.keys[number].transpose(2, 3), self._slots.values[number]
            attended = [
                attend(query_N1AD[rows, 0], keys_NHDT[rows], values_NHTD[rows], reach) for rows, reach in reaches
            ]
            x_N1C = self._finish(layer, x_N1C, torch.cat(attended)[:, None])
        self._slots.advance()
        return linear(rms_norm(x_N1C[:, 0], self._norm.shape, self._norm, self._eps), self._head)

    def keep(self, rows: Sequence[int]) -> None:
        """Row i becomes what row rows[i] was."""
        self._slots.keep(rows)

    def _reaches(self) -> Iterator[tuple[slice, Reach]]:
        """Neighbours among the rows, and what they look at: the same in each layer."""
        lengths, room = self._slots.lengths, self._slots.values[0].shape[2]
        size = max(4, _BLOCK_NUMBERS // (2 * self._key_heads * self._size * self._slots.width))
        for start in range(0, len(lengths), size):
            rows = slice(start, min(start + size, len(lengths)))
            yield rows, reach_of(lengths[rows], room=room, dtype=self._embedding.dtype, **self._shape)

    def _project(self, layer: _Layer, x_NTC: Tensor, turn: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values, each N x T x heads x D; the first two rotated."""
        qkv_NTC = linear(rms_norm(x_NTC, layer.norm1.shape, layer.norm1, self._eps), layer.qkv)
        qkv_NTHD = qkv_NTC.view(*x_NTC.shape[:2], -1, self._size)
        turned_NTHD, value_NTHD = torch.split(qkv_NTHD, [self._heads + self._key_heads, self._key_heads], dim=2)
        torch.view_as_complex(turned_NTHD.view(*turned_NTHD.shape[:3], -1, 2)).mul_(turn)
        return *torch.split(turned_NTHD, [self._heads, self._key_heads], dim=2), value_NTHD

    def _finish(self, layer: _Layer, x_NTC: Tensor, attended_NTC: Tensor) -> Tensor:
        """x + attention, and then + MLP."""
        x_NTC = x_NTC + linear(attended_NTC, layer.out)
        gate, up = linear(rms_norm(x_NTC, layer.norm2.shape, layer.norm2, self._eps), layer.gate_up).chunk(2, -1)
        return x_NTC + linear(silu(gate).mul_(up), layer.down)

    def _turn(self, positions_T: Tensor) -> Tensor:
        """Complex numbers that rotate a head, T x 1 x D/2."""
        angles_TR = positions_T[:, None].to(torch.float32) * self._inverse_frequencies
        dtype = self._embedding.dtype
        return torch.complex(angles_TR.cos().to(dtype), angles_TR.sin().to(dtype))[:, None]
