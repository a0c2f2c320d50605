"""The report's folder: the page, and beside it the tables, drawings and items that it links to.

    reports/demo/report.html
    reports/demo/results.csv, results.parquet       and curves.*, hidden_states.*, where a study asks for them
    reports/demo/figure-1.svg, figure-2.svg, ...    the page's figures, each panel a file
    reports/demo/items/c0ffee0123456789.parquet     every item behind a score, by its key (a local store; hard links)
    reports/demo/contents.json                      the names of all of these, for the next report (`contents.py`)

It is made of what the store has: of a finished study its own findings and laws, else those of the scores so far.
"""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from mixgrid.errors import DamagedArtifact
from mixgrid.plan import Plan
from mixgrid.record import Record
from mixgrid.report.contents import rewritten
from mixgrid.report.page import render_report
from mixgrid.representation.panels import read_hidden_states
from mixgrid.results import curve_rows, evidence_of, recipe_rows, result_rows, write_table
from mixgrid.store import Store

PAPER = "paper"
_SVG = re.compile(r"<svg xmlns.*?</svg>", re.DOTALL)
_LINK = re.compile(r"</?a\b[^>]*>")


def write_report(plan: Plan, store: Store, *, cost: Mapping[str, Any]) -> str:
    """Write the page of what is there and what lies beside it; the page's path in the store."""
    study = plan.study
    records = plan.scored
    rows, curves = result_rows(plan.names, records), curve_rows(plan.names, records)
    folder = f"reports/{study.name}"
    states = read_hidden_states(plan, store)
    tables = _tables({"results": rows, "curves": curves, "hidden_states": list(states.rows()) if states else []})
    items = _items(store, records)
    findings, law, recommendation = _judged(plan, store, records)
    page = render_report(
        study=study.name, question=study.question, rows=rows, complete=None not in records, findings=findings, law=law,
        recommendation=recommendation, curves=curves, printed=_printed(study.name), cost=cost, ledger=ledger(plan),
        files=[*tables, *items], out_of_domain=plan.names.out_of_domain, hidden_states=states,
    )  # fmt: skip
    written = {**tables, **_drawings(page), "report.html": page.encode()}
    with rewritten(store, folder, [*written, *items]):
        for name, source in items.items():
            _link(source, Path(store.location(f"{folder}/{name}")))
        for name, data in written.items():
            store.write_atomically(f"{folder}/{name}", data)
    return f"{folder}/report.html"


def ledger(plan: Plan) -> list[dict[str, Any]]:
    """A line for each source read, each tokenised and each training: what was taken, left out and how long it took."""
    fields = {
        "download": ("read", "rows", "rejected", "trimmed", "removed"),
        "tokenize": ("examples", "truncated", "fully_masked"),
        "sft": ("examples", "tokens", "steps", "seconds", "device"),
    }  # fmt: skip
    lines = []
    for key, step in plan.steps.items():
        record = plan.found.get(key)
        if record is not None and step.kind in fields:
            figures = {name: _text(record.ledger[name]) for name in fields[step.kind] if name in record.ledger}
            lines.append({"step": step.title, **figures, "key": key[:16]})
    return lines


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return "; ".join(f"{n} {reason}" for reason, n in value.items()) or "none"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _judged(
    plan: Plan, store: Store, records: Sequence[Record | None]
) -> tuple[Sequence[Any], dict[str, Any] | None, dict[str, Any] | None]:
    """Findings, laws and recommendation: weighed from the scores that are there."""
    from mixgrid.law import fit_study, recommend
    from mixgrid.weighing import weigh_all

    rows = recipe_rows(plan.names, records)
    if not rows:
        return (), None, None
    findings = weigh_all(evidence_of(plan.names, records, open_score=store.open))
    sizes = {ability: n for ability in plan.study.abilities if (n := plan.sizes[ability]) is not None}
    if len(sizes) < len(plan.study.abilities):
        return findings, None, None
    finished = plan.found.get(plan.aggregate.key)
    if finished is not None:
        try:
            law, recommendation = (
                json.loads(store.open(finished).path(f"{name}.json").read_text(encoding="utf-8"))
                for name in ("law", "recommendation")
            )
            return findings, law, recommendation
        except DamagedArtifact as error:
            store.retire(error.folder)
            store.warn(f"{error} by `mixgrid run`; the page's laws are fitted anew")
    laws = fit_study(rows, sizes=sizes)
    return findings, laws.document(), recommend(laws)


def _printed(study: str) -> list[dict[str, Any]]:
    from mixgrid.paper import paper_rows

    return paper_rows() if study == PAPER else []


def _drawings(page: str) -> dict[str, bytes]:
    """The page's figures by file name, each with the style that the page gives it and without links into the page."""
    style = resources.files("mixgrid.report").joinpath("style.css").read_text(encoding="utf-8")
    drawings = {}
    for number, drawing in enumerate(_SVG.findall(page), start=1):
        alone = _LINK.sub("", drawing).replace("<title>", f"<style>{style}</style><title>", 1)
        drawings[f"figure-{number}.svg"] = alone.encode()
    return drawings


def _tables(tables: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, bytes]:
    """CSV and Parquet of the rows that there are, by file name."""
    files = {}
    with tempfile.TemporaryDirectory() as local:
        for table, of in tables.items():
            for format in ("csv", "parquet") if of else ():
                path = Path(local) / f"{table}.{format}"
                write_table(of, format=format, path=path)
                files[path.name] = path.read_bytes()
    return files


def _items(store: Store, records: Sequence[Record | None]) -> dict[str, Path]:
    """Where each score's items lie, by the name of the file beside the page; none in a remote store."""
    if not store.is_local:
        return {}
    kept = (record for record in records if record is not None and "items.parquet" in record.files)
    root = Path(store.root)
    return {f"items/{r.key[:16]}.parquet": root / r.folder / r.attempt / "items.parquet" for r in kept}


def _link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the file system has none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
