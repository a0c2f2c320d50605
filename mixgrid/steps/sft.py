"""sft: one stage, that is one mixture trained once, with one recipe, from one checkpoint.

    model.safetensors, config.json, tokenizer files     Hugging Face format: transformers loads the folder
    loss.parquet                                        step, loss, learning_rate, response_tokens
    ledger    {"template": "plain", "examples": 1000, "steps": 189, "tokens": 183702, "tokens_per_second": 52100, ...}

One kind whatever the stage: DMT's first stage and mixed sequential training's have one key and run once. With `until`
it is the checkpoint on the way there, after that share of the steps; the rest goes on from its snapshot.
"""

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mixgrid.identity import Proportion, Settings, key_of
from mixgrid.recipe import Recipe
from mixgrid.runtime import DEFAULT, TrainingRuntime
from mixgrid.step import Step, artifact_folder
from mixgrid.steps import Kind, Work

if TYPE_CHECKING:
    from mixgrid.execute import WorkOrder

VERSION = 7
WHOLE = Fraction(1)


class SftSettings(Settings):
    """The recipe, the training seed that orders the examples, and the share of the steps that is trained."""

    recipe: Recipe
    seed: int
    until: Proportion = WHOLE


def sft(
    settings: SftSettings,
    *,
    parent: Step,
    mixture: Step,
    tokenized: Sequence[Step],
    stage: int,
    runtime: TrainingRuntime = DEFAULT,
) -> Step:
    """The step for one stage, the `stage`-th from 1. `tokenized` belong to the mixture's sources, in its order."""
    label = f"{parent.label}-s{settings.seed}-{mixture.label}" if stage == 1 else f"{parent.label}-{mixture.label}"
    label += "" if settings.until == WHOLE else f"@{settings.until}"
    return Step(
        kind="sft", version=VERSION, settings=settings, label=label, runtime=runtime,
        inputs={"parent": parent, "mixture": mixture, "tokenized": tuple(tokenized)},
        title=f"sft stage {stage} {label}",
    )  # fmt: skip


def training_key(order: "WorkOrder") -> str:
    """The key of the whole training that a part belongs to: snapshots are under this name."""
    settings = {name: value for name, value in order.settings.items() if name != "until"}
    return key_of(order.kind, order.version, settings, order.input_keys)


def make(work: Work) -> dict[str, Any]:
    """Train the stage, in this process or in several, and save the checkpoint beside its loss curve."""
    from mixgrid.models import forget_loaded

    forget_loaded()  # here, not in `train`: other processes need the memory that this one holds
    runtime: TrainingRuntime = work.runtime or DEFAULT
    if runtime.processes == 1:
        return train(work)
    from mixgrid.training.launch import launch

    return launch(work, processes=runtime.processes)


def train(work: Work) -> dict[str, Any]:
    """This process's part of the stage; the ledger. The main process writes the files."""
    import numpy as np

    from mixgrid.models import load_model, load_tokenizer, model_without_weights, save_checkpoint
    from mixgrid.tokens import MixedExamples, read_examples
    from mixgrid.training.processes import is_first
    from mixgrid.training.snapshots import Snapshots
    from mixgrid.training.stage import train_stage
    from mixgrid.training.writing import on_main, writing

    settings, runtime = work.settings, work.runtime or DEFAULT
    mixture, tokenized = work.one("mixture"), work.many("tokenized")
    examples = MixedExamples(
        sources=[read_examples(source, "rows") for source in tokenized],
        source_of=np.load(mixture.path("source.npy")),
        row_of=np.load(mixture.path("row.npy")),
    )
    parent, first = work.one("parent"), runtime.processes == 1 or is_first()
    folder = parent.local_folder() if first else parent.path("config.json").parent
    order, store = work.origin()
    snapshots = Snapshots(store, training=training_key(order), runtime=runtime, progress=work.progress)
    model = load_model(folder) if first else model_without_weights(folder)
    trained = train_stage(
        model, examples, recipe=settings.recipe, seed=settings.seed, until=settings.until, runtime=runtime,
        snapshots=snapshots, progress=work.progress,
    )  # fmt: skip

    def write() -> None:
        with writing("the checkpoint", work.folder):
            trained.curve.to_parquet(work.folder / "loss.parquet")
            save_checkpoint(work.folder, trained.model, load_tokenizer(folder))

    snapshots.patiently(lambda: on_main(write))
    return {"template": tokenized[0].record.settings["template"], **trained.ledger}


def finished(work: Work) -> None:
    """The checkpoint is in the store: the whole training needs no snapshots any more.

    A part that was made after the whole leaves its last one, for later parts; `mixgrid clean` takes it.
    """
    from mixgrid.training.snapshots import Snapshots

    order, store = work.origin()
    snapshots = Snapshots(store, training=training_key(order), runtime=DEFAULT)
    if work.settings.until == WHOLE:
        snapshots.clear()
    elif store.find_folder(_whole(order, work.settings.until), key=training_key(order)) is not None:
        snapshots.clear(but_newest=True)


def _whole(order: "WorkOrder", until: Fraction) -> str:
    """The folder of the checkpoint that a part leads to."""
    return artifact_folder(order.kind, order.label.removesuffix(f"@{until}"), training_key(order))


KIND = Kind(name="sft", version=VERSION, settings=SftSettings, runtime=TrainingRuntime, make=make, finished=finished)
