"""A plain LLaMA's loss and gradients with as few operations as we know how: for CPUs, where small models wait for them.

    lean = LeanLlama(model)
    lean.accumulate(row)  -> the row's weighted loss; gradients are added into lean.gradients
    lean.flat.write_back()     -> the trained weights are in `model`

The same mathematics as transformers' LlamaForCausalLM under autograd, written out forward and backward: weights and
gradients lie in one buffer each (`mixgrid.training.flat_weights`), the last layer computes the response tokens only,
nothing passes through the autograd engine. Measured at the lab's sizes: twice the tokens a second.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from mixgrid.products import linear, linear_add, outer
from mixgrid.training.batches import Row
from mixgrid.training.flat_weights import FlatWeights
from mixgrid.training.lean_attention import attend, attend_backward
from mixgrid.training.segments import Segments


@dataclass(frozen=True)
class _Part:
    """A weight and its gradient: views of the two buffers."""

    weight: Tensor
    gradient: Tensor


@dataclass(frozen=True)
class _Layer:
    norm1: _Part
    qkv: _Part
    out: _Part
    norm2: _Part
    gate_up: _Part
    down: _Part


@dataclass(frozen=True)
class _Norm:
    """An RMS norm's input over its root mean square, one over that root, and the result."""

    normed_TH: Tensor
    inverse_T1: Tensor
    out_TH: Tensor


