"""One process or several that move in step: accelerate's part, and the traps it has.

    accelerator = make_accelerator(model, TrainingRuntime(processes=2, sharding="full"), half=True)
    total(accelerator, 0.25)     -> the sum over all processes, on each of them

Several processes are started by `mixgrid.training.launch`; what they are to each other stands in the environment.
"""

from typing import TYPE_CHECKING, Any

import torch

from mixgrid.models import device
from mixgrid.runtime import TrainingRuntime

if TYPE_CHECKING:
    from accelerate import Accelerator


def make_accelerator(model: Any, runtime: TrainingRuntime, *, half: bool) -> "Accelerator":
    """An accelerator for this process's device. Precision is ours: accelerate keeps its first one for ever.

    With `half`, shards are gathered in bf16 and their gradients summed in fp32.
    """
    from accelerate import Accelerator, FullyShardedDataParallelPlugin
    from accelerate.utils import DistributedType
    from torch.distributed.fsdp import MixedPrecisionPolicy

    plugin = None
    if runtime.sharding == "full" and runtime.processes > 1:
        policy = MixedPrecisionPolicy(param_dtype=torch.bfloat16, reduce_dtype=torch.float32)
        plugin = FullyShardedDataParallelPlugin(
            fsdp_version=2,
            auto_wrap_policy="transformer_based_wrap",
            transformer_cls_names_to_wrap=list(model._no_split_modules),
            mixed_precision_policy=policy if half else None,
            reshard_after_forward=True,
            cpu_ram_efficient_loading=False,
        )
    accelerator = Accelerator(mixed_precision="no", cpu=device() == "cpu", fsdp_plugin=plugin)
    if plugin is not None and accelerator.distributed_type == DistributedType.MULTI_CPU:
        # accelerate shards on accelerators only, torch on CPUs too: the same code, so that it can be tested anywhere
        accelerator.state.distributed_type = DistributedType.FSDP
        accelerator.state.fsdp_plugin = plugin
    return accelerator


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
