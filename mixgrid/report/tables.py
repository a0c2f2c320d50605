"""The report's tables: strategies against measures for each model, every cell, every row, the ledger.

    strategy                        math: lab.math, % of items
    DMT, k = 1/4                    92.0 best
      code + math → general + ...   87.4–95.1
                                    3 seeds: 90.5–93.0

A column's best is marked with a word, not with colour alone.
"""

import itertools
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

from mixgrid.report.text import escape
from mixgrid.result_cells import Cell, Measure, Row, Value, is_number


def render_strategies(measures: Sequence[Measure], cells: Sequence[Cell], *, model: str) -> str:
    """One model's strategies at full amount, and DMT at each k, against all measures."""
    chosen = [c for c in cells if c.model == model and (c.strategy not in ("single", "multi_task") or c.is_full)]
    return render_ways(f"Strategies, {model}", measures, chosen)


def render_ways(title: str, measures: Sequence[Measure], chosen: Sequence[Cell]) -> str:
    """These cells, all of one model, against these measures."""
    sizes = {m: {c.values[m].n for c in chosen if m in c.values} for m in measures}
    best = {m: _best([c.values[m].summary.mean for c in chosen if m in c.values], m) for m in measures}
    body = []
    for cell in chosen:
        numbers = "".join(_score(cell, m, best[m], show_n=len(sizes[m]) > 1) for m in measures)
        stages = "" if cell.strategy == "single" else f"<small>{escape(cell.description)}</small>"
        body.append(f'<tr><th scope="row">{escape(cell.label)}{stages}</th>{numbers}</tr>')
    head = _measure_head(measures, sizes)
    return scroll(title, f'<table class="strategies">{head}<tbody>{"".join(body)}</tbody></table>')


def render_cells(measures: Sequence[Measure], cells: Sequence[Cell], beside: Collection[str] = ()) -> str:
    """Every cell's mean with its item interval, range over seeds and t interval."""
    return _numbers("Every cell", measures, [(cell, cell.label) for cell in cells], beside, second="cell")


def render_points(measures: Sequence[Measure], points: Sequence[tuple[Cell, str]], beside: Collection[str] = ()) -> str:
    """The same for checkpoints on the way, each with how many stages it has trained."""
    return _numbers("Every point inside a stage", measures, points, beside, second="stages trained")


def _numbers(
    name: str, measures: Sequence[Measure], cells: Sequence[tuple[Cell, str]], beside: Collection[str], *, second: str
) -> str:
    names = ("model", second, "stages", "experiments", "ability", "benchmark")
    figures = ("mean", "n", "items, 95 %", "seeds", "range over seeds", "t interval over seeds")
    body: list[list[object]] = []
    for cell, words_of in cells:
        for m in (m for m in measures if m in cell.values):
            value, summary = cell.values[m], cell.values[m].summary
            seeds = _span(m, summary.lowest, summary.highest) if summary.seeds > 1 else ""
            t = _span(m, summary.interval.low, summary.interval.high) if summary.interval else ""
            words = [cell.model, words_of, cell.description, ", ".join(cell.experiments), m.ability, m.benchmark]
            numbers = [m.format(summary.mean), value.n or "", _items(value, m), len(cell.seeds) or "", seeds, t]
            keys = Markup(" ".join(_key(score.key, beside) for score in value.scores))
            body.append([*words, *numbers, keys])
    ids = [anchor(cell.values[m], m) for cell, _ in cells for m in measures if m in cell.values]
    return _plain(name, (*names, *figures, "key"), body, figures=figures, ids=ids)


def render_rows(rows: Sequence[Row], beside: Collection[str] = ()) -> str:
    """The rows of `mixgrid results`, scores to four decimals on their own scale."""
    names = ("model", "seed", "strategy", "k", "stages", "experiments", "ability", "benchmark")
    figures = ("score", "low", "high", "n")
    body = []
    for row in rows:
        stages = (" + ".join(f"{k} {name}" for name, k in stage.items()) for stage in row["proportions"] or [])
        words = [row["model"], "" if row["seed"] is None else row["seed"], row["strategy"], row["proportion"] or ""]
        words += [" → ".join(stages), ", ".join(row["experiments"]), row["ability"], row["benchmark"]]
        numbers = [f"{row[c]:.4f}" if is_number(row[c]) else "none" for c in figures[:3]]
        body.append([*words, *numbers, row["n"], Markup(_key(str(row["key"]), beside))])
    return _plain("Every score", (*names, *figures, "key"), body, figures=figures)