class LeanLlama:
    """Weights and gradients of one model in one buffer each, and the passes over a row."""

    def __init__(self, model: Any) -> None:
        """Takes the model's weights over; until `flat.write_back` some of the model's own are stale."""
        config = model.config
        self._heads, self._head_size = config.num_attention_heads, model.model.layers[0].self_attn.head_dim
        self._eps = config.rms_norm_eps
        self._inverse_frequencies = model.model.rotary_emb.inv_freq.to(torch.float32)
        self.flat = FlatWeights(model, heads=self._heads)
        self.gradients = torch.zeros_like(self.flat.weights)
        self._first = True
        self._embedding, self._norm = self._part("model.embed_tokens.weight"), self._part("model.norm.weight")
        tied = "lm_head.weight" not in self.flat
        self._head = self._embedding if tied else self._part("lm_head.weight")
        self._layers = [self._layer(f"model.layers.{i}") for i in range(config.num_hidden_layers)]

    def forget_gradients(self) -> None:
        """The next row's gradients are the first of a new sum."""
        self._first = True

    @torch.inference_mode()
    def accumulate(self, row: Row) -> Tensor:
        """The row's weighted loss; its gradients are added."""
        tokens_T, last = row.tokens_1T[0], len(self._layers) - 1
        turn_T1R = self._turn(row.positions_1T[0])
        x_TH = self._embedding.weight.index_select(0, tokens_T)
        backward: list[Callable[[Tensor], Tensor]] = []
        for number, layer in enumerate(self._layers):
            keep_N = row.places_N if number == last else None
            x_TH, attention_backward = self._attention(layer, x_TH, row.segments, turn_T1R, keep_N)
            x_TH, mlp_backward = self._mlp(layer, x_TH)
            backward += [attention_backward, mlp_backward]
        loss, gradient_TH = self._loss(x_TH, row)
        for step_back in reversed(backward):
            gradient_TH = step_back(gradient_TH)
        if self._first and self._head is not self._embedding:
            self._embedding.gradient.zero_()
        self._embedding.gradient.index_add_(0, tokens_T, gradient_TH)
        self._first = False
        return loss

    def _add(self, part: _Part, dout_TK: Tensor, in_TH: Tensor) -> None:
        """Add the gradient of a weight that maps `in_TH` to K numbers a token."""
        gradient_KH = outer(dout_TK, in_TH)
        if self._first:
            part.gradient.copy_(gradient_KH)
        else:
            part.gradient.add_(gradient_KH)

    def _turn(self, positions_T: Tensor) -> Tensor:
        angles_TR = positions_T[:, None].to(torch.float32) * self._inverse_frequencies
        dtype = self.gradients.dtype
        return torch.complex(angles_TR.cos().to(dtype), angles_TR.sin().to(dtype))[:, None]

    def _attention(
        self, layer: _Layer, x_TH: Tensor, segments: Segments, turn_T1R: Tensor, keep_N: Tensor | None
    ) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """x + attention(norm(x)), for the tokens `keep_N` only if given."""
        norm = self._rms(x_TH, layer.norm1)
        qkv_TC = linear(norm.out_TH, layer.qkv.weight)
        self._pairs(qkv_TC).mul_(turn_T1R)
        out_TE, saved = attend(qkv_TC, segments, heads=self._heads, keep_N=keep_N)
        rest_TH = x_TH if keep_N is None else x_TH.index_select(0, keep_N)
        y_TH = linear_add(rest_TH, out_TE, layer.out.weight)

        def backward(dy_TH: Tensor) -> Tensor:
            self._add(layer.out, dy_TH, out_TE)
            dqkv_TC = attend_backward(linear(dy_TH, layer.out.weight.t()), saved)
            self._pairs(dqkv_TC).mul_(turn_T1R.conj())
            self._add(layer.qkv, dqkv_TC, norm.out_TH)
            if keep_N is not None:
                dy_TH = dy_TH.new_zeros(x_TH.shape).index_copy_(0, keep_N, dy_TH)
            return self._rms_backward(linear(dqkv_TC, layer.qkv.weight.t()), norm, layer.norm1, dy_TH)

        return y_TH, backward

    def _mlp(self, layer: _Layer, x_TH: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
        """x + down(silu(gate(norm(x))) * up(norm(x)))."""
        norm = self._rms(x_TH, layer.norm2)
        gate_up_TJ = linear(norm.out_TH, layer.gate_up.weight)
        gate_TI, up_TI = gate_up_TJ.chunk(2, -1)
        silu_TI = torch.nn.functional.silu(gate_TI)
        inner_TI = silu_TI * up_TI
        y_TH = linear_add(x_TH, inner_TI, layer.down.weight)

        def backward(dy_TH: Tensor) -> Tensor:
            dinner_TI = linear(dy_TH, layer.down.weight.t())
            self._add(layer.down, dy_TH, inner_TI)
            dsilu_TI = torch.mul(dinner_TI, up_TI, out=inner_TI)
            torch.ops.aten.silu_backward.grad_input(dsilu_TI, gate_TI, grad_input=gate_TI)
            torch.mul(dinner_TI, silu_TI, out=up_TI)
            self._add(layer.gate_up, gate_up_TJ, norm.out_TH)  # now their gradients
            dnorm_TH = linear(gate_up_TJ, layer.gate_up.weight.t())
            return self._rms_backward(dnorm_TH, norm, layer.norm2, dy_TH)

        return y_TH, backward

    def _loss(self, x_NH: Tensor, row: Row) -> tuple[Tensor, Tensor]:
        """Weighted cross-entropy of the response tokens, and its gradient for their last hidden states."""
        norm = self._rms(x_NH, self._norm)
        logits_NV = linear(norm.out_TH, self._head.weight)
        targets_N1, weights_N1 = row.targets_N[:, None], row.weights_N[:, None].to(logits_NV.dtype)
        logits_NV.sub_(logits_NV.amax(-1, keepdim=True))
        right_N1 = logits_NV.gather(1, targets_N1)
        total_N1 = logits_NV.exp_().sum(-1, keepdim=True)
        loss = total_N1.log().sub_(right_N1).mul_(weights_N1).sum()
        dlogits_NV = logits_NV.mul_(weights_N1 / total_N1).scatter_add_(1, targets_N1, -weights_N1)
        self._add(self._head, dlogits_NV, norm.out_TH)
        return loss, self._rms_backward(linear(dlogits_NV, self._head.weight.t()), norm, self._norm, None)

    def _rms(self, x_TH: Tensor, part: _Part) -> _Norm:
        squared_T1 = torch.linalg.vector_norm(x_TH, dim=-1, keepdim=True).square_()
        inverse_T1 = squared_T1.div_(x_TH.shape[1]).add_(self._eps).rsqrt_()
        normed_TH = x_TH * inverse_T1
        return _Norm(normed_TH, inverse_T1, normed_TH * part.weight)

    def _rms_backward(self, dout_TH: Tensor, norm: _Norm, part: _Part, rest_TH: Tensor | None) -> Tensor:
        """The gradient for the norm's input, added to `rest_TH` (which it overwrites)."""
        product_TH = dout_TH * norm.normed_TH
        if self._first:
            torch.sum(product_TH, 0, out=part.gradient)
        else:
            part.gradient.add_(product_TH.sum(0))
        mean_T1 = torch.mv(product_TH, part.weight).div_(dout_TH.shape[1])[:, None]
        inner_TH = torch.mul(dout_TH, part.weight, out=product_TH).addcmul_(norm.normed_TH, mean_T1, value=-1)
        return inner_TH.mul_(norm.inverse_T1) if rest_TH is None else rest_TH.addcmul_(inner_TH, norm.inverse_T1)

    def _pairs(self, qkv_TC: Tensor) -> Tensor:
        """Queries and keys as complex numbers, T x 2A x D/2: a view."""
        heads, size = 2 * self._heads, self._head_size
        return torch.view_as_complex(qkv_TC[:, : heads * size].view(len(qkv_TC), heads, size // 2, 2))

    def _part(self, name: str) -> _Part:
        return _Part(self.flat.matrix(self.flat.weights, name), self.flat.matrix(self.gradients, name))

    def _layer(self, prefix: str) -> _Layer:
        return _Layer(
            norm1=self._part(f"{prefix}.input_layernorm.weight"),
            qkv=self._part(f"{prefix}.self_attn.qkv_proj.weight"),
            out=self._part(f"{prefix}.self_attn.o_proj.weight"),
            norm2=self._part(f"{prefix}.post_attention_layernorm.weight"),
            gate_up=self._part(f"{prefix}.mlp.gate_up_proj.weight"),
            down=self._part(f"{prefix}.mlp.down_proj.weight"),
        )
