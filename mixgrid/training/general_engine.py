"""The engine of transformers' models: autograd, on CPU or CUDA, one process or several, whole or sharded.

Every process is given the whole global batch and computes its share of it. Where processes move in step (gradients are
averaged, shards gathered) each has equally many rows: a share that has fewer gets rows that weigh nothing.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

from mixgrid.recipe import Recipe
from mixgrid.runtime import TrainingRuntime
from mixgrid.training.attention import use_segment_attention
from mixgrid.training.batches import Prepared, Row, Weighted, cut, empty_row, row_of, share_out
from mixgrid.training.engine import MOMENTS, State
from mixgrid.training.lean_engine import adamw
from mixgrid.training.loss import ResponseLoss
from mixgrid.training.memory import MemoryPlan, available_bytes, out_of_memory, plan_memory
from mixgrid.training.probe import check_rows, has_plain_head
from mixgrid.training.processes import least, make_accelerator, shard_layers, spread_weights, total, whole
from mixgrid.training.writing import on_main


class GeneralEngine:
    """See `mixgrid.training.engine.Engine`."""

    def __init__(self, model: Any, *, recipe: Recipe, runtime: TrainingRuntime, longest: int, seed: int) -> None:
        self._accelerator = make_accelerator(runtime)
        self.device = self._accelerator.device
        self.main = self._accelerator.is_main_process
        self.updates = 0
        self._model, self._recipe, self._seed = model, recipe, seed
        self._sharded = runtime.sharding == "full" and self._accelerator.num_processes > 1
        plain_head, self.memory = self._find_out(runtime, longest)
        model.train()
        self.row_tokens, self.estimated_bytes = self.memory.row_tokens, self.memory.estimated_bytes
        if self.memory.activation_checkpointing:
            model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
        if runtime.compile:
            _compile_layers(model)
        wrapped = ResponseLoss(model, plain_head=plain_head)
        weights = wrapped.state_dict() if self._sharded and self.main else {}
        if self._sharded:
            shard_layers(model, half=recipe.precision == "bf16")
        optimizer = adamw([p for p in wrapped.parameters() if p.requires_grad], recipe)
        self._loss, self._optimizer = self._accelerator.prepare(wrapped, optimizer)  # whole weights: the first one's
        if self._sharded:
            spread_weights(self._loss, weights)

    def prepare(self, batch: Sequence[Weighted]) -> Prepared:
        """This process's rows, and as many as any process has."""
        row_tokens = self.row_tokens
        processes, lengths = self._accelerator.num_processes, [e.length for e in batch]
        shares = share_out(lengths, processes=processes)
        cuts = [cut([lengths[i] for i in share], max_row_tokens=row_tokens) for share in shares]
        own = shares[self._accelerator.process_index]
        rows = [row_of([batch[own[i]] for i in row]) for row in cuts[self._accelerator.process_index]]
        rows += [empty_row()] * (max(map(len, cuts)) - len(rows))
        return Prepared(batch, rows, row_tokens)

    def accumulate(self, prepared: Prepared, *, step: int) -> float:
        """The batch's loss; its gradients are added. After an out-of-memory error on one device, in smaller rows."""
        while True:
            if prepared.row_tokens != self.row_tokens:
                prepared = self.prepare(prepared.batch)
            torch.manual_seed(hash_seed(self._seed, step, self._accelerator.process_index))  # dropout, if any
            losses, size = [], 0
            try:
                for number, row in enumerate(prepared.rows, 1):
                    size = row.tokens_1T.shape[1]
                    losses.append(self._pass(row, last=number == len(prepared.rows)))
                return total(self._accelerator, float(torch.stack(losses).double().sum()))
            except RuntimeError as error:  # torch.OutOfMemoryError is one
                self.row_tokens = out_of_memory(
                    error, row_tokens=self.row_tokens, row=size, alone=self._accelerator.num_processes == 1,
                    longest=prepared.longest, memory=self.memory,
                )  # fmt: skip
            self._optimizer.zero_grad(set_to_none=True)
            if self.device.type == "cuda":
                torch.cuda.empty_cache()

    def update(self, *, rate: float) -> None:
        """Clip, one AdamW update, gradients back to zero."""
        self._accelerator.clip_grad_norm_(self._loss.parameters(), self._recipe.max_gradient_norm)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self.updates += 1

    def state(self) -> State:
        """Weights that train and moments, as they are: sharded tensors stay so."""
        moments = {name: self._moments(parameter) for name, parameter in self._trained()}
        state = {"weights": {name: parameter.detach() for name, parameter in self._trained()}}
        return state | {kind: {name: m[kind] for name, m in moments.items()} for kind in MOMENTS}

    def load(self, state: State, *, updates: int) -> None:
        """Go on from a state."""
        with torch.no_grad():
            for name, parameter in self._trained():
                parameter.copy_(state["weights"][name])
                moments = self._moments(parameter)
                for kind in MOMENTS:
                    moments[kind].copy_(state[kind][name])
                moments["step"].fill_(updates)
        self.updates = updates

    def write_back(self) -> None:
        """Put the trained weights into the model that was given, whole; elsewhere than on `main` none are left.

        Every process has to take part. What was one tensor stays one.
        """
        if not self._sharded:
            return
        made: dict[torch.Tensor, torch.nn.Parameter] = {}
        with torch.no_grad():
            for module in list(self._model.modules()):
                for name, parameter in list(module.named_parameters(recurse=False)):
                    if parameter not in made:
                        gathered = whole(parameter.detach())
                        made[parameter] = torch.nn.Parameter(gathered.cpu() if self.main else torch.empty(0))
                    module._parameters[name] = made[parameter]

    def _pass(self, row: Row, *, last: bool) -> Tensor:
        with self._quiet(last):
            with self._autocast():
                loss: Tensor = self._loss(row.to(self.device))
            # gradients are averaged over processes, and the loss is a sum
            self._accelerator.backward(loss * self._accelerator.num_processes)
        return loss.detach()

    def _quiet(self, last: bool) -> AbstractContextManager[Any]:
        """Nothing is exchanged before the last row, unless gradients of whole weights would have to be kept."""
        if last or self._sharded or self._accelerator.num_processes == 1:
            return nullcontext()
        quiet: AbstractContextManager[Any] = self._accelerator.no_sync(self._loss)
        return quiet

    def _autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=self._recipe.precision == "bf16")

    def _trained(self) -> list[tuple[str, Any]]:
        unwrapped = self._accelerator.unwrap_model(self._loss)
        return [(n.removeprefix("causal."), p) for n, p in unwrapped.named_parameters() if p.requires_grad]

    def _moments(self, parameter: Any) -> dict[str, Any]:
        state: dict[str, Any] = self._optimizer.optimizer.state[parameter]
        if not state:
            state["step"] = torch.tensor(0.0, device=self.device)
            state |= {kind: torch.zeros_like(parameter) for kind in MOMENTS}
        return state

    def _find_out(self, runtime: TrainingRuntime, longest: int) -> tuple[bool, MemoryPlan]:
        """Whether the head is plain, and one memory plan for all: they have to cut equally many rows.

        The process with the least room decides. Only the first one has weights to try things with.
        """
        processes, model = self._accelerator.num_processes, self._model
        available = least(self._accelerator, available_bytes(self.device, processes=processes))
        own_attention = model.config._attn_implementation
        use_segment_attention(model)

        def find_out() -> tuple[bool, MemoryPlan]:
            check_rows(model, own_attention=own_attention)
            plain_head = has_plain_head(model)
            plan = plan_memory(
                model, runtime=runtime, longest=longest, shards=processes if self._sharded else 1,
                half=self._recipe.precision == "bf16", available=available, fixed_rows=self.device.type == "cpu",
                plain_head=plain_head,
            )  # fmt: skip
            return plain_head, plan

        return on_main(find_out)


def hash_seed(*numbers: int) -> int:
    """One seed from several numbers, the same everywhere."""
    import numpy as np

    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> 1)


def _compile_layers(model: Any) -> None:
    """Compile each repeated layer for rows of any length: one compilation serves all layers."""
    names = set(model._no_split_modules)
    for module in model.modules():
        if type(module).__name__ in names:
            module.compile(dynamic=True)
