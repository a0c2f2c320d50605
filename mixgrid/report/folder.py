"""The report's folder: the page, and beside it the tables, drawings and items that it links to.

    reports/demo/report.html
    reports/demo/results.csv, results.parquet       and curves.*, where a study evaluates on the way
    reports/demo/figure-1.svg, figure-2.svg, ...    the page's figures, each panel a file
    reports/demo/items/c0ffee0123456789.parquet     every item behind a score, by its key (a local store; hard links)

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
from mixgrid.report.page import render_report
from mixgrid.results import curve_rows, evidence_of, recipe_rows, result_rows, write_table
from mixgrid.store import Store

PAPER = "paper"
_SVG = re.compile(r"<svg xmlns.*?</svg>", re.DOTALL)


def write_report(plan: Plan, store: Store, *, cost: Mapping[str, Any]) -> str:
    """Write the page of what is there and what lies beside it; the page's path in the store."""
    study = plan.study
    records = plan.scored
    rows, curves = result_rows(plan.names, records), curve_rows(plan.names, records)
    folder = f"reports/{study.name}"
    files = [*_write_tables(store, folder, rows, curves), *_link_items(store, folder, records)]
    findings, law, recommendation = _judged(plan, store, records)
    page = render_report(
        study=study.name, question=study.question, rows=rows, complete=None not in records, findings=findings, law=law,
        recommendation=recommendation, curves=curves, printed=_printed(study.name), cost=cost, ledger=ledger(plan),
        files=files,
    )  # fmt: skip
    style = resources.files("mixgrid.report").joinpath("style.css").read_text(encoding="utf-8")
    for number, drawing in enumerate(_SVG.findall(page), start=1):
        alone = drawing.replace("<title>", f"<style>{style}</style><title>", 1)
        store.write_atomically(f"{folder}/figure-{number}.svg", alone.encode())
    store.write_atomically(f"{folder}/report.html", page.encode())
    return f"{folder}/report.html"


def ledger(plan: Plan) -> list[dict[str, Any]]:
    """A line for each source read, each tokenised and each training: what was taken, left out and how long it took."""
    fields = {
        "download": ("read", "rows", "rejected", "trimmed"), "tokenize": ("examples", "truncated", "fully_masked"),
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
    sizes = {ability: n for ability, n in plan.sizes.items() if n is not None}
    if len(sizes) < len(plan.sizes):
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


def _write_tables(
    store: Store, folder: str, rows: Sequence[dict[str, Any]], curves: Sequence[dict[str, Any]]
) -> list[str]:
    names = []
    with tempfile.TemporaryDirectory() as local:
        for table, of in (("results", rows), ("curves", curves)):
            for format in ("csv", "parquet") if of else ():
                path = Path(local) / f"{table}.{format}"
                write_table(of, format=format, path=path)
                store.write_atomically(f"{folder}/{path.name}", path.read_bytes())
                names.append(path.name)
    return names


def _link_items(store: Store, folder: str, records: Sequence[Record | None]) -> list[str]:
    """Each score's items as a file beside the page: a hard link, or a copy; none from a remote store."""
    names: list[str] = []
    if not store.is_local:
        return names
    items = Path(store.location(folder)) / "items"
    items.mkdir(parents=True, exist_ok=True)
    for record in records:
        if record is None or "items.parquet" not in record.files:
            continue
        name, source = f"{record.key[:16]}.parquet", Path(store.location(record.folder)) / record.attempt
        if not (items / name).exists():
            try:
                os.link(source / "items.parquet", items / name)
            except OSError:
                shutil.copyfile(source / "items.parquet", items / name)
        names.append(f"items/{name}")
    return names
