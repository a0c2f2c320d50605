"""download: one pinned dataset becomes normalised conversations.

    rows.parquet       the conversations to train on, in the source's order
    held_out.parquet   those kept from all training (settings.held_out)
    ledger             {"read": 2017, "rows": 1917, "held_out": 100, "rejected": {"empty assistant turn": 3}, ...}
                       and of a filtered source {"removed": {"code": 73, "code + math": 11, "math": 81}, ...}

Which rows are held out follows from the prompts alone: the prompts with the smallest hashes, each with all of its rows,
so that no prompt is on both sides, whatever the order of the file.
"""

from typing import Any

from mixgrid.conversations import write_conversations
from mixgrid.filters import FilterSettings
from mixgrid.identity import Runtime, Settings
from mixgrid.sources import HubDataset
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 1


class DownloadSettings(Settings):
    """`content` is the SHA-256 of files; `hub` a pinned dataset; a generated source has `rows` instead.

    `without`: filters, whose look-alikes are removed.
    """

    source: str
    form: str | None = None
    content: str | None = None
    hub: HubDataset | None = None
    rows: int | None = None
    held_out: int = 0
    without: tuple[FilterSettings, ...] = ()


class DownloadRuntime(Runtime):
    """Where the pinned content lies, and how many rows it is declared to have."""

    locations: tuple[str, ...] = ()
    declared_rows: int | None = None


def download(settings: DownloadSettings, runtime: DownloadRuntime) -> Step:
    """The step that reads one source."""
    own = settings.source == settings.form
    pin = settings.hub.repo.rsplit("/")[-1] if settings.hub else str(settings.content)[:8]
    label = (f"{settings.source}-{pin}" if own else settings.source) + ("-filtered" if settings.without else "")
    return Step(
        kind="download", version=VERSION, settings=settings, runtime=runtime,
        label=label, title=f"download {label}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Read, normalise, filter, split; count everything."""
    from mixgrid.sources.reading import read_source

    reading = read_source(work.settings, work.runtime or DownloadRuntime())
    write_conversations(work.folder / "rows.parquet", reading.rows)
    write_conversations(work.folder / "held_out.parquet", reading.held_out)
    removed = {"removed": dict(sorted(reading.removed.items())), "removed_examples": reading.removed_examples}
    return {
        "read": reading.read,
        "rows": len(reading.rows),
        "held_out": len(reading.held_out),
        "rejected": dict(sorted(reading.rejected.items())),
        "trimmed": dict(sorted(reading.trimmed.items())),
        "rejected_examples": reading.examples,
    } | (removed if work.settings.without else {})


KIND = Kind(name="download", version=VERSION, settings=DownloadSettings, runtime=DownloadRuntime, make=make)
