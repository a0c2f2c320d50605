"""aggregate: all scores of a study as one table and one page.

results.json, results.csv, results.parquet    one row a final checkpoint and benchmark
findings.json                                 every claim with its effects and verdict
curves.csv, curves.parquet                    the same for checkpoints on the way, where a study evaluates them
law.json, recommendation.json                 what amounts do to each ability, and what to run next (mixgrid.law)
report.html                                   one self-contained page
ledger                                        {"rows": 288, "verdicts": {"dmt": "contradicted", ...}}
"""

import json
from collections.abc import Sequence
from typing import Any

from mixgrid.identity import Settings
from mixgrid.step import Step
from mixgrid.steps import Kind, Work

VERSION = 7


MORE = "The ledger, the cost and every item behind a score are in the page that mixgrid report writes."


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
    out_of_domain: bool = False


class AggregateSettings(Settings):
    """The study's words for the inputs, `scores` and `abilities` in the order of the inputs `scores` and `sources`.

    `models` are in the order of size as far as the study says it, else in its own.
    """

    study: str
    question: str
    checkpoints: tuple[CheckpointNames, ...]
    scores: tuple[ScoreNames, ...]
    specialised: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    abilities: tuple[str, ...] = ()

    @property
    def out_of_domain(self) -> set[tuple[str, str]]:
        """(ability, benchmark) pairs that stand apart: no finding or law rests on them."""
        return {(name.ability, name.benchmark) for name in self.scores if name.out_of_domain}


def aggregate(settings: AggregateSettings, scores: Sequence[Step], *, sources: Sequence[Step]) -> Step:
    """The last step of a study. `sources` are the abilities' downloads: their rows turn proportions into amounts."""
    return Step(
        kind="aggregate", version=VERSION, settings=settings,
        inputs={"scores": tuple(scores), "sources": tuple(sources)},
        label=settings.study, title=f"aggregate {settings.study}",
    )  # fmt: skip


def make(work: Work) -> dict[str, Any]:
    """Write the table in three formats, the findings and the page."""
    from mixgrid.law import fit_study, recommend
    from mixgrid.report import render_report
    from mixgrid.results import curve_rows, evidence_of, recipe_rows, result_rows, to_json, write_table
    from mixgrid.weighing import findings_json, weigh_all

    settings: AggregateSettings = work.settings
    scores = {score.record.key: score for score in work.many("scores")}
    records = [score.record for score in work.many("scores")]
    rows, curves = result_rows(settings, records), curve_rows(settings, records)
    (work.folder / "results.json").write_text(
        to_json(rows, curves, study=settings.study, out_of_domain=settings.out_of_domain), encoding="utf-8"
    )
    for format in ("csv", "parquet"):
        write_table(rows, format=format, path=work.folder / f"results.{format}")
        if curves:
            write_table(curves, format=format, path=work.folder / f"curves.{format}")
    findings = weigh_all(evidence_of(settings, records, open_score=lambda record: scores[record.key]))
    (work.folder / "findings.json").write_text(findings_json(findings, study=settings.study), encoding="utf-8")
    sizes = dict(zip(settings.abilities, (int(s.ledger["rows"]) for s in work.many("sources")), strict=True))
    laws = fit_study(recipe_rows(settings, records), sizes=sizes)
    law, recommendation = laws.document(), recommend(laws)
    for name, document in (("law", law), ("recommendation", recommendation)):
        (work.folder / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    page = render_report(
        study=settings.study, question=settings.question, rows=rows, complete=True, findings=findings, law=law,
        recommendation=recommendation, curves=curves, files=sorted(p.name for p in work.folder.iterdir()), more=MORE,
        out_of_domain=settings.out_of_domain,
    )  # fmt: skip
    (work.folder / "report.html").write_text(page, encoding="utf-8")
    return {"rows": len(rows), "verdicts": {finding.name: finding.verdict for finding in findings}}


KIND = Kind(name="aggregate", version=VERSION, settings=AggregateSettings, make=make)
