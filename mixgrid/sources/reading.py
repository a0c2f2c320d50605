"""Reading a source: rows in, conversations out, every rejected row counted with its reason.

read_source(DownloadSettings(source="code_alpaca", form="alpaca", content="9f2c...", held_out=100), runtime)
    -> Reading(read=2017, rows=[...], held_out=[...], rejected={"empty assistant turn": 3}, ...)

A source with `without` loses the conversations that look like another ability's before some are held out: what is held
out of the whole source is then held out of the filtered one too, or removed from it, and trained on in neither.
"""

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mixgrid.conversations import Conversation
from mixgrid.errors import SourceError
from mixgrid.filters import FilterSettings, looks_of
from mixgrid.sources import GeneratedSource, HubDataset, load_sources
from mixgrid.sources.files import BadRow, content_hash, read_rows
from mixgrid.sources.forms import FORMS, Rejection, detect_form, normalise

if TYPE_CHECKING:
    from mixgrid.steps.download import DownloadRuntime, DownloadSettings

KEPT_EXAMPLES = 20


@dataclass
class Reading:
    """What came of a source. `examples` shows the first rejected rows, `removed_examples` the first removed ones.

    `removed` counts by all filters that a row looks like, `code` or `code + math`: each row once.
    """

    read: int = 0
    rows: list[Conversation] = field(default_factory=list)
    held_out: list[Conversation] = field(default_factory=list)
    rejected: Counter[str] = field(default_factory=Counter)
    trimmed: Counter[str] = field(default_factory=Counter)
    examples: list[dict[str, Any]] = field(default_factory=list)
    removed: Counter[str] = field(default_factory=Counter)
    removed_examples: list[dict[str, Any]] = field(default_factory=list)


def read_source(settings: "DownloadSettings", runtime: "DownloadRuntime") -> Reading:
    """Read a source as its settings pin it. Raises SourceError when it is not what was declared."""
    source = load_sources().get(settings.source)
    if isinstance(source, GeneratedSource):
        try:
            rows, held_out = source.generate(rows=settings.rows or source.rows, held_out=settings.held_out, seed=0)
        except ValueError as error:
            raise SourceError(f"{settings.source}: {error}") from error
        generated = Reading(read=len(rows) + len(held_out), rows=rows, held_out=held_out)
        return remove(generated, settings.without, source=settings.source)
    if settings.hub is not None:
        raw = hub_rows(settings.hub)
    else:
        _check_content(settings, runtime)
        raw = itertools.chain.from_iterable(read_rows(location) for location in runtime.locations)
    reading = _normalise_all(raw, form=str(settings.form))
    _check_rows(settings.source, reading, runtime.declared_rows)
    return hold_out(
        remove(reading, settings.without, source=settings.source), settings.held_out, source=settings.source
    )


def hub_rows(dataset: HubDataset) -> Iterator[object]:
    """The rows of a hub dataset at its pinned revision, through the `datasets` library."""
    import datasets

    try:
        found = datasets.load_dataset(
            dataset.repo, name=dataset.config, data_files=dataset.file, split=dataset.split, revision=dataset.revision
        )
    except Exception as error:
        raise SourceError(
            f"hub dataset {dataset.repo} (split {dataset.split}, revision {dataset.revision or 'newest'}): {error}; "
            "check the name and the network, or give a local copy with `path`"
        ) from error
    yield from found


def contents(locations: Sequence[str]) -> str:
    """One SHA-256 for files in their given order: a file's own hash, or the hash of all hashes."""
    hashes = [content_hash(location) for location in locations]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def remove(reading: Reading, without: Sequence[FilterSettings], *, source: str) -> Reading:
    """Take out, and count, the conversations that look like one of the filters. Raises SourceError if none stay."""
    filters = [settings.filter() for settings in without]

    def kept(row: Conversation) -> bool:
        signs = looks_of(filters, row)
        if not signs:
            return True
        reading.removed[" + ".join(signs)] += 1
        if len(reading.removed_examples) < KEPT_EXAMPLES:
            found = {name: {"rule": sign.rule, "text": sign.text} for name, sign in signs.items()}
            reading.removed_examples.append({"row": row.origin, "looks": found})
        return False

    if filters:
        reading.rows, reading.held_out = list(filter(kept, reading.rows)), list(filter(kept, reading.held_out))
    if not reading.rows:
        raise SourceError(f"{source}: every row looks like {' or '.join(f.name for f in filters)}; change `without`")
    return reading


def hold_out(reading: Reading, count: int, *, source: str) -> Reading:
    """Move whole prompts to the held-out side, smallest hash first, until it has at least `count` rows."""
    if not count:
        return reading
    by_prompt: dict[str, list[int]] = {}
    for index, row in enumerate(reading.rows):
        by_prompt.setdefault(hashlib.sha256(row.prompt.encode()).hexdigest(), []).append(index)
    chosen: set[int] = set()
    for prompt in sorted(by_prompt):
        if len(chosen) >= count:
            break
        chosen.update(by_prompt[prompt])
    if len(chosen) >= len(reading.rows):
        raise SourceError(
            f"{source}: held_out {count} leaves none of its {len(reading.rows)} rows to train on; lower it"
        )
    everything = reading.rows
    reading.rows = [row for index, row in enumerate(everything) if index not in chosen]
    reading.held_out = [everything[index] for index in sorted(chosen)]
    return reading


def _normalise_all(raw: Iterable[object], *, form: str) -> Reading:
    reading, looks_like = Reading(), None
    for origin, row in enumerate(raw):
        looks_like = looks_like or detect_form(row)
        reading.read += 1
        found = (
            Rejection(row.reason, origin, row.detail)
            if isinstance(row, BadRow)
            else normalise(form, row, origin=origin)
        )
        if isinstance(found, Rejection):
            reading.rejected[found.reason] += 1
            if len(reading.examples) < KEPT_EXAMPLES:
                reading.examples.append({"row": found.origin, "reason": found.reason, "detail": found.detail})
        else:
            reading.rows.append(found.conversation)
            reading.trimmed.update(found.trims)
    if not reading.rows:
        reasons = ", ".join(f"{reason} ({count})" for reason, count in reading.rejected.most_common(3)) or "it is empty"
        fitting = f"; they look like form {looks_like!r}" if looks_like not in (None, form) else ""
        raise SourceError(
            f"no usable row among {reading.read} read as form {form!r}: {reasons}; "
            f"rows of this form have the fields {FORMS[form]}{fitting}"
        )
    return reading


def _check_content(settings: "DownloadSettings", runtime: "DownloadRuntime") -> None:
    if not runtime.locations:
        raise SourceError(f"{settings.source}: no location given; set `path` to where your copy lies")
    found = contents(runtime.locations)
    if found != settings.content:
        raise SourceError(
            f"{settings.source}: {', '.join(runtime.locations)} has changed since it was planned (SHA-256 "
            f"{found[:16]}, planned {str(settings.content)[:16]}); run again to plan with the new content"
        )


def _check_rows(source: str, reading: Reading, declared: int | None) -> None:
    if declared is not None and reading.read != declared:
        raise SourceError(
            f"{source}: {reading.read:,} rows found, {declared:,} declared; if this data is meant, write "
            f"`rows: {reading.read}` beside the source"
        )
