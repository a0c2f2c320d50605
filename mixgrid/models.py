"""Models and tokenizers: made, loaded and saved in Hugging Face format.

model = new_llama(LlamaShape(hidden_size=64, ...), tokenizer=tokenizer, seed=0)
save_checkpoint(folder, model, tokenizer)      # transformers loads the folder
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mixgrid.artifact import Artifact
from mixgrid.errors import InputError, StepError
from mixgrid.sources.files import content_hash
from mixgrid.study import LlamaShape

SPECIAL_TOKENS = ("<pad>", "<s>", "</s>")
_kept: dict[str, Any] = {}
"""The checkpoint that this process answered with last: several benchmarks ask the same one."""


def train_tokenizer(texts: Iterator[str], *, vocabulary_size: int) -> Any:
    """A byte-level BPE with single digits and the tokens <pad>, <s> and </s>; each text starts with <s>."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer=trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def load_tokenizer(source: str | Path | None, *, revision: str | None = None) -> Any:
    """A tokenizer from a folder or the hub. Raises InputError when it has no end token."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(source), revision=revision)
    if tokenizer.eos_token_id is None or not tokenizer.is_fast:
        raise InputError(f"tokenizer {source}: mixgrid needs a fast tokenizer with an end token; this one lacks it")
    return tokenizer


def new_llama(shape: LlamaShape, *, tokenizer: Any, seed: int) -> Any:
    """A LLaMA with random weights in fp32; the same seed gives the same weights."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=shape.hidden_size,
        intermediate_size=shape.intermediate_size,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        max_position_embeddings=4096,
        tie_word_embeddings=shape.tied_embeddings,
        initializer_range=shape.initializer_range,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(seed)
    return LlamaForCausalLM(config).float()


def load_model(source: str | Path | None, *, revision: str | None = None, dtype: str = "float32") -> Any:
    """A causal language model from a folder or the hub, in fp32 or "bfloat16".

    A file whose output head differs from the embedding that its configuration would tie it to is not tied, and says so
    from then on.
    """
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(source), revision=revision, dtype=getattr(torch, dtype))
    head = model.get_output_embeddings()
    if getattr(model.config, "tie_word_embeddings", False) and head is not None:
        model.config.tie_word_embeddings = head.weight is model.get_input_embeddings().weight
    return model


def model_without_weights(source: str | Path) -> Any:
    """The model of a folder with memory for its weights that nobody has touched: it costs none until it is written to.

    Buffers are as `load_model` gives them, but for those that the folder's files hold.
    """
    import torch
    from accelerate import init_empty_weights
    from transformers import AutoConfig, AutoModelForCausalLM

    with init_empty_weights(include_buffers=False):
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(str(source)), dtype=torch.float32)
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            untouched = torch.empty_like(parameter, device="cpu")
            setattr(module, name, torch.nn.Parameter(untouched, requires_grad=parameter.requires_grad))
    model.tie_weights()
    return model


def save_checkpoint(folder: Path, model: Any, tokenizer: Any) -> None:
    """Weights (safetensors), configuration and tokenizer, as transformers loads them."""
    model.save_pretrained(folder)
    save_tokenizer(folder, tokenizer)


def save_tokenizer(folder: Path, tokenizer: Any) -> None:
    """The tokenizer's files, as transformers loads them.

    transformers 5.23 forgets a LLaMA tokenizer's `legacy`, and with it how a turn after `</s>` begins; it is added.
    """
    tokenizer.save_pretrained(folder)
    legacy = getattr(tokenizer, "legacy", None)
    if legacy is not None:
        path = folder / "tokenizer_config.json"
        settings = json.loads(path.read_text(encoding="utf-8")) | {"legacy": legacy}
        path.write_text(json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def loaded_checkpoint(checkpoint: Artifact, *, dtype: str = "float32") -> tuple[Any, Any]:
    """Model (in eval mode, on this process's device) and tokenizer of a checkpoint; the last one is kept."""
    folder, name = checkpoint.local_folder(), f"{checkpoint.record.key} {dtype}"
    if name not in _kept:
        _kept.clear()
        _kept[name] = (load_model(folder, dtype=dtype).eval().to(device()), load_tokenizer(folder))
    model, tokenizer = _kept[name]
    return model, tokenizer


def forget_loaded() -> None:
    """Let go of the checkpoint that this process answered with last: a training needs the memory."""
    import torch

    _kept.clear()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def folder_hash(folder: str) -> str:
    """One SHA-256 over the names and contents of a folder's files. Raises InputError when there is no model in it."""
    files = sorted(p for p in Path(folder).glob("*") if p.is_file() and not p.name.startswith("."))
    if not any(p.name == "config.json" for p in files):
        raise InputError(f"model path {folder}: no config.json there; give a folder in Hugging Face format")
    lines = [f"{p.name} {content_hash(str(p))}" for p in files]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def pinned_location(location: str | None, *, content: str | None) -> str | None:
    """`location` if what lies there is still what was planned. Raises StepError when it has changed."""
    if content is not None and folder_hash(str(location)) != content:
        raise StepError(f"model path {location}: its files have changed since it was planned; run again")
    return location


def device() -> str:
    """The device that this process computes on: MIXGRID_DEVICE, else cuda where there is one, else cpu."""
    import torch

    return os.environ.get("MIXGRID_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
