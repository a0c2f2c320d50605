"""Pins: what a study names becomes content that cannot change, a SHA-256 or a hub revision.

    pin_source(SourceChoice(form="alpaca", path=("a.json",)), lock)
        -> PinnedSource(settings=DownloadSettings(content="9f2c...", ...), rows=2017, unpinned=None)

A hub revision that nobody has looked up is not invented: the source is `unpinned` until `mixgrid.lock` resolves it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial

from mixgrid.abilities import SourceChoice
from mixgrid.models import folder_hash
from mixgrid.sources import GeneratedSource, HubDataset, load_sources
from mixgrid.sources.reading import contents, read_source
from mixgrid.steps.base import BaseSettings, Pretraining
from mixgrid.steps.download import DownloadRuntime, DownloadSettings
from mixgrid.steps.tokenizer import LabText, ModelRuntime, TokenizerSettings
from mixgrid.study import LlamaShape, Model

Lock = Mapping[str, str]
"""Hub repository -> revision; datasets under `datasets/<name>`."""


@dataclass(frozen=True)
class PinnedSource:
    """A download's settings, how to count its training rows (None: unknown before the download), what is not pinned."""

    settings: DownloadSettings
    runtime: DownloadRuntime
    count: Callable[[], int | None]
    unpinned: str | None = None


@dataclass(frozen=True)
class PinnedModel:
    """A model's tokenizer and base settings. `label` follows from them, not from the study's name for the model."""

    tokenizer: TokenizerSettings
    base: BaseSettings
    runtime: ModelRuntime
    template: str
    label: str
    unpinned: str | None = None


def pin_source(choice: SourceChoice, lock: Lock) -> PinnedSource:
    """Pin one source. Raises SourceError when a named file is not there."""
    known = load_sources().get(choice.name or "")
    without = tuple(sorted((chosen.pinned() for chosen in choice.without), key=lambda settings: settings.name))
    if isinstance(known, GeneratedSource):
        rows, held_out = choice.rows or known.rows, known.held_out if choice.held_out is None else choice.held_out
        settings = DownloadSettings(source=known.name, rows=rows, held_out=held_out, without=without)
        return PinnedSource(settings, DownloadRuntime(), partial(_counted, settings, DownloadRuntime()))
    form = choice.form or (known.form if known else None)
    declared = choice.rows or (known.rows if known else None)
    held_out = choice.held_out or 0
    common = {"source": choice.name or str(form), "form": form, "held_out": held_out, "without": without}
    if choice.path is not None:
        settings = DownloadSettings(**common, content=_contents(choice.path))
        runtime = DownloadRuntime(locations=choice.path, declared_rows=declared)
        return PinnedSource(settings, runtime, partial(_counted, settings, runtime))
    hub = _hub(choice, known.hub if known else None)
    runtime = DownloadRuntime(declared_rows=declared)
    expected = declared - held_out if declared is not None else None
    if hub is None:
        assert known is not None
        problem = f"{known.name} is on no hub: set `path` to your copy ({known.homepage})"
        return PinnedSource(DownloadSettings(**common), runtime, lambda: expected, problem)
    revision = hub.revision or lock.get(f"datasets/{hub.repo}")
    pinned = hub.model_copy(update={"revision": revision})
    unpinned = None if revision else f"datasets/{hub.repo}"
    return PinnedSource(DownloadSettings(**common, hub=pinned), runtime, lambda: expected, unpinned)


def pin_model(model: Model, *, template: str | None, base_seed: int, lock: Lock) -> PinnedModel:
    """Pin one base model. A template of the model's own comes before the study's."""
    chosen = model.template or template
    if model.lab is not None:
        return _pin_lab(model.lab, template=chosen or "plain", base_seed=base_seed)
    chosen = chosen or "vicuna"
    if model.scratch is not None:
        tokenizer = TokenizerSettings(vocabulary_size=model.scratch.vocabulary_size, template=chosen)
        base = BaseSettings(shape=model.scratch, seed=base_seed)
        label = f"llama-{model.scratch.hidden_size}x{model.scratch.layers}"
        return PinnedModel(tokenizer, base, ModelRuntime(), chosen, label)
    if model.path is not None:
        content = folder_hash(model.path)
        runtime = ModelRuntime(location=model.path)
        tokenizer, base = TokenizerSettings(content=content), BaseSettings(content=content)
        return PinnedModel(tokenizer, base, runtime, chosen, f"model-{content[:8]}")
    revision = model.revision or lock.get(str(model.hub))
    tokenizer = TokenizerSettings(hub=model.hub, revision=revision)
    unpinned = None if revision else str(model.hub)
    base = BaseSettings(hub=model.hub, revision=revision)
    return PinnedModel(tokenizer, base, ModelRuntime(), chosen, str(model.hub).rsplit("/")[-1], unpinned)


def _pin_lab(name: str, *, template: str, base_seed: int) -> PinnedModel:
    from mixgrid.lab.models import LAB_MODELS

    lab = LAB_MODELS[name]
    text = LabText(documents=lab.pretraining.documents, seed=lab.pretraining.seed)
    shape_fields = ("hidden_size", "intermediate_size", "layers", "heads", "vocabulary_size", "tied_embeddings")
    shape = LlamaShape(
        **{field: getattr(lab, field) for field in shape_fields}, initializer_range=lab.initializer_range
    )
    training_fields = (
        "steps", "batch_size", "sequence_length", "peak_learning_rate", "warmup_ratio", "adam_beta2",
    )  # fmt: skip
    pretraining = Pretraining(text=text, **{field: getattr(lab.pretraining, field) for field in training_fields})
    tokenizer = TokenizerSettings(vocabulary_size=lab.vocabulary_size, template=template, text=text)
    base = BaseSettings(shape=shape, seed=base_seed, pretraining=pretraining)
    return PinnedModel(tokenizer, base, ModelRuntime(), template, name)


def _hub(choice: SourceChoice, default: HubDataset | None) -> HubDataset | None:
    hub = HubDataset(repo=choice.hub) if choice.hub else default
    given = {"config": choice.config, "split": choice.split, "revision": choice.revision}
    return hub and hub.model_copy(update={name: value for name, value in given.items() if value is not None})


@cache
def _contents(locations: tuple[str, ...]) -> str:
    return contents(locations)


@cache
def _counted(settings: DownloadSettings, runtime: DownloadRuntime) -> int:
    """Training rows of what is at hand, by reading it: the plan then counts with what will really be there."""
    return len(read_source(settings, runtime).rows)
