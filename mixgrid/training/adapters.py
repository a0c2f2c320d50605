"""Low-rank adapters (LoRA, Hu et al. 2021) by peft: a stage trains them, and merges them into its checkpoint.

adapted = with_adapter(model, Adapter(name="lora", rank=16), seed=0)
adapted.get_base_model()        -> the model with adapters in its layers and everything else frozen
adapted.merge_and_unload()      -> plain weights again, as transformers loads them
"""

import warnings
from typing import Any

from mixgrid.errors import InputError
from mixgrid.recipe import Adapter


def with_adapter(model: Any, adapter: Adapter, *, seed: int) -> Any:
    """Freeze `model` and put adapters into it; equal seeds give equal adapters. Raises InputError without peft."""
    import torch

    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise InputError("recipe.adapter: lora needs peft; install it with `pip install 'mixgrid[lora]'`") from None
    config = LoraConfig(
        r=adapter.rank,
        lora_alpha=adapter.alpha,
        lora_dropout=adapter.dropout,
        target_modules=list(adapter.targets) if adapter.targets else "all-linear",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(seed)
    try:
        with warnings.catch_warnings():  # peft 0.21 asks transformers for an attribute's old name
            warnings.filterwarnings("ignore", message=".*is_gradient_checkpointing")
            return get_peft_model(model, config)
    except ValueError as error:
        raise InputError(f"recipe.adapter.targets: {error}") from error
