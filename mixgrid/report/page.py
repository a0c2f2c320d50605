"""The report's page: what was asked, what was measured, how sure one can be, and every number behind it.

    render_report(study="forgetting", question="Do small models forget math when they learn to chat?",
                  rows=<rows of `mixgrid results --format json`>, complete=True)  ->  "<!doctype html>..."

One file: style and drawings are inline, there is no script, and nothing is fetched.
"""

from collections.abc import Collection, Mapping, Sequence
from importlib import resources
from typing import Any

from mixgrid.findings import Finding
from mixgrid.report.charts import FIGURES, render_figure
from mixgrid.report.cost import render_cost
from mixgrid.report.drawing import render_legend
from mixgrid.report.findings import render_findings
from mixgrid.report.forgetting import render_forgetting
from mixgrid.report.hidden_states import render_hidden_states
from mixgrid.report.law import render_law
from mixgrid.report.out_of_domain import render_out_of_domain
from mixgrid.report.recommendation import render_recommendation
from mixgrid.report.tables import render_cells, render_ledger, render_rows, render_strategies
from mixgrid.report.text import escape
from mixgrid.representation.panels import HiddenStates
from mixgrid.result_cells import Cell, Measure, Row, build_cells, find_measures, find_models, is_number, unique_rows

POLICY = "default-src 'none'; style-src 'unsafe-inline'"
INCOMPLETE = (
    '<p class="banner" role="status"><b>Scores are missing.</b> Some steps of this study have not finished or have'
    " failed, so what follows may change. <code>mixgrid status</code> lists them.</p>"
)
READING = (
    "Under each number is the 95 % interval that the test items leave: another draw of as many items could move the"
    " score that far. With several training seeds the number is their mean, the interval the mean of theirs, and the"
    " range over seeds follows. <b>best</b> marks a column’s best mean; it is no test, and where intervals overlap"
    " the order may be chance."
)
CURVES = (
    "k is the kept fraction of a source, on a logarithmic axis; the panels of a figure share one scale. Points are"
    " means over seeds, set side by side where they share a k; thin bars are the 95 % item intervals, thick ones the"
    " range over seeds. A point leads to its number, n, interval and key. The thin dotted line is the base model. For"
    " response loss, lower is better."
)
PRINTED = (
    "Beside each model’s panel is what the paper printed, on the same scale, with the intervals that its numbers of"
    " items leave."
)


def render_report(
    *,
    study: str,
    question: str,
    rows: Sequence[Mapping[str, Any]],
    complete: bool,
    notes: Sequence[str] = (),
    ledger: Sequence[Mapping[str, Any]] = (),
    findings: Sequence[Finding] = (),
    law: Mapping[str, Any] | None = None,
    recommendation: Mapping[str, Any] | None = None,
    curves: Sequence[Mapping[str, Any]] = (),
    printed: Sequence[Mapping[str, Any]] = (),
    hidden_states: HiddenStates | None = None,
    cost: Mapping[str, Any] | None = None,
    files: Collection[str] = (),
    more: str = "",
    out_of_domain: Collection[tuple[str, str]] = (),
) -> str:
    """One self-contained HTML page; `rows` are those of `mixgrid results`, in any order, copies allowed.

    `curves`: checkpoints on the way. `printed`: the paper's rows, where the study is the paper's. `cost`: the
    estimate and what it took, `{"estimate": ..., "actual": ...}`. `files` lie beside the page: tables, and
    `items/<key>.parquet`. `more` says where a reader finds what this page lacks. `out_of_domain`: (ability, benchmark)
    pairs that get a section of their own.
    """
    unique = unique_rows(rows)
    measures = find_measures(unique)
    cells = build_cells(unique, measures)
    own, apart = _split(measures, out_of_domain)
    sections = [
        _header(study, question),
        "" if complete else INCOMPLETE,
        _summary(unique, cells) if cells else '<p class="summary">There are no scores yet.</p>',
        _notes(notes),
        render_recommendation(recommendation, own, cells) if recommendation else "",
        _strategies(own, cells) if cells else "",
        render_findings(findings),
        _curves(own, cells, build_cells(printed, measures)) if cells else "",
        render_out_of_domain(apart, cells),
        render_forgetting(measures, cells, curves, files),
        render_hidden_states(hidden_states),
        render_law(law) if law else "",
        render_cost(cost) if cost else "",
        _details(unique, measures, cells, ledger, files, more),
    ]
    body = f"<main>{''.join(sections)}</main>"
    style = resources.files("mixgrid.report").joinpath("style.css").read_text(encoding="utf-8")
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>{escape(study)} · mixgrid report</title><style>{style}</style>"
    )
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>{body}</body></html>\n'


