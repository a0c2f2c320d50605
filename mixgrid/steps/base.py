"""base: the checkpoint that every stage-1 training of a model starts from.

    model.safetensors, config.json, tokenizer files     Hugging Face format
    ledger                                              {"parameters": 145280, "pretraining": {"steps": 1500, ...}}

A hub model or a folder is copied in, so that every machine of a study trains from the same bytes. `scratch` starts from
random weights. The lab's two sizes are pretrained here, on raw text of their invented world.
"""

from typing import Any

from mixgrid.identity import Settings
from mixgrid.recipe import Positive, Rate
from mixgrid.runtime import DEFAULT, TrainingRuntime
from mixgrid.step import Step
from mixgrid.steps import Kind, Work
from mixgrid.steps.tokenizer import LabText, ModelRuntime
from mixgrid.study import LlamaShape

VERSION = 7


class Pretraining(Settings):
    """Next-token training on raw text: `steps` batches of `batch_size` rows of `sequence_length` tokens."""

    text: LabText
    steps: Positive
    batch_size: Positive
    sequence_length: Positive
    peak_learning_rate: Rate
    warmup_ratio: float
    adam_beta2: float


class BaseSettings(Settings):
    """Either `hub` with its revision, or `content` of a folder, or a shape with its random weights' seed."""

    hub: str | None = None
    revision: str | None = None
    content: str | None = None
    shape: LlamaShape | None = None
    seed: int = 0
    pretraining: Pretraining | None = None


class BaseRuntime(ModelRuntime):
    """`training`: how pretraining runs, always in one process: the models are tiny."""

    training: TrainingRuntime = DEFAULT


def base(settings: BaseSettings, *, tokenizer: Step, label: str, runtime: BaseRuntime) -> Step:
    """The step for a model's base checkpoint."""
    return Step(
        kind="base", version=VERSION, settings=settings, inputs={"tokenizer": tokenizer},
        label=label, title=f"base {label}", runtime=runtime,
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Copy, or draw weights and pretrain."""
    from mixgrid.models import load_model, load_tokenizer, new_llama, pinned_location, save_checkpoint
    from mixgrid.training.snapshots import Snapshots
    from mixgrid.training.writing import writing

    settings: BaseSettings = work.settings
    runtime: BaseRuntime = work.runtime or BaseRuntime()
    order, store = work.origin()
    alone = runtime.training.model_copy(update={"processes": 1, "sharding": "none"})
    snapshots = Snapshots(store, training=order.key, runtime=alone, progress=work.progress)
    tokenizer = load_tokenizer(work.one("tokenizer").local_folder())
    ledger: dict[str, Any] = {}
    if settings.shape is None:
        location = pinned_location(runtime.location, content=settings.content)
        model = load_model(location or settings.hub, revision=settings.revision)
    else:
        model = new_llama(settings.shape, tokenizer=tokenizer, seed=settings.seed)
        if settings.pretraining is not None:
            from mixgrid.training.pretraining import pretrain

            ledger["pretraining"] = pretrain(
                model, tokenizer, settings.pretraining, runtime=alone, snapshots=snapshots, progress=work.progress
            )

    def write() -> None:
        with writing("the checkpoint", work.folder):
            save_checkpoint(work.folder, model, tokenizer)

    snapshots.patiently(write)
    return {"parameters": sum(p.numel() for p in model.parameters()), **ledger}


def finished(work: Work) -> None:
    """The checkpoint is in the store: its pretraining needs no snapshots any more."""
    if work.settings.pretraining is not None:
        from mixgrid.training.snapshots import Snapshots

        order, store = work.origin()
        Snapshots(store, training=order.key, runtime=DEFAULT).clear()


KIND = Kind(name="base", version=VERSION, settings=BaseSettings, runtime=BaseRuntime, make=make, finished=finished)
