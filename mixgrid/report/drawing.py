"""What all curves of the report are drawn with: scales, axes, lines with their intervals, names, legends; inline SVG.

    Scale(ks=(1/64, 1/4, 1), ticks=(0, 25, 50))     where a k and a score lie
    line(measure, scale, STYLES[0], {1/64: <value>, ...}, 0, name="single")
        -> dashes and a marker of its own, thin bars with caps for item intervals, thick ones for the range over seeds

Nothing needs its colour. A marker says its number when pointed at, and leads to it among all cells.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixgrid.report.tables import anchor
from mixgrid.report.text import escape
from mixgrid.result_cells import Measure, Value

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 60, 14, 46
DODGE = 6  # pixels between the series at one k: error bars would hide each other
Curve = Mapping[Fraction, Value]


@dataclass(frozen=True)
class Style:
    """How a line is told apart from the others, with colour and without."""

    colour: str
    dash: str
    marker: str


STYLES = (
    Style("#1b5e9e", "", "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z"),  # circle
    Style("#b4480f", "7 4", "M-4-4h8v8h-8z"),  # square
    Style("#27703f", "2 3", "M0-5.5L5.2 4H-5.2z"),  # triangle
    Style("#6a3d9a", "10 3 2 3", "M0-6L6 0L0 6L-6 0z"),  # diamond
    Style("#7a5200", "14 4", "M0 5.5L5.2-4H-5.2z"),  # triangle on its head
    Style("#9c1f5b", "4 2 1 2 1 2", "M-1.7-5.5h3.4v3.8h3.8v3.4h-3.8v3.8h-3.4v-3.8h-3.8v-3.4h3.8z"),  # plus
)
"""What lines look like, in turn."""


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


def figure_of(measure: Measure, panels: Sequence[str], *, legend: str = "", pairs: bool = False) -> str:
    """Panels under the measure's name; with `pairs`, two and two beside each other."""
    heading = f"{escape(measure.ability)} <span>{escape(measure.benchmark)}, {measure.unit}</span>"
    grid = "panels pairs" if pairs else "panels"
    return f'<figure class="curves"><h3>{heading}</h3>{legend}<div class="{grid}">{"".join(panels)}</div></figure>'


def panel_of(title: str, meaning: str, drawing: str, *, label: str = "") -> str:
    """One drawing under its title; `meaning` is what a reader who does not see it is told."""
    return (
        f'<div class="panel"><h4>{escape(title)}{label}</h4><svg xmlns="http://www.w3.org/2000/svg" role="group"'
        f' viewBox="0 0 {WIDTH} {HEIGHT}"><title>{escape(meaning)}</title>{drawing}</svg></div>'
    )


def render_legend(entries: Iterable[tuple[str, str, Style]]) -> str:
    """How lines are drawn and what they are, (name, meaning, style) each, as a list to stand above them."""
    items = []
    for name, meaning, style in entries:
        line = f'<line x1="1" y1="8" x2="43" y2="8" {_stroke(style)}/>'
        drawing = f'<svg viewBox="0 0 44 16" width="44" height="16" aria-hidden="true">{line}'
        items.append(f"<li>{drawing}{marker(style, 22, 8)}</svg><b>{escape(name)}</b> {escape(meaning)}</li>")
    return f'<ul class="legend">{"".join(items)}</ul>'


def axes(measure: Measure, scale: Scale, label: str, *, whole: bool = False) -> str:
    """Grid, ticks and the x axis' label; with `whole`, only whole numbers have a label and a line across."""
    parts, last, floor = [], -math.inf, HEIGHT - BOTTOM
    for tick in scale.ticks:
        y = scale.y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        text = f"{tick:g}%" if measure.is_rate and tick == scale.ticks[-1] else f"{tick:g}"
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text}</text>')
    for k in scale.ks:
        x, is_whole = scale.x(k), whole and k.denominator == 1
        kind, top = ("grid", TOP) if is_whole else ("axis", floor)
        parts.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{floor + 4}"/>')
        if is_whole or (not whole and x - last >= 38):  # a label is about this wide
            parts.append(f'<text class="tick" x="{x:.1f}" y="{floor + 19}" text-anchor="middle">{k}</text>')
            last = x
    middle = (LEFT + WIDTH - RIGHT) / 2
    return "".join(parts) + f'<text class="tick" x="{middle}" y="{HEIGHT - 8}" text-anchor="middle">{label}</text>'


