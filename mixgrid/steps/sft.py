"""sft: one stage, that is one mixture trained once, with one recipe, from one checkpoint.

    model.safetensors, config.json, tokenizer files     Hugging Face format: transformers loads the folder
    loss.parquet                                        step, loss, learning_rate, response_tokens
    ledger    {"template": "plain", "examples": 1000, "steps": 189, "tokens": 183702, "tokens_per_second": 9100, ...}

One kind whatever the stage: DMT's first stage and mixed sequential training's have one key and run once.
"""

from collections.abc import Sequence
from typing import Any

from mixgrid.identity import Settings
from mixgrid.recipe import Recipe
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 1


class SftSettings(Settings):
    """The recipe, and the training seed that orders the examples."""

    recipe: Recipe
    seed: int


def sft(settings: SftSettings, *, parent: Step, mixture: Step, tokenized: Sequence[Step], stage: int) -> Step:
    """The step for one stage, the `stage`-th from 1. `tokenized` belong to the mixture's sources, in its order."""
    label = f"{parent.label}-s{settings.seed}-{mixture.label}" if stage == 1 else f"{parent.label}-{mixture.label}"
    return Step(
        kind="sft", version=VERSION, settings=settings, label=label,
        inputs={"parent": parent, "mixture": mixture, "tokenized": tuple(tokenized)},
        title=f"sft stage {stage} {label}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Train the stage and save the checkpoint beside its loss curve."""
    import numpy as np

    from mixgrid.models import load_model, load_tokenizer, save_checkpoint
    from mixgrid.tokens import MixedExamples, read_examples
    from mixgrid.training.stage import train_stage

    mixture, tokenized = work.one("mixture"), work.many("tokenized")
    examples = MixedExamples(
        sources=[read_examples(source, "rows") for source in tokenized],
        source_of=np.load(mixture.path("source.npy")),
        row_of=np.load(mixture.path("row.npy")),
    )
    folder = work.one("parent").local_folder()
    model = load_model(folder)
    ledger, curve = train_stage(
        model, examples, recipe=work.settings.recipe, seed=work.settings.seed, progress=work.progress
    )
    curve.to_parquet(work.folder / "loss.parquet")
    save_checkpoint(work.folder, model, load_tokenizer(folder))
    return {"template": tokenized[0].record.settings["template"], **ledger}


KIND = Kind(name="sft", version=VERSION, settings=SftSettings, make=make)
