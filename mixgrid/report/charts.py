"""Score against amount: one figure a measure, one small panel a model, as inline SVG.

    math, lab.math:  single source  k=1/64 .01 ... k=1 .87     (only that ability's source, RQ1)
                     mixed          k=1/64 .02 ... k=1 .71     (k of every source, RQ2)
                     DMT            k=1/64 .24 ... k=1 .93     (k in stage 2)

Each series has its own colour, dash and marker and its name at the end of its line, so that no reader needs
the colour. Thin bars with caps are item intervals, the thick part the range over seeds. The axis of k is logarithmic.
"""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixgrid.report.text import escape
from mixgrid.result_cells import Cell, Measure, Value, find_models

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 60, 14, 46
DODGE = 6  # pixels between the series at one k: error bars would hide each other
Curve = Mapping[Fraction, Value]


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a figure: which cells it joins, and how it is told apart."""

    name: str
    meaning: str
    experiment: str
    colour: str
    dash: str
    marker: str
    holds: Callable[[Cell, str], bool]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One question to the cells: its series, drawn for every measure and model."""

    name: str
    title: str
    caption: str
    series: tuple[Series, ...]


def _is_single(cell: Cell, ability: str) -> bool:
    return cell.strategy == "single" and [name for stage in cell.stages for name, _ in stage] == [ability]


def _is_even_mix(cell: Cell, _ability: str) -> bool:
    amounts = {k for stage in cell.stages for _, k in stage}
    return cell.strategy == "multi_task" and amounts == {cell.proportion}


def _is_ratio(*, general_full: bool) -> Callable[[Cell, str], bool]:
    """Arms a and b of rq3: one kind of data in full, k of the other, in one stage."""
    arm = "a" if general_full else "b"

    def holds(cell: Cell, _: str) -> bool:
        if cell.strategy != "multi_task" or "rq3" not in cell.experiments or cell.proportion is None:
            return False
        amounts = [k for _, k in cell.stages[0]]
        full = amounts.count(Fraction(1))
        few = full <= len(amounts) // 2
        return cell.is_full or (amounts.count(cell.proportion) + full == len(amounts) and few == (arm == "a"))

    return holds


ALONE = Series(
    name="single", meaning="only this ability’s source, k of it", experiment="rq1",
    colour="#1b5e9e", dash="", marker="circle", holds=_is_single,
)  # fmt: skip
MIXED = Series(
    name="mixed", meaning="k of every source, in one stage", experiment="rq2",
    colour="#b4480f", dash="7 4", marker="square", holds=_is_even_mix,
)  # fmt: skip
DMT = Series(
    name="DMT", meaning="specialised first; k of it again in stage 2", experiment="dmt",
    colour="#27703f", dash="2 3", marker="triangle", holds=lambda cell, _: cell.strategy == "dmt",
)  # fmt: skip
FIGURES = (
    Figure(
        name="amount", title="Score against amount", series=(ALONE, MIXED, DMT),
        caption="The paper’s figures 2 (single), 3 (single against mixed) and 5 (DMT at each k) in one.",
    ),
    Figure(
        name="ratio", title="Score against the ratio between sources",
        caption="The paper’s figure 4: one kind of data in full, and k of the other beside it, in one stage.",
        series=(
            Series(
                name="k spec.", meaning="all general data and k of the specialised", experiment="rq3",
                colour="#1b5e9e", dash="", marker="circle", holds=_is_ratio(general_full=True),
            ),
            Series(
                name="k gen.", meaning="all specialised data and k of the general", experiment="rq3",
                colour="#b4480f", dash="7 4", marker="square", holds=_is_ratio(general_full=False),
            ),
        ),
    ),
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Scale:
    """Where a k and a score lie in a panel; the panels of one figure share it, so that models compare."""

    ks: tuple[Fraction, ...]
    ticks: tuple[float, ...]
    logarithmic: bool = True

    def x(self, k: Fraction) -> float:
        inner = WIDTH - LEFT - RIGHT - 2 * DODGE - 12
        bend = math.log if self.logarithmic else float
        low, high = bend(self.ks[0]), bend(self.ks[-1])
        share = (bend(k) - low) / (high - low) if high > low else 0.5
        return LEFT + DODGE + 6 + share * inner

    def y(self, value: float) -> float:
        share = (value - self.ticks[0]) / (self.ticks[-1] - self.ticks[0])
        return HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM)


