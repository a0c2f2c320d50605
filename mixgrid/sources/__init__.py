"""Sources: pinned datasets that each teach one ability, and the two ways of coming by one.

    load_sources()["code_alpaca"]  -> PublishedSource(form="alpaca", rows=20022, hub=HubDataset("sahil2801/..."))
    load_sources()["lab.math"]     -> GeneratedSource(generate=..., rows=..., held_out=...)

Each file here named after a source is one. A user's own data needs none: a study names its form and its place.
"""

from collections.abc import Callable
from dataclasses import dataclass

from mixgrid.conversations import Conversation
from mixgrid.identity import Settings
from mixgrid.registry import load_folder

Generated = tuple[list[Conversation], list[Conversation]]


class HubDataset(Settings):
    """A dataset on the Hugging Face hub. Identity as soon as `revision` is pinned."""

    repo: str
    config: str | None = None
    split: str = "train"
    file: str | None = None
    revision: str | None = None


@dataclass(frozen=True, kw_only=True)
class PublishedSource:
    """A dataset that somebody published: its form and its declared number of rows.

    `hub` is where it can be had; without one, a study must say where its copy lies. `homepage` tells a person.
    """

    name: str
    form: str
    rows: int
    homepage: str
    hub: HubDataset | None = None


@dataclass(frozen=True, kw_only=True)
class GeneratedSource:
    """A dataset that mixgrid makes: `generate(rows=, held_out=, seed=)` gives training rows and held-out rows."""

    name: str
    generate: Callable[..., Generated]
    rows: int
    held_out: int


def load_sources() -> dict[str, PublishedSource | GeneratedSource]:
    """All sources by name."""
    return load_folder("mixgrid.sources", "SOURCE")
