"""What users would pick instead of mixgrid, each in its own loop and watched step by step: for `trainers.py`.

    timeline = train_peer("trainer", examples, model=model, tokenizer=tokenizer, recipe=recipe, steps=22, folder=folder)
        timeline.losses[0]  -> 8.3163, the mean over the response tokens of the first 16 examples
        timeline.tokens[0]  -> 3483, padding not counted

All are transformers' Trainer underneath, so they share one set of arguments: mixgrid's recipe, examples in the order
given, nothing logged or saved. What a peer does by default stays as it is, but for what `PEERS` says.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixgrid.recipe import Recipe
from mixgrid.tokens import Arrays

IGNORED = -100
WARM_UP = 2
"""The first optimiser steps are not timed: allocators, caches and AdamW's moments come into being."""

Row = dict[str, list[int]]


@dataclass
class Timeline:
    """What each optimiser step did. `ends` and `cpu_ends` are readings of the clock and of this process's CPU time."""

    losses: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    cpu_ends: list[float] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    _pending: list[tuple[float, int]] = field(default_factory=list, repr=False)

    def add_pass(self, *, loss: float, tokens: int) -> None:
        """A micro-batch of the step that is under way; its loss is a share of the step's."""
        self._pending.append((loss, tokens))

    def end_step(self) -> None:
        """The optimiser step is over, now."""
        self.ends.append(time.monotonic())
        self.cpu_ends.append(time.process_time())
        self.losses.append(sum(loss for loss, _ in self._pending))
        self.tokens.append(sum(tokens for _, tokens in self._pending))
        self._pending.clear()

    @property
    def timed(self) -> int:
        """How many steps count."""
        return len(self.ends) - WARM_UP

    @property
    def cpu_share(self) -> float:
        """CPU seconds a second while steps were timed: below the number of threads, something else had the machine."""
        first = WARM_UP - 1
        return (self.cpu_ends[-1] - self.cpu_ends[first]) / (self.ends[-1] - self.ends[first])

    def tokens_per_second(self, *, steps: int | None = None) -> float:
        """Useful tokens a second over the timed steps, or the first `steps` of them."""
        last = WARM_UP + (self.timed if steps is None else steps)
        return sum(self.tokens[WARM_UP:last]) / (self.ends[last - 1] - self.ends[WARM_UP - 1])

    def times_as_fast_as(self, other: "Timeline") -> float:
        """The ratio of useful tokens a second over the steps that both timed."""
        steps = min(self.timed, other.timed)
        return self.tokens_per_second(steps=steps) / other.tokens_per_second(steps=steps)

    def has_batches_of(self, other: "Timeline") -> bool:
        """Whether each step had as many useful tokens: a cut or packed example shows."""
        return all(own == others for own, others in zip(self.tokens, other.tokens, strict=False))

    def agrees_with(self, other: "Timeline", *, tolerance: float) -> bool:
        """Whether the first three losses are the same, relatively."""
        pairs = zip(self.losses[:3], other.losses[:3], strict=True)
        return all(abs(own - others) <= tolerance * abs(others) for own, others in pairs)


def train_peer(
    name: str, examples: Sequence[Arrays], *, model: Any, tokenizer: Any, recipe: Recipe, steps: int, folder: Path
) -> Timeline:
    """Train `model` for `steps` optimiser steps on the examples in their order."""
    timeline = Timeline()
    rows = [_row(*example) for example in examples]
    trainer = PEERS[name](rows, model, tokenizer, _arguments(recipe, steps=steps, folder=folder), timeline)
    names = ("bf16", "gradient_checkpointing", "per_device_train_batch_size", "gradient_accumulation_steps", "optim")
    timeline.facts |= {name: getattr(trainer.args, name) for name in names}
    trainer.train()
    return timeline


def _row(tokens: Any, mask: Any) -> Row:
    """An example as transformers has it; nothing predicts the first token, so it has no label."""
    labels = [int(token) if kept else IGNORED for token, kept in zip(tokens, mask, strict=True)]
    return {"input_ids": tokens.tolist(), "labels": [IGNORED, *labels[1:]]}


