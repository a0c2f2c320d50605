"""aggregate: all scores of a study as one table and one page.

results.json, results.csv, results.parquet    one row a final checkpoint and benchmark
findings.json                                 every claim with its effects and verdict
curves.csv, curves.parquet                    the same for checkpoints on the way, where a study evaluates them
report.html                                   one self-contained page
ledger                                        {"rows": 288, "verdicts": {"dmt": "contradicted", ...}}
"""

from collections.abc import Sequence
from typing import Any

from mixgrid.identity import Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 3


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
    recipe: tuple[tuple[str, str], ...] = ()
    """What differs from the study's recipe: setting and value."""


class ScoreNames(Settings):
    """What the study calls one score: which of the checkpoints, ability and benchmark."""

    checkpoint: int
    ability: str
    benchmark: str


class AggregateSettings(Settings):
    """The study's words for the inputs, `scores` in the order of the input of that name.

    `models` are in the order of size as far as the study says it, else in its own.
    """

    study: str
    question: str
    checkpoints: tuple[CheckpointNames, ...]
    scores: tuple[ScoreNames, ...]
    specialised: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def aggregate(settings: AggregateSettings, scores: Sequence[Step]) -> Step:
    """The last step of a study."""
    return Step(
        kind="aggregate", version=VERSION, settings=settings, inputs={"scores": tuple(scores)},
        label=settings.study, title=f"aggregate {settings.study}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Write the table in three formats, the findings and the page."""
    from mixgrid.report import render_report
    from mixgrid.results import curve_rows, evidence_of, result_rows, to_json, write_table
    from mixgrid.weighing import findings_json, weigh_all

    settings: AggregateSettings = work.settings
    records = [score.record for score in work.many("scores")]
    rows, curves = result_rows(settings, records), curve_rows(settings, records)
    (work.folder / "results.json").write_text(to_json(rows, curves, study=settings.study), encoding="utf-8")
    for format in ("csv", "parquet"):
        write_table(rows, format=format, path=work.folder / f"results.{format}")
        if curves:
            write_table(curves, format=format, path=work.folder / f"curves.{format}")
    findings = weigh_all(evidence_of(settings, work.many("scores")))
    (work.folder / "findings.json").write_text(findings_json(findings, study=settings.study), encoding="utf-8")
    page = render_report(study=settings.study, question=settings.question, rows=rows, complete=True, findings=findings)
    (work.folder / "report.html").write_text(page, encoding="utf-8")
    return {"rows": len(rows), "verdicts": {finding.name: finding.verdict for finding in findings}}


KIND = Kind(name="aggregate", version=VERSION, settings=AggregateSettings, make=make)
