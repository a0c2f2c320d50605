"""A plain LLaMA's weights in one buffer, in the layout that its lean passes want, and buffers like it.

    flat = FlatWeights(model)
    flat.matrix(flat.weights, "model.layers.0.self_attn.qkv_proj.weight")    a view, 3H x H
    dict(flat.named(gradients))["model.layers.0.self_attn.k_proj.weight"]    H x H, in the model's own order

One optimiser call updates one buffer. What is multiplied with the same input is one matrix (queries, keys and values;
gate and up). Rows of queries and keys have the two halves of a head interleaved: rotating is one complex product, and
their dot products do not change. A matrix lies in memory as `mixgrid.products.outer` gives its gradient.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import torch
from torch import Tensor

from mixgrid.products import by_input

_EMBEDDING = "model.embed_tokens.weight"
_STACKED = {"q_proj": "qkv_proj", "k_proj": "qkv_proj", "v_proj": "qkv_proj", "gate_proj": "gate_up_proj",
            "up_proj": "gate_up_proj"}  # fmt: skip


@dataclass(frozen=True)
class _Matrix:
    """Where a matrix lies: parameters of a model under one another, `by_input` transposed in memory."""

    start: int
    shape: torch.Size
    by_input: bool

    def view(self, buffer: Tensor) -> Tensor:
        flat = buffer[self.start : self.start + self.shape.numel()]
        return flat.view(*reversed(self.shape)).t() if self.by_input else flat.view(self.shape)


class FlatWeights:
    """The weights of one model; until `write_back` some of the model's own are stale."""

    def __init__(self, model: Any, *, heads: int) -> None:
        self._model = model
        named = dict(model.named_parameters())
        self._matrices: dict[str, _Matrix] = {}
        self._rows: dict[str, tuple[str, slice]] = {}
        size = sum(self._place(stack, {n: named[n] for n in names}) for stack, names in groupby(named, _stack_of))
        queries = named["model.layers.0.self_attn.q_proj.weight"]
        halves = torch.arange(len(queries)).view(heads, 2, -1)
        self._interleaved = halves.transpose(1, 2).reshape(-1)
        self.weights = queries.new_empty(size).requires_grad_(False)
        self.fill(self.weights, {name: parameter.detach() for name, parameter in named.items()})
        for name, parameter in named.items():  # those that lie here as the model has them need no second place
            if not _turned(name) and (view := self.view(self.weights, name)).is_contiguous():
                parameter.data = view

    def _place(self, stack: str, parameters: dict[str, Tensor]) -> int:
        """Put parameters under one another behind what is placed already; returns their size."""
        start = sum(matrix.shape.numel() for matrix in self._matrices.values())
        rows = 0
        for name, parameter in parameters.items():
            self._rows[name] = stack, slice(rows, rows + len(parameter))
            rows += len(parameter)
        shape = torch.Size((rows, *parameter.shape[1:]))
        looked_up = stack == _EMBEDDING
        self._matrices[stack] = _Matrix(start, shape, len(shape) == 2 and not looked_up and by_input(*shape))
        return math.prod(shape)

    def __contains__(self, name: str) -> bool:
        """Whether there is a matrix (or norm) of this name."""
        return name in self._matrices

    def matrix(self, buffer: Tensor, name: str) -> Tensor:
        """A matrix in a buffer, with one row an output; a norm's weights are a vector."""
        return self._matrices[name].view(buffer)

    def view(self, buffer: Tensor, name: str) -> Tensor:
        """The part of a buffer that belongs to a parameter, in its shape; rows of q and k are interleaved."""
        stack, rows = self._rows[name]
        return self.matrix(buffer, stack)[rows]

    def named(self, buffer: Tensor) -> Iterator[tuple[str, Tensor]]:
        """Each parameter's share of a buffer as the model has it: contiguous, a copy where it lies otherwise here."""
        for name in self._rows:
            view = self.view(buffer, name)
            if _turned(name):
                empty = torch.empty_like(view, memory_format=torch.contiguous_format)
                yield name, empty.index_copy_(0, self._interleaved, view)
            else:
                yield name, view.contiguous()

    def fill(self, buffer: Tensor, named: dict[str, Tensor]) -> None:
        """The opposite of `named`."""
        for name, tensor in named.items():
            self.view(buffer, name).copy_(tensor[self._interleaved] if _turned(name) else tensor)

    def write_back(self) -> None:
        """Give the model its trained weights."""
        named = dict(self._model.named_parameters())
        with torch.no_grad():
            for name, weight in self.named(self.weights):
                named[name].copy_(weight)


def _stack_of(name: str) -> str:
    """The matrix that a parameter is part of."""
    parts = name.split(".")
    return ".".join(_STACKED.get(part, part) for part in parts)


def _turned(name: str) -> bool:
    return ".q_proj." in name or ".k_proj." in name