def _arguments(recipe: Recipe, *, steps: int, folder: Path) -> dict[str, Any]:
    """Of every peer alike; gradient checkpointing, precision and the kind of AdamW are left to each."""
    return {
        "output_dir": str(folder), "max_steps": steps, "per_device_train_batch_size": recipe.batch_size,
        "learning_rate": recipe.peak_learning_rate, "lr_scheduler_type": recipe.schedule, "warmup_steps": 0,
        "weight_decay": recipe.weight_decay, "max_grad_norm": recipe.max_gradient_norm, "adam_beta1": recipe.adam_beta1,
        "adam_beta2": recipe.adam_beta2, "adam_epsilon": recipe.adam_epsilon, "train_sampling_strategy": "sequential",
        "dataloader_num_workers": 0, "logging_strategy": "no", "save_strategy": "no", "report_to": "none",
        "disable_tqdm": True, "use_cpu": True,
    }  # fmt: skip


def _plain(*, pad_to: int | None = None, micro_batch: int | None = None) -> Callable[..., Any]:
    """Transformers' Trainer; rows as long as the longest one, or all of one length (longer ones are cut)."""

    def make(rows: list[Row], model: Any, tokenizer: Any, common: dict[str, Any], timeline: Timeline) -> Any:
        from transformers import Trainer, TrainingArguments

        def collate(batch: list[Row]) -> dict[str, Any]:
            return padded(batch, length=pad_to, pad_token=tokenizer.pad_token_id)

        batch = common["per_device_train_batch_size"]
        size = micro_batch or batch
        sizes = {"per_device_train_batch_size": size, "gradient_accumulation_steps": batch // size}
        return _watched(Trainer, timeline)(
            model=model, args=TrainingArguments(**(common | sizes)), train_dataset=rows, data_collator=collate
        )

    return make


def padded(batch: list[Row], *, length: int | None, pad_token: int) -> dict[str, Any]:
    """B x L tokens, labels and attention mask, padded on the right; L is the longest row's length if not given."""
    import torch

    length = length or max(len(row["input_ids"]) for row in batch)
    tokens_BL = torch.full((len(batch), length), pad_token)
    labels_BL = torch.full((len(batch), length), IGNORED)
    mask_BL = torch.zeros((len(batch), length), dtype=torch.long)
    for place, row in enumerate(batch):
        kept = min(length, len(row["input_ids"]))
        tokens_BL[place, :kept] = torch.tensor(row["input_ids"][:kept])
        labels_BL[place, :kept] = torch.tensor(row["labels"][:kept])
        mask_BL[place, :kept] = 1
    return {"input_ids": tokens_BL, "labels": labels_BL, "attention_mask": mask_BL}


def _trl(**settings: Any) -> Callable[..., Any]:
    """TRL's SFTTrainer with its own defaults, but for `settings`."""

    def make(rows: list[Row], model: Any, tokenizer: Any, common: dict[str, Any], timeline: Timeline) -> Any:
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        args = SFTConfig(**(common | settings))
        dataset = Dataset.from_list(rows)
        return _watched(SFTTrainer, timeline)(model=model, args=args, train_dataset=dataset, processing_class=tokenizer)

    return make


def _watched(trainer: Any, timeline: Timeline) -> Callable[..., Any]:
    """The trainer, telling `timeline` of each pass and of the end of each optimiser step."""
    from transformers import TrainerCallback

    class Watched(trainer):
        def training_step(self, model: Any, inputs: dict[str, Any], *args: Any, **settings: Any) -> Any:
            mask = inputs.get("attention_mask")  # flattened rows have none, and no padding
            tokens = inputs["input_ids"].numel() if mask is None else int(mask.sum())
            loss = super().training_step(model, inputs, *args, **settings)
            timeline.add_pass(loss=float(loss), tokens=tokens)
            return loss

    class Clock(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            timeline.end_step()

    return lambda **settings: Watched(**settings, callbacks=[Clock()])


PEERS: dict[str, Callable[..., Any]] = {
    # SFTConfig's defaults: bf16 autocast and gradient checkpointing, on a CPU too
    "trl": _trl(),
    "trl_fp32": _trl(bf16=False, gradient_checkpointing=False),
    # 4 rows hold about 16 examples; a pass flattens its rows into one with a square mask: fastest with 1 a pass (2 take
    # 1.5 times as long a row, 4 take 2.4 times, 16 take 7 times)
    "trl_packed": _trl(packing=True, max_length=1024, per_device_train_batch_size=1, gradient_accumulation_steps=4),
    "trainer": _plain(),
    "trainer_micro": _plain(micro_batch=4),
    "pad_512": _plain(pad_to=512),
    # 7.7 GB; with FastChat's own 2 examples a pass 1.5 GB and the same speed
    "pad_2048": _plain(pad_to=2048),
}