def render_figure(figure: Figure, measure: Measure, cells: Sequence[Cell]) -> str:
    """The measure's figure, one panel a model; empty text when no curve has a point."""
    models = find_models(cells)
    curves = {model: [_curve(measure, cells, model, series) for series in figure.series] for model in models}
    bases = {c.model: c.values[measure] for c in cells if c.strategy == "base" and measure in c.values}
    values = [value for of_model in curves.values() for curve in of_model for value in curve.values()]
    if not values:
        return ""
    ks = sorted({k for of_model in curves.values() for curve in of_model for k in curve})
    scale = Scale(ks=tuple(ks), ticks=_ticks(measure, [*values, *bases.values()]))
    shown = [model for model in models if any(curves[model])]
    panels = "".join(_panel(figure, measure, scale, model, curves[model], bases.get(model)) for model in shown)
    heading = f"{escape(measure.ability)} <span>{escape(measure.benchmark)}, {measure.unit}</span>"
    return f'<figure class="curves"><h3>{heading}</h3><div class="panels">{panels}</div></figure>'


def render_legend(series_list: Sequence[Series]) -> str:
    """How the series are drawn and what they are, as a list to stand above the figures."""
    items = []
    for series in series_list:
        line = f'<line x1="1" y1="8" x2="43" y2="8" {_stroke(series)}/>'
        drawing = f'<svg viewBox="0 0 44 16" width="44" height="16" aria-hidden="true">{line}'
        items.append(f"<li>{drawing}{_marker(series, 22, 8)}</svg><b>{series.name}</b> {series.meaning}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


STYLES = (ALONE, MIXED, DMT, FIGURES[1].series[0])  # what the lines of a panel look like, in turn


def render_progress(measure: Measure, title: str, lines: Mapping[str, Mapping[Fraction, Cell]]) -> str:
    """One panel of scores against stages trained; `lines` by name, each a cell at each point."""
    ways = {name: {x: c.values[measure] for x, c in way.items() if measure in c.values} for name, way in lines.items()}
    ways = {name: way for name, way in ways.items() if len(way) > 1}
    if not ways:
        return ""
    scale = Scale(
        ks=tuple(sorted({x for way in ways.values() for x in way})), logarithmic=False,
        ticks=_ticks(measure, [value for way in ways.values() for value in way.values()]),
    )  # fmt: skip
    parts, legend = [_axes(measure, scale, "stages trained")], []
    for name, style, offset in zip(ways, STYLES, (-DODGE, 0, DODGE, DODGE / 2), strict=False):
        parts.append(_line(measure, scale, style, ways[name], offset))
        mark = f'<line x1="1" y1="8" x2="43" y2="8" {_stroke(style)}/>{_marker(style, 22, 8)}'
        legend.append(
            f'<li><svg viewBox="0 0 44 16" width="44" height="16" aria-hidden="true">{mark}</svg>{escape(name)}</li>'
        )
    return (
        f'<div class="panel"><h4>{escape(title)}</h4><svg xmlns="http://www.w3.org/2000/svg" role="img"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}"><title>{escape(title)} on the way</title>{"".join(parts)}</svg>'
        f'<ul class="legend">{"".join(legend)}</ul></div>'
    )


def _curve(measure: Measure, cells: Sequence[Cell], model: str, series: Series) -> Curve:
    """The series' value at each k; of several cells at one k, the one of the series' own experiment."""
    held = [c for c in cells if c.model == model and measure in c.values and series.holds(c, measure.ability)]
    held.sort(key=lambda c: (series.experiment in c.experiments, sum(map(len, c.stages)), len(c.seeds)))
    return {c.proportion: c.values[measure] for c in held if c.proportion is not None and c.proportion > 0}


def _panel(
    figure: Figure, measure: Measure, scale: Scale, model: str, curves: Sequence[Curve], base: Value | None
) -> str:
    parts, ends = [_axes(measure, scale)], []
    if base:
        y = scale.y(measure.scaled(base.summary.mean))
        parts.append(f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        ends.append((y, "base", "#5c6470"))
    for offset, series, curve in zip((-DODGE, 0, DODGE), figure.series, curves, strict=False):
        if curve:
            parts.append(_line(measure, scale, series, curve, offset))
            ends.append((scale.y(measure.scaled(curve[max(curve)].summary.mean)), series.name, series.colour))
    title = escape(f"{model}: {measure.ability}, {measure.benchmark} against the amount k")
    return (
        f'<div class="panel"><h4>{escape(model)}</h4><svg xmlns="http://www.w3.org/2000/svg" role="img"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}"><title>{title}</title>{"".join(parts)}{_end_labels(ends)}</svg></div>'
    )


def _axes(measure: Measure, scale: Scale, label: str = "amount k") -> str:
    parts, last, floor = [], -math.inf, HEIGHT - BOTTOM
    for tick in scale.ticks:
        y = scale.y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        text = f"{tick:g}%" if measure.is_rate and tick == scale.ticks[-1] else f"{tick:g}"
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for k in scale.ks:
        x = scale.x(k)
        parts.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{floor}" y2="{floor + 4}"/>')
        if x - last >= 38:  # a label is about this wide
            parts.append(f'<text class="tick" x="{x:.1f}" y="{floor + 19}" text-anchor="middle">{k}</text>')
            last = x
    middle = (LEFT + WIDTH - RIGHT) / 2
    return "".join(parts) + f'<text class="tick" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>'


def _line(measure: Measure, scale: Scale, series: Series, curve: Curve, offset: float) -> str:
    points, bars, markers = [], [], []
    for k, value in sorted(curve.items()):
        summary, x = value.summary, scale.x(k) + offset
        y = scale.y(measure.scaled(summary.mean))
        points.append(f"{x:.1f},{y:.1f}")
        markers.append(_marker(series, x, y))
        if value.items:
            low, high = (scale.y(measure.scaled(v)) for v in (value.items.low, value.items.high))
            caps = "".join(f"M{x - 3:.1f} {end:.1f}h6" for end in (low, high))
            bars.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}{caps}" stroke-width="1"/>')
        if summary.seeds > 1:
            low, high = (scale.y(measure.scaled(v)) for v in (summary.lowest, summary.highest))
            bars.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke-width="4" stroke-opacity=".45"/>')
    line = f'<polyline points="{" ".join(points)}" fill="none" {_stroke(series)}/>'
    return f'{line}<g fill="none" stroke="{series.colour}">{"".join(bars)}</g>{"".join(markers)}'


def _stroke(series: Series) -> str:
    return f'stroke="{series.colour}" stroke-width="2" stroke-dasharray="{series.dash or "none"}"'


def _marker(series: Series, x: float, y: float) -> str:
    paint = f'fill="{series.colour}" stroke="#fff" stroke-width="1"'
    if series.marker == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" {paint}/>'
    shape = "M-4-4h8v8h-8z" if series.marker == "square" else "M0-5.5L5.2 4H-5.2z"
    return f'<path d="{shape}" transform="translate({x:.1f} {y:.1f})" {paint}/>'


def _end_labels(ends: Iterable[tuple[float, str, str]]) -> str:
    """The names beside the last points, from top to bottom, pushed apart to be readable."""
    ordered = sorted(ends)
    ys = [y for y, _, _ in ordered]
    for i in range(1, len(ys)):
        ys[i] = max(ys[i], ys[i - 1] + 14)
    floor = float(HEIGHT - BOTTOM)
    for i in reversed(range(len(ys))):
        ys[i] = min(ys[i], floor)
        floor = ys[i] - 14
    return "".join(
        f'<text class="name" x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}" fill="{colour}">{name}</text>'
        for y, (_, name, colour) in zip(ys, ordered, strict=True)
    )


def _ticks(measure: Measure, values: Iterable[Value]) -> tuple[float, ...]:
    """Three to six round numbers that enclose all values and intervals; rates start at 0."""
    reach = [0.0] if measure.is_rate else []
    for value in values:
        ends = (value.items.low, value.items.high) if value.items else ()
        reach += [measure.scaled(v) for v in (value.summary.lowest, value.summary.highest, *ends)]
    low, high = min(reach), max(reach)
    span = (high - low) or abs(high) or 1.0
    power = 10.0 ** math.floor(math.log10(span / 4))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if span / (power * factor) <= 4.5)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(round(i * step, 10) for i in range(first, max(last, first + 1) + 1))
