"""Forgetting curves: a score on the way through the stages, for studies that evaluate there (`curves`).

    lab.small, math: base .00   stage 1 .91   stage 2: at 1/4 .55, at 1/2 .41, end .32      (mixed sequential)

x counts stages, so that a whole number is a stage's end. The end of a stage is the final checkpoint of the cell that is
trained so far and no further, where the study has it.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from mixgrid.report.charts import render_progress
from mixgrid.report.text import escape
from mixgrid.result_cells import Cell, Measure, build_cells, find_models, unique_rows

READING = (
    "Scores while a checkpoint is trained: 0 is the base model, each whole number the end of a stage. Points are"
    " means over seeds, thin bars the 95 % item intervals. A line that falls after a stage’s end shows what is"
    " forgotten from there on."
)
MOST = 4  # lines a panel: those with most points on the way, in the table’s order


def render_forgetting(measures: Sequence[Measure], cells: Sequence[Cell], curves: Sequence[Mapping[str, Any]]) -> str:
    """A panel a model and measure; empty text where the study evaluates nothing on the way."""
    points: dict[tuple[str, Any], list[tuple[Fraction, Cell]]] = {}
    places = dict.fromkeys((row["stage"], row["at"]) for row in curves)
    for stage, at in places:
        rows = unique_rows([row for row in curves if (row["stage"], row["at"]) == (stage, at)])
        for cell in build_cells(rows, measures):
            x = stage - 1 + Fraction(at)
            points.setdefault((cell.model, cell.stages), []).append((x, cell))
    ends = {(cell.model, cell.stages): cell for cell in cells}
    figures = []
    for measure in measures:
        panels = []
        for model in find_models(cells):
            lines = _lines(model, ends, points)
            panels.append(render_progress(measure, f"{model}: {measure.ability}", lines))
        drawn = "".join(panels)
        if drawn:
            heading = f"{escape(measure.ability)} <span>{escape(measure.benchmark)}, {measure.unit}</span>"
            figures.append(f'<figure class="curves"><h3>{heading}</h3><div class="panels">{drawn}</div></figure>')
    return f"<section><h2>Forgetting on the way</h2><p>{READING}</p>{''.join(figures)}</section>" if figures else ""


def _lines(
    model: str, ends: Mapping[Any, Cell], points: Mapping[Any, Sequence[tuple[Fraction, Cell]]]
) -> dict[str, dict[Fraction, Cell]]:
    """Each trained cell's way by its label: base, points inside its stages, the ends of its stages."""
    found: dict[str, dict[Fraction, Cell]] = {}
    for (of, stages), end in ends.items():
        inside = [p for n in range(1, len(stages) + 1) for p in points.get((model, stages[:n]), [])]
        if of != model or not inside:
            continue
        way = dict(inside)
        for n in range(len(stages) + 1):
            if (model, stages[:n]) in ends:
                way[Fraction(n)] = ends[model, stages[:n]]
        found[f"{end.label}"] = way
    kept = sorted(found, key=lambda name: -len(found[name]))[:MOST]
    return {name: way for name, way in found.items() if name in kept}
