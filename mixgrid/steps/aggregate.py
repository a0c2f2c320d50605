"""aggregate: all scores of a study as one table and one page.

results.json, results.csv, results.parquet    one row a final checkpoint and benchmark
report.html                                   one self-contained page
ledger                                        {"rows": 288}
"""

from collections.abc import Sequence
from typing import Any

from mixgrid.identity import Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 1


class CheckpointNames(Settings):
    """What the study calls one final checkpoint. Fractions are text."""

    model: str
    seed: int | None
    experiments: tuple[str, ...]
    strategy: str
    proportion: str | None
    proportions: tuple[dict[str, str], ...]


class ScoreNames(Settings):
    """What the study calls one score: which of the checkpoints, ability and benchmark."""

    checkpoint: int
    ability: str
    benchmark: str


class AggregateSettings(Settings):
    """The study's words for the inputs, `scores` in the order of the input of that name."""

    study: str
    question: str
    checkpoints: tuple[CheckpointNames, ...]
    scores: tuple[ScoreNames, ...]


def aggregate(settings: AggregateSettings, scores: Sequence[Step]) -> Step:
    """The last step of a study."""
    return Step(
        kind="aggregate", version=VERSION, settings=settings, inputs={"scores": tuple(scores)},
        label=settings.study, title=f"aggregate {settings.study}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Write the table in three formats and the page."""
    from mixgrid.report import render_report
    from mixgrid.results import result_rows, write_table

    settings: AggregateSettings = work.settings
    rows = result_rows(settings, [score.record for score in work.many("scores")])
    for format in ("json", "csv", "parquet"):
        write_table(rows, study=settings.study, format=format, path=work.folder / f"results.{format}")
    page = render_report(study=settings.study, question=settings.question, rows=rows, complete=True)
    (work.folder / "report.html").write_text(page, encoding="utf-8")
    return {"rows": len(rows)}


KIND = Kind(name="aggregate", version=VERSION, settings=AggregateSettings, make=make)
