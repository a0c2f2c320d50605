"""aggregate: all scores of a study as one table and one page.

results.json, results.csv, results.parquet    one row a final checkpoint and benchmark
curves.csv, curves.parquet                    the same for checkpoints on the way, where a study evaluates them
report.html                                   one self-contained page
ledger                                        {"rows": 288}
"""

from collections.abc import Sequence
from typing import Any

from mixgrid.identity import Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 2


class CheckpointNames(Settings):
    """What the study calls one final checkpoint, or one on the way: after the share `at` of the `stage`-th stage."""

    model: str
    seed: int | None
    experiments: tuple[str, ...]
    strategy: str
    proportion: str | None
    proportions: tuple[dict[str, str], ...]
    stage: int | None = None
    at: str | None = None


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
    from mixgrid.results import curve_rows, result_rows, to_json, write_table

    settings: AggregateSettings = work.settings
    records = [score.record for score in work.many("scores")]
    rows, curves = result_rows(settings, records), curve_rows(settings, records)
    (work.folder / "results.json").write_text(to_json(rows, curves, study=settings.study), encoding="utf-8")
    for format in ("csv", "parquet"):
        write_table(rows, format=format, path=work.folder / f"results.{format}")
        if curves:
            write_table(curves, format=format, path=work.folder / f"curves.{format}")
    page = render_report(study=settings.study, question=settings.question, rows=rows, complete=True)
    (work.folder / "report.html").write_text(page, encoding="utf-8")
    return {"rows": len(rows)}


KIND = Kind(name="aggregate", version=VERSION, settings=AggregateSettings, make=make)