def _split(
    measures: Sequence[Measure], out_of_domain: Collection[tuple[str, str]]
) -> tuple[list[Measure], list[Measure]]:
    """The measures of the abilities themselves, and those that are out of domain."""
    apart = [measure for measure in measures if (measure.ability, measure.benchmark) in out_of_domain]
    return [measure for measure in measures if measure not in apart], apart


def _header(study: str, question: str) -> str:
    asked = f'<p class="question">{escape(question)}</p>'
    return f'<header><p class="kind">mixgrid report</p><h1>{escape(study)}</h1>{asked}</header>'


def _summary(rows: Sequence[Row], cells: Sequence[Cell]) -> str:
    """What the page shows and how many of everything, without a claim."""
    trained = [cell for cell in cells if cell.strategy != "base"]
    scored = [row for row in rows if is_number(row["score"])]
    seeds = sorted({seed for cell in trained for seed in cell.seeds})
    sizes = sorted({row["n"] for row in scored})
    models = find_models(cells)
    bases = len([cell for cell in cells if cell.strategy == "base"])
    facts = [
        (_count(sum(len(cell.seeds) for cell in trained), "fine-tuned checkpoint"), _count(bases, "base checkpoint")),
        (_count(len(models), "model"), ", ".join(models)),
        (_count(len(seeds), "training seed"), ", ".join(map(str, seeds))),
        (_count(len(scored), "score"), f"{_range(sizes)} items each"),
    ]
    listed = "".join(f"<li><b>{escape(fact)}</b> <span>{escape(detail)}</span></li>" for fact, detail in facts)
    words = _scope_in_words(trained)
    missing = len(rows) - len(scored)
    words += f" {_count(missing, 'row')} without a score {'is' if missing == 1 else 'are'} left out." if missing else ""
    return f'<p class="summary">{escape(words)}</p><ul class="facts">{listed}</ul>'


def _scope_in_words(trained: Sequence[Cell]) -> str:
    if not trained:
        return "No fine-tuned checkpoint has a score yet."
    ways = len({(cell.label, cell.stages) for cell in trained})
    words = f"This page compares {_count(ways, 'way')} of composing fine-tuning data. "
    alone, cells = sum(len(cell.seeds) < 2 for cell in trained), _count(len(trained), "cell")
    if not alone:
        return words + "Each was trained with two seeds or more; the range over seeds shows the noise of training."
    return words + (
        f"Of {cells} (a way and a model), {alone:,} {'has' if alone == 1 else 'have'} one training seed only:"
        " there, a difference may be noise of training, which item intervals do not show."
    )


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f'<section class="notes"><h2>Notes</h2><ul>{items}</ul></section>' if notes else ""


def _strategies(measures: Sequence[Measure], cells: Sequence[Cell]) -> str:
    models = find_models(cells)
    tables = (f"<h3>{escape(m)}</h3>{render_strategies(measures, cells, model=m)}" for m in models)
    return f"<section><h2>Strategies</h2><p>{READING}</p>{''.join(tables)}</section>"


def _curves(measures: Sequence[Measure], cells: Sequence[Cell], printed: Sequence[Cell]) -> str:
    """Each figure for each measure; `printed` are the paper's own cells, in panels beside the study's."""
    sections = []
    beside = f" {PRINTED}" if printed else ""
    for figure in FIGURES:
        drawn = "".join(render_figure(figure, measure, cells, printed) for measure in measures)
        if drawn:
            legend = render_legend((series.name, series.meaning, series.style) for series in figure.series)
            words = f"<p>{figure.caption} {CURVES}{beside}</p>{legend}"
            sections.append(f"<section><h2>{figure.title}</h2>{words}{drawn}</section>")
    return "".join(sections)


def _details(
    rows: Sequence[Row], measures: Sequence[Measure], cells: Sequence[Cell], ledger: Sequence[Mapping[str, Any]],
    files: Collection[str], more: str,
) -> str:  # fmt: skip
    parts = []
    beside = [name for name in files if not name.startswith("items/")]
    links = ", ".join(f'<a href="{escape(name)}">{escape(name)}</a>' for name in beside)
    if rows:
        parts.append((f"Every cell ({len(cells)}), averaged over seeds", render_cells(measures, cells, files)))
        parts.append((f"Every score ({len(rows)})", render_rows(rows, files)))
    if ledger:
        parts.append((f"Ledger ({len(ledger)})", render_ledger(ledger)))
    details = "".join(f"<details><summary>{name}</summary>{table}</details>" for name, table in parts)
    words = f"<p>The same as files, beside this page: {links}. {escape(more)}</p>" if links else ""
    return f"<section><h2>All numbers</h2>{words}{details}</section>" if parts else ""


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _range(sizes: Sequence[int]) -> str:
    return f"{sizes[0]:,}" if sizes[0] == sizes[-1] else f"{sizes[0]:,} to {sizes[-1]:,}"