def render_ledger(ledger: Sequence[Mapping[str, Any]]) -> str:
    """Any list of records; the columns are their keys in order of appearance."""
    columns = list(dict.fromkeys(column for entry in ledger for column in entry))
    return _plain("Ledger", columns, [[entry.get(column, "") for column in columns] for entry in ledger])


def _best(means: Sequence[float], measure: Measure) -> float | None:
    """The best mean; None where all are equal, so that a column of zeros has no winner."""
    if len(set(means)) < 2:
        return None
    return min(means) if measure.lower_is_better else max(means)


def anchor(value: Value, measure: Measure) -> str:
    """The id of a number's row among all cells: from the key of its first score."""
    return anchor_of(min(score.key for score in value.scores), measure.benchmark)


def anchor_of(key: str, benchmark: str) -> str:
    """The same, where the first score's key is known."""
    return f"c{key[:16]}-{benchmark}"


class Markup(str):
    """Text that is HTML already."""


def _key(key: str, beside: Collection[str]) -> str:
    """The key's first 16 digits, linked to its items where those lie beside the page."""
    short = key[:16]
    file = f"items/{short}.parquet"
    return f'<a href="{file}">{escape(short)}</a>' if file in beside else escape(short)


def _score(cell: Cell, measure: Measure, best: float | None, *, show_n: bool) -> str:
    value = cell.values.get(measure)
    if value is None:
        return '<td class="none">no score</td>'
    summary, lines = value.summary, []
    if value.items:
        lines.append(_items(value, measure))
    if summary.seeds > 1:
        lines.append(f"{summary.seeds} seeds: {_span(measure, summary.lowest, summary.highest)}")
    if show_n and value.n is not None:
        lines.append(f"n {value.n:,}")
    number = f'<a href="#{escape(anchor(value, measure))}"><b>{measure.format(summary.mean)}</b></a>'
    if summary.mean == best:
        number = f'<mark>{number} <span class="best">best</span></mark>'
    return f"<td>{number}{''.join(f'<small>{line}</small>' for line in lines)}</td>"


def _items(value: Value, measure: Measure) -> str:
    return _span(measure, value.items.low, value.items.high) if value.items else ""


def _span(measure: Measure, low: float, high: float) -> str:
    return f"{measure.format(low)}–{measure.format(high)}"


def _measure_head(measures: Sequence[Measure], sizes: Mapping[Measure, set[int | None]]) -> str:
    abilities, benchmarks = [], []
    for ability, group in groupby(measures, key=lambda m: m.ability):
        members = list(group)
        abilities.append(f'<th scope="colgroup" colspan="{len(members)}">{escape(ability)}</th>')
        for m in members:
            (n,) = sizes[m] if len(sizes[m]) == 1 else (None,)
            size = f"<small>n {n:,}</small>" if n is not None else ""
            benchmarks.append(f'<th scope="col">{escape(m.benchmark)}<small>{m.unit}</small>{size}</th>')
    first = f'<tr><th scope="col" rowspan="2">strategy</th>{"".join(abilities)}</tr>'
    return f"<thead>{first}<tr>{''.join(benchmarks)}</tr></thead>"


def _plain(
    name: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    figures: Sequence[str] = (),
    ids: Sequence[str] = (),
) -> str:
    """A dense table; the columns of `figures` are set to the right, and `ids` are those of the rows."""
    classes = dict.fromkeys(figures, ' class="num"') | {"stages": ' class="stages"', "key": ' class="key"'}
    styles = [classes.get(column, "") for column in columns]
    head = "".join(
        f'<th scope="col"{style}>{escape(column)}</th>' for column, style in zip(columns, styles, strict=True)
    )
    lines = (
        "".join(f"<td{s}>{v if isinstance(v, Markup) else escape(v)}</td>" for v, s in zip(row, styles, strict=True))
        for row in rows
    )
    named = itertools.chain((f' id="{escape(name)}"' for name in ids), itertools.repeat(""))
    body = "".join(f"<tr{name}>{line}</tr>" for line, name in zip(lines, named, strict=False))
    return scroll(name, f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>')


def scroll(name: str, table: str) -> str:
    """A wide table scrolls inside its own container, also by keyboard."""
    return f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(name)}">{table}</div>'
