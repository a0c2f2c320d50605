"""The report's recommendation: what to use for equal weights, what is as good within noise, and what to run next.

lab.small    use      DMT, k = 1                .848  .800-.890    math 78.5 %  code 98.1 %  ...   3 seeds
             or       DMT, k = 7/10             .836  .793-.874    ...                            not run   better: 16 %
             run next multi-task, k = 7/10      .768  .682-.840    ...                            not run   gains .0008
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from mixgrid.law.curve import AMOUNTS_NEEDED, CELLS_NEEDED
from mixgrid.law.recommend import CLOSE, DRAWS, MOST_CLOSE, MOST_NEXT
from mixgrid.report.tables import anchor, scroll
from mixgrid.report.text import escape
from mixgrid.result_cells import STRATEGIES, Cell, Measure

READING = (
    "A way’s value is the weighted mean of what each ability is worth with it, from 0 to 1: a score’s share of its"
    " scale, or the mean probability of a response’s token. Weights here: {weights}; <code>mixgrid recommend</code>"
    " weighs differently, or within a budget. All numbers are what the law expects with their 95 % intervals, a score’s"
    " for one more cell with as many seeds as the study’s. A way that was run leads to what was measured."
)
THRESHOLDS = (
    f"“As good within noise” are the at most {MOST_CLOSE} ways that beat the one to use on {CLOSE:.0%} or more of"
    f" {DRAWS:,} surfaces that fit all cells; “better” is that share.",
    f"“Run next” are the at most {MOST_NEXT} ways, not yet run with as many seeds as most, whose certain knowledge"
    " would gain most; the gain is in value, on average over the surfaces.",
    f"A law takes {CELLS_NEEDED} cells with {AMOUNTS_NEEDED} different amounts of an ability’s data; with fewer there"
    " is no recommendation.",
)


def render_recommendation(
    recommendation: Mapping[str, Any], measures: Sequence[Measure] = (), cells: Sequence[Cell] = ()
) -> str:
    """The section; `cells` are what ways that were run are linked to."""
    weights = ", ".join(f"{escape(ability)} {weight:g}" for ability, weight in recommendation["weights"].items())
    ran = {(cell.model, _form(cell.stages)): cell for cell in reversed(cells)}
    known = {(measure.ability, measure.benchmark): measure for measure in measures}
    blocks = "".join(_model(model, known, ran) for model in recommendation["models"])
    thresholds = "".join(f"<li>{text}</li>" for text in THRESHOLDS)
    words = f"<p>{READING.format(weights=weights)}</p>{blocks}<ul class='notes'>{thresholds}</ul>"
    return f'<section class="recommendation"><h2>Recommendation</h2>{words}</section>'


def _model(model: Mapping[str, Any], known: Mapping[Any, Measure], ran: Mapping[Any, Cell]) -> str:
    heading = f"<h3>{escape(model['model'])}</h3>"
    if model["best"] is None:
        return f'{heading}<p class="use">No recommendation: {escape(model["reason"])}.</p>'
    best = model["best"]
    said = (
        f"{_stages(best)}: value {best['value']['value']:.3f}, {best['value']['low']:.3f}–{best['value']['high']:.3f}"
    )
    lead = f'<p class="use">Use {_way(best, model["model"], ran)}<small>{escape(said)}</small></p>'
    measures = {a: known.get((a, benchmark)) for a, benchmark in model["measures"].items()}
    heads = [f"{escape(a)}<small>{escape(b)}{_unit(measures[a])}</small>" for a, b in model["measures"].items()]
    head = '<th scope="col" rowspan="1">way</th>'  # as in the other tables: it stays in sight on a phone
    head += "".join(f'<th scope="col">{text}</th>' for text in ("value", *heads, "run so far"))
    rows = [_row("use", best, model, measures, ran)]
    for entry in model["close"]:
        rows.append(_row(f"as good within noise: better {entry['chance_better']:.0%}", entry, model, measures, ran))
    for entry in model["next"]:
        rows.append(_row(f"run next: gain {entry['gain']:.4f}", entry, model, measures, ran))
    table = f'<table class="strategies"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    return heading + lead + scroll(f"Recommendation, {model['model']}", table)


def _row(
    role: str, entry: Mapping[str, Any], model: Mapping[str, Any],
    measures: Mapping[str, Measure | None], ran: Mapping[Any, Cell],
) -> str:  # fmt: skip
    value, seeds = entry["value"], entry["seeds_run"]
    numbers = [f"<b>{value['value']:.3f}</b><small>{value['low']:.3f}–{value['high']:.3f}</small>"]
    for ability, e in entry["expected"].items():
        mean, low, high = (_format(measures.get(ability), e[name]) for name in ("score", "low", "high"))
        numbers.append(f"<b>{mean}</b><small>{low}–{high}</small>")
    cells = "".join(f"<td>{number}</td>" for number in numbers)
    run = f"{seeds} seed{'' if seeds == 1 else 's'}" if seeds else "not run"
    way = f"<small>{role}</small>{_way(entry, model['model'], ran)}<small>{escape(_stages(entry))}</small>"
    return f'<tr><th scope="row">{way}</th>{cells}<td>{run}</td></tr>'


def _way(entry: Mapping[str, Any], model: str, ran: Mapping[Any, Cell]) -> str:
    """The way's name as in the other tables, linked to its first number if it was run."""
    stages = [{name: Fraction(k) for name, k in stage.items()} for stage in entry["proportions"]]
    cell = ran.get((model, _form([tuple(stage.items()) for stage in stages]))) if entry["seeds_run"] else None
    if cell is not None:
        measure, value = next(iter(cell.values.items()))
        return f'<a href="#{escape(anchor(value, measure))}">{escape(cell.label)}</a>'
    name = STRATEGIES.get(entry["strategy"], entry["strategy"].replace("_", " "))
    if entry["strategy"] == "single":
        name = f"{' + '.join(name for stage in stages for name in stage)} only"
    return escape(name + ("" if entry["k"] == "1" and entry["strategy"] != "dmt" else f", k = {entry['k']}"))


def _stages(entry: Mapping[str, Any]) -> str:
    stages = ([name if k == "1" else f"{k} {name}" for name, k in stage.items()] for stage in entry["proportions"])
    return " → ".join(" + ".join(stage) for stage in stages)


def _form(stages: Sequence[Sequence[tuple[str, Fraction]]]) -> tuple[tuple[tuple[str, Fraction], ...], ...]:
    return tuple(tuple(sorted(stage)) for stage in stages)


def _unit(measure: Measure | None) -> str:
    return f", {measure.unit}" if measure else ""


def _format(measure: Measure | None, value: float) -> str:
    return measure.format(value) if measure else f"{value:.3f}"
