"""tokenizer: one taken from a model, or a byte-level BPE trained on the study's own sources.

    tokenizer.json, tokenizer_config.json    Hugging Face format, with <s>, </s> and <pad> for a trained one
    ledger                                   {"vocabulary_size": 600}

A trained one splits digits, as LLaMA's does, and can write any text: its alphabet is all bytes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from mixgrid.conversations import read_conversations
from mixgrid.identity import Runtime, Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 2


class LabText(Settings):
    """The lab's raw text: as many documents, drawn with this seed."""

    documents: int
    seed: int = 0


class TokenizerSettings(Settings):
    """Either `hub` with its revision, or `content` (SHA-256 of a folder), or a vocabulary size to train.

    A trained one reads the sources as `template` writes them, so that the template's own words become tokens.
    """

    hub: str | None = None
    revision: str | None = None
    content: str | None = None
    vocabulary_size: int | None = None
    template: str | None = None
    text: LabText | None = None


class ModelRuntime(Runtime):
    """Where a model that is pinned by its content lies."""

    location: str | None = None


def tokenizer(settings: TokenizerSettings, sources: Sequence[Step], *, label: str, runtime: ModelRuntime) -> Step:
    """The step for a model's tokenizer. `sources` are the downloads that a trained one learns from."""
    ordered = sorted(sources, key=lambda s: (s.label, s.key))
    return Step(
        kind="tokenizer", version=VERSION, settings=settings, inputs={"sources": ordered} if ordered else {},
        label=label, title=f"tokenizer {label}", runtime=runtime,
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Train, or fetch and save."""
    from mixgrid.models import load_tokenizer, pinned_location, save_tokenizer, train_tokenizer

    settings: TokenizerSettings = work.settings
    if settings.vocabulary_size is None:
        location = pinned_location(work.runtime.location, content=settings.content)
        found = load_tokenizer(location or settings.hub, revision=settings.revision)
    else:
        found = train_tokenizer(_texts(work), vocabulary_size=settings.vocabulary_size)
    save_tokenizer(work.folder, found)
    return {"vocabulary_size": len(found)}


def _texts(work: Work) -> Iterator[str]:
    from mixgrid.templates import vicuna_text

    if work.settings.text is not None:
        from mixgrid.lab.text import pretraining_documents

        yield from pretraining_documents(documents=work.settings.text.documents, seed=work.settings.text.seed)
    for source in work.many("sources") if "sources" in work.inputs else ():
        for conversation in read_conversations(source.path("rows.parquet")):
            yield vicuna_text(conversation.messages, template=work.settings.template, end_token="")


KIND = Kind(name="tokenizer", version=VERSION, settings=TokenizerSettings, runtime=ModelRuntime, make=make)
