"""DMT's trade-off drawn: what the specialised abilities are worth against the general ones, a point for each k.

general
  |        o k=0      o 1/64    * 1/8   * 1/2
  |                                        * 1        * on the front, o not; thin bars are 95 % intervals
  +-------------------------------- specialised
"""

from collections.abc import Mapping, Sequence
from typing import Any

from mixgrid.report.drawing import BOTTOM, HEIGHT, LEFT, STYLES, TOP, WIDTH, named, panel_of
from mixgrid.report.text import escape

_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)
_INK = STYLES[2].colour
_Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def render_fronts(fronts: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """One panel a model, all from 0 to 1 on both axes; empty text without points."""
    panels = [_panel(model, points) for model, points in fronts.items() if points]
    return f'<figure class="curves"><div class="panels">{"".join(panels)}</div></figure>' if panels else ""


def _panel(model: str, points: Sequence[Mapping[str, Any]]) -> str:
    places = [(_x(point["specialised"]["value"]), _y(point["general"]["value"])) for point in points]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts = [_axes(), f'<polyline points="{path}" fill="none" stroke="{_INK}" stroke-dasharray="2 3"/>']
    taken: list[_Box] = []
    for point, (x, y) in zip(points, places, strict=True):
        parts.append(_point(point, x, y) + _name(point["k"], x, y, taken))
    return panel_of(model, f"{model}: general against specialised abilities for DMT at each k", "".join(parts))


def _name(k: str, x: float, y: float, taken: list[_Box]) -> str:
    """A point's k, at the nearest place beside it where no other's name is."""
    text = f"k = {k}" if k == "0" else k
    width = 9.0 * len(text)
    places = [(left, up) for up in (-8, 18, -22, 32, -36, 46, -50, 60) for left in (x + 7, x - 7 - width)]
    boxes = [(left, y + up - 12, left + width, y + up + 2) for left, up in places]
    box = next((box for box in boxes if not any(_meet(box, other) for other in taken)), boxes[0])
    taken.append(box)
    return named(box[0], box[3] - 6, text, _INK)


def _meet(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _point(point: Mapping[str, Any], x: float, y: float) -> str:
    """The crossed intervals, and the point: filled if it is on the front."""
    left, right = (_x(point["specialised"][end]) for end in ("low", "high"))
    low, high = (_y(point["general"][end]) for end in ("low", "high"))
    bars = f"M{left:.1f} {y:.1f}H{right:.1f}M{x:.1f} {low:.1f}V{high:.1f}"
    fill = _INK if point["on_front"] else "#fff"
    said = f"k = {point['k']}: specialised {point['specialised']['value']:.3f}, general {point['general']['value']:.3f}"
    return (
        f'<g><title>{escape(said)}</title><path d="{bars}" stroke="{_INK}" stroke-opacity=".55"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{fill}" stroke="{_INK}" stroke-width="2"/></g>'
    )


def _axes() -> str:
    parts = []
    for tick in _TICKS:
        x, y = _x(tick), _y(tick)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 20}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text class="tick" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>')
        parts.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - BOTTOM + 19}" text-anchor="middle">{tick:g}</text>')
    label = f'<text class="tick" x="{(LEFT + WIDTH - 20) / 2}" y="{HEIGHT - 8}" text-anchor="middle">specialised</text>'
    return "".join(parts) + label + f'<text class="tick" x="{LEFT}" y="{TOP - 5}">general</text>'


def _x(value: float) -> float:
    return LEFT + value * (WIDTH - 20 - LEFT)


def _y(value: float) -> float:
    return HEIGHT - BOTTOM - value * (HEIGHT - TOP - BOTTOM)
