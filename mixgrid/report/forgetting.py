"""Forgetting curves: a score on the way through the stages, for studies that evaluate there (`curves`).

    lab.small, math: base .00   stage 1 .91   stage 2: at 1/4 .55, at 1/2 .41, end .32      (mixed sequential)

x counts stages, so that a whole number is a stage's end. The end of a stage is the final checkpoint of the cell that is
trained so far and no further, where the study has it. A line looks the same in all panels; every point is in a table.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

from mixgrid.report.drawing import (
    DODGE,
    STYLES,
    Scale,
    Style,
    axes,
    figure_of,
    line,
    panel_of,
    render_legend,
    round_ticks,
)
from mixgrid.report.tables import render_points
from mixgrid.report.text import escape
from mixgrid.result_cells import Cell, Measure, Value, build_cells, find_models, unique_rows

READING = (
    "Scores while a checkpoint is trained: 0 is the base model, each whole number (a line across) the end of a stage."
    " Points are means over seeds, thin bars the 95 % item intervals, thick ones the range over seeds. A line that"
    " falls after a stage’s end shows what is forgotten from there on."
)
Way = Mapping[Fraction, Cell]
"""The cells that one training passes, by stages trained."""


def render_forgetting(
    measures: Sequence[Measure], cells: Sequence[Cell], curves: Sequence[Mapping[str, Any]],
    beside: Collection[str] = (),
) -> str:  # fmt: skip
    """A panel a model and measure; empty text where the study evaluates nothing on the way."""
    points = _points(measures, curves)
    ways = {model: _ways(model, cells, points) for model in find_models(cells)}
    lengths = {name: len(way) for of_model in ways.values() for name, way in of_model.items()}
    names = sorted(lengths, key=lambda name: -lengths[name])  # the longest way shows most
    styles = dict(zip((name for name in lengths if name in names[: len(STYLES)]), STYLES, strict=False))
    legend = render_legend((name, "", style) for name, style in styles.items())
    figures = [_figure(measure, ways, styles, legend) for measure in measures]
    if not any(figures):
        return ""
    left_out = [name for name in lengths if name not in styles]
    words = f" Not drawn, to keep panels readable: {escape(', '.join(left_out))}." if left_out else ""
    inside = [(cell, f"{float(x):.4g}") for of_way in points.values() for x, cell in of_way]
    table = render_points(measures, inside, beside)
    details = f"<details><summary>Every point inside a stage ({len(inside)})</summary>{table}</details>"
    return f"<section><h2>Forgetting on the way</h2><p>{READING}{words}</p>{''.join(figures)}{details}</section>"


def _points(
    measures: Sequence[Measure], curves: Sequence[Mapping[str, Any]]
) -> dict[tuple[str, Any], list[tuple[Fraction, Cell]]]:
    """The cells on the way by model and stages begun, with how far they are."""
    points: dict[tuple[str, Any], list[tuple[Fraction, Cell]]] = {}
    for stage, at in dict.fromkeys((row["stage"], row["at"]) for row in curves):
        rows = unique_rows([row for row in curves if (row["stage"], row["at"]) == (stage, at)])
        for cell in build_cells(rows, measures):
            points.setdefault((cell.model, cell.stages), []).append((stage - 1 + Fraction(at), cell))
    return points


def _ways(
    model: str, cells: Sequence[Cell], points: Mapping[tuple[str, Any], Sequence[tuple[Fraction, Cell]]]
) -> dict[str, Way]:
    """Each trained cell's way by its name: base, points inside its stages, the ends of its stages."""
    ends = {cell.stages: cell for cell in cells if cell.model == model}
    found: list[tuple[Cell, Way]] = []
    for stages, end in ends.items():
        inside = [p for n in range(1, len(stages) + 1) for p in points.get((model, stages[:n]), [])]
        if inside:
            passed = {Fraction(n): ends[stages[:n]] for n in range(len(stages) + 1) if stages[:n] in ends}
            found.append((end, dict(inside) | passed))
    alike = Counter(end.label for end, _ in found)
    return {end.label if alike[end.label] == 1 else f"{end.label}: {end.description}": way for end, way in found}


def _figure(measure: Measure, ways: Mapping[str, Mapping[str, Way]], styles: Mapping[str, Style], legend: str) -> str:
    """A measure's panels, on one scale; empty text where no line has two points."""
    drawn: dict[str, dict[str, Mapping[Fraction, Value]]] = {}
    for model, of_model in ways.items():
        for name, way in of_model.items():
            curve = {x: cell.values[measure] for x, cell in way.items() if measure in cell.values}
            if name in styles and len(curve) > 1:
                drawn.setdefault(model, {})[name] = curve
    curves = [curve for of_model in drawn.values() for curve in of_model.values()]
    if not curves:
        return ""
    values = [value for curve in curves for value in curve.values()]
    ks = tuple(sorted({x for curve in curves for x in curve}))
    scale = Scale(ks=ks, ticks=round_ticks(measure, values), logarithmic=False)
    panels = [_panel(measure, scale, model, of_model, styles) for model, of_model in drawn.items()]
    return figure_of(measure, panels, legend=legend)


def _panel(
    measure: Measure, scale: Scale, model: str, curves: Mapping[str, Mapping[Fraction, Value]],
    styles: Mapping[str, Style],
) -> str:  # fmt: skip
    parts = [axes(measure, scale, "stages trained", whole=True)]
    for number, (name, curve) in enumerate(curves.items()):
        offset = DODGE * (2 * number / max(1, len(curves) - 1) - 1) if len(curves) > 1 else 0.0
        parts.append(line(measure, scale, styles[name], curve, offset, name=name))
    return panel_of(model, f"{model}: {measure.ability}, {measure.benchmark} while it is trained", "".join(parts))
