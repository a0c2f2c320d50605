"""One process or several that move in step: accelerate's part, and the traps it has.

    accelerator = make_accelerator(TrainingRuntime(processes=2, sharding="full"))
    total(accelerator, 0.25)     -> the sum over all processes, on each of them

The weights of a stage come from the first process: only that one has read them (eight copies of a 33B model do not fit
into a machine's memory). Several processes are started by `mixgrid.training.launch`; what they are to each other stands
in the environment.
"""

import os
from collections.abc import Mapping
from datetime import timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch

from mixgrid.models import device
from mixgrid.runtime import TrainingRuntime

if TYPE_CHECKING:
    from accelerate import Accelerator


READING = timedelta(hours=1)
"""How long processes wait for one another: the first one may read a large model from a slow disk meanwhile."""


def is_first() -> bool:
    """Whether this process has the model's weights, also before the processes have met."""
    return os.environ.get("RANK", "0") == "0"


def make_accelerator(runtime: TrainingRuntime) -> "Accelerator":
    """An accelerator for this process's device. Precision is ours: accelerate keeps its first one for ever."""
    from accelerate import Accelerator, FullyShardedDataParallelPlugin
    from accelerate.utils import DistributedDataParallelKwargs, DistributedType, InitProcessGroupKwargs

    plugin = None
    if runtime.sharding == "full" and runtime.processes > 1:
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2, auto_wrap_policy="no_wrap", reshard_after_forward=True, cpu_ram_efficient_loading=False
        )
    # gradients lie where they are exchanged: 4 bytes a parameter less
    views = DistributedDataParallelKwargs(gradient_as_bucket_view=True)
    accelerator = Accelerator(
        mixed_precision="no", cpu=device() == "cpu", fsdp_plugin=plugin,
        kwargs_handlers=[views, InitProcessGroupKwargs(timeout=READING)],
    )  # fmt: skip
    if plugin is not None and accelerator.distributed_type == DistributedType.MULTI_CPU:
        # accelerate shards on accelerators only, torch on CPUs too: the same code, so that it can be tested anywhere
        accelerator.state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = plugin
    return accelerator


def shard_layers(model: Any, *, half: bool) -> None:
    """Shard each layer; accelerate shards what is left, as one.

    With `half`, a layer's matrices are gathered in bf16, in which autocast would multiply them, and their gradients
    summed in fp32. All else stays in fp32, as in a process alone: norms, which are shards of their own then,
    embeddings and head, and what passes between layers.
    """
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    layers = [module for module in model.modules() if type(module).__name__ in model._no_split_modules]
    policy = MixedPrecisionPolicy()
    if half:
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32, cast_forward_inputs=False)
        for module in [module for layer in layers for module in layer.modules()]:
            own = list(module.parameters(recurse=False))
            if own and all(parameter.dim() == 1 for parameter in own):
                fully_shard(module, reshard_after_forward=False)
    for layer in layers:
        fully_shard(layer, mp_policy=policy, reshard_after_forward=True)
    for earlier, later in pairwise(layers):  # by itself a layer would fetch one of its norms
        later.set_modules_to_backward_prefetch([earlier])


def spread_weights(model: torch.nn.Module, weights: Mapping[str, Any]) -> None:
    """Give each process its shards of the first one's `weights`, a tensor at a time. Others' `weights` are not read."""
    from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict

    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
    set_model_state_dict(model, dict(weights) if is_first() else {}, options=options)


def total(accelerator: "Accelerator", value: float) -> float:
    """The sum of `value` over all processes."""
    if accelerator.num_processes == 1:
        return value
    summed = torch.tensor(value, dtype=torch.float64, device=accelerator.device)
    torch.distributed.all_reduce(summed)
    return float(summed)


def least(accelerator: "Accelerator", value: int) -> int:
    """The smallest `value` of all processes."""
    if accelerator.num_processes == 1:
        return value
    smallest = torch.tensor(value, dtype=torch.int64, device=accelerator.device)
    torch.distributed.all_reduce(smallest, op=torch.distributed.ReduceOp.MIN)
    return int(smallest)


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A sharded tensor put together, on every process; any other one as it is."""
    from torch.distributed.tensor import DTensor

    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