def line(
    measure: Measure, scale: Scale, style: Style, curve: Curve, offset: float, *, name: str, linked: bool = True
) -> str:
    """A curve with its intervals; each marker says its number and, where `linked`, leads to it."""
    points, bars, markers = [], [], []
    for k, value in sorted(curve.items()):
        summary, x = value.summary, scale.x(k) + offset
        y = scale.y(measure.scaled(summary.mean))
        points.append(f"{x:.1f},{y:.1f}")
        said = f"<title>{escape(_words(measure, value, f'{name}, {k}'))}</title>"
        link = f'<a href="#{escape(anchor(value, measure))}" tabindex="-1">' if linked else "<g>"
        markers.append(f"{link}{said}{marker(style, x, y)}</{'a' if linked else 'g'}>")
        if value.items:
            low, high = (scale.y(measure.scaled(v)) for v in (value.items.low, value.items.high))
            caps = "".join(f"M{x - 3:.1f} {end:.1f}h6" for end in (low, high))
            bars.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}{caps}" stroke-width="1"/>')
        if summary.seeds > 1:
            low, high = (scale.y(measure.scaled(v)) for v in (summary.lowest, summary.highest))
            bars.append(f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke-width="4" stroke-opacity=".45"/>')
    way = f'<polyline points="{" ".join(points)}" fill="none" {_stroke(style)}/>'
    return f'{way}<g fill="none" stroke="{style.colour}">{"".join(bars)}</g>{"".join(markers)}'


def _words(measure: Measure, value: Value, name: str) -> str:
    """`single, 1/8: 10.7 (6.6 to 16.7), n 150, 1 seed`."""
    words = f"{name}: {measure.format(value.summary.mean)}"
    if value.items:
        words += f" ({measure.format(value.items.low)} to {measure.format(value.items.high)})"
    words += f", n {value.n}" if value.n else ""
    return words + f", {value.summary.seeds} seed{'' if value.summary.seeds == 1 else 's'}"


def _stroke(style: Style) -> str:
    return f'stroke="{style.colour}" stroke-width="2" stroke-dasharray="{style.dash or "none"}"'


def marker(style: Style, x: float, y: float) -> str:
    """The style's point."""
    paint = f'fill="{style.colour}" stroke="#fff" stroke-width="1"'
    return f'<path d="{style.marker}" transform="translate({x:.1f} {y:.1f})" {paint}/>'


def named(x: float, y: float, name: str, colour: str) -> str:
    """A line's name, from x on."""
    return f'<text class="name" x="{x:.1f}" y="{y + 4:.1f}" fill="{colour}">{escape(name)}</text>'


def end_labels(ends: Iterable[tuple[float, str, str]]) -> str:
    """The names beside the last points, from top to bottom, pushed apart to be readable."""
    ordered = sorted(ends)
    ys = [y for y, _, _ in ordered]
    for i in range(1, len(ys)):
        ys[i] = max(ys[i], ys[i - 1] + 14)
    floor = float(HEIGHT - BOTTOM)
    for i in reversed(range(len(ys))):
        ys[i] = min(ys[i], floor)
        floor = ys[i] - 14
    return "".join(named(WIDTH - RIGHT + 8, y, name, colour) for y, (_, name, colour) in zip(ys, ordered, strict=True))


def round_ticks(measure: Measure, values: Iterable[Value]) -> tuple[float, ...]:
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
