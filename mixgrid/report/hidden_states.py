"""The report's section on hidden states: a map a checkpoint, base beside trained, and how pure the sources lie.

    lab.small   base: purity 71 % (66-76)    DMT, k = 1/64: purity 88 % (84-91), +17 points (12-22)

Each source has its own marker and colour, named below the map, so that no reader needs the colour. The map is a
picture; what may be concluded stands in the table, which is made from the states themselves.
"""

from collections.abc import Sequence
from typing import NamedTuple

from mixgrid.report.text import escape
from mixgrid.representation.panels import HiddenStates, Panel

SIDE, EDGE, LINE, NAMES_A_LINE = 320, 12, 20, 3
POOLED = {
    "last": "the state of its last token, which alone has seen all of it",
    "mean": "the mean of its tokens’ states",
}
READING = (
    "Each marker is a query, the user’s first turn, of held-out rows where a source keeps any. It stands for {pooled},"
    " as layer {layer} leaves it. The maps are t-SNE: what is near in the states is kept near, but axes, sizes of"
    " clusters and distances between them mean nothing, and maps are not laid over one another. The table needs no map:"
    " purity is the share of a query’s {count} nearest others, among the states themselves, that are of its own source."
    " It would be {chance} % if nothing told the sources apart, and 100 % if no query lay beside another source’s."
    " Under it stand its 95 % interval over queries and the points above the base with theirs, paired by query. Each"
    " trained checkpoint is of one training seed, whose noise no interval covers."
)


class Marker(NamedTuple):
    """How a source's queries are drawn: a path around (0, 0), filled or open."""

    path: str
    filled: bool
    colour: str


MARKERS = (
    Marker("m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0z", True, "#1b5e9e"),
    Marker("m-3-3h6v6h-6z", False, "#b4480f"),
    Marker("m0-4l3.8 6.8h-7.6z", True, "#27703f"),
    Marker("m-3.5-3.5l7 7m0-7l-7 7", False, "#6b3fa0"),
    Marker("m-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z", False, "#1f2328"),
    Marker("m0-4.5l4 4.5l-4 4.5l-4-4.5z", True, "#8a5a00"),
    Marker("m0-4v8m-4-4h8", False, "#a01f4b"),
)
"""In turn; from the eighth source on they come again."""


def render_hidden_states(states: HiddenStates | None) -> str:
    """The section; empty text where the study has no hidden states."""
    if states is None:
        return ""
    models = list(dict.fromkeys(panel.model for panel in states.panels))
    by_model = {model: [panel for panel in states.panels if panel.model == model] for model in models}
    figures = [_figure(model, panels, states.abilities) for model, panels in by_model.items()]
    first = states.panels[0]
    words = READING.format(
        pooled=POOLED[states.pooling], layer=states.layer, count=len(first.neighbours[0]) - 1,
        chance=f"{100 * first.purity().chance:.0f}",
    )  # fmt: skip
    return f"<section><h2>Hidden states</h2><p>{words}</p>{''.join(figures)}</section>"


def _figure(model: str, panels: Sequence[Panel], abilities: Sequence[str]) -> str:
    drawn = "".join(_draw(panel, abilities) for panel in panels)
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in ("checkpoint", "all sources", *abilities))
    base = next((panel for panel in panels if panel.is_base), None)
    rows = "".join(_row(panel, base, abilities) for panel in panels)
    table = f'<table class="plain"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    label = escape(f"Purity, {model}")
    return (
        f'<figure class="curves"><h3>{escape(model)}</h3><div class="panels">{drawn}</div>'
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}">{table}</div></figure>'
    )


def _row(panel: Panel, base: Panel | None, abilities: Sequence[str]) -> str:
    """The purity of all queries, then of each source's; below each the points it is above the base's."""
    cells = []
    for source in (None, *range(len(abilities))):
        found = panel.purity(source)
        low, high = (100 * end for end in (found.interval.low, found.interval.high))
        lines = [f"{low:.1f}–{high:.1f}, n {found.n:,}"]
        if base is not None and panel is not base:
            difference, interval = panel.minus(base, source)
            lines.append(f"{100 * difference:+.1f} ({100 * interval.low:+.1f} to {100 * interval.high:+.1f})")
        cells.append(f"<td>{100 * found.value:.1f} %{''.join(f'<small>{escape(line)}</small>' for line in lines)}</td>")
    seed = "" if panel.seed is None else f", seed {panel.seed}"
    name = f"{escape(panel.label)}<small>{escape(panel.description)}{seed}</small><small>{panel.key[:16]}</small>"
    return f'<tr><th scope="row">{name}</th>{"".join(cells)}</tr>'


def _draw(panel: Panel, abilities: Sequence[str]) -> str:
    """One map with its legend, so that the drawing can stand alone."""
    height = SIDE + LINE * (1 + (len(abilities) - 1) // NAMES_A_LINE) + 6
    places, parts = _places(panel.points), []
    for number in range(len(abilities)):
        marker = MARKERS[number % len(MARKERS)]
        own = [place for place, source in zip(places, panel.sources, strict=True) if source == number]
        parts.append(_marks(marker, own))
    for number, ability in enumerate(abilities):
        line, place = divmod(number, NAMES_A_LINE)
        x, y = EDGE + place * SIDE // NAMES_A_LINE, SIDE + LINE * (line + 1)
        parts.append(_marks(MARKERS[number % len(MARKERS)], [(x, y - 4)]))
        parts.append(f'<text class="tick" x="{x + 10}" y="{y}">{escape(ability)}</text>')
    title = escape(f"{panel.model}, {panel.label}: hidden states of queries")
    frame = f'<rect class="axis" x="1" y="1" width="{SIDE - 2}" height="{SIDE - 2}" fill="none"/>'
    return (
        f'<div class="panel"><h4>{escape(panel.label)}</h4><svg xmlns="http://www.w3.org/2000/svg" role="img"'
        f' viewBox="0 0 {SIDE} {height}"><title>{title}</title>{frame}{"".join(parts)}</svg></div>'
    )


def _marks(marker: Marker, places: Sequence[tuple[float, float]]) -> str:
    """All of a source's markers as one path: a thousand of them stay small."""
    path = "".join(f"M{x:.1f} {y:.1f}{marker.path}" for x, y in places)
    fill = f'fill="{marker.colour}" fill-opacity=".75"' if marker.filled else 'fill="none"'
    return f'<path d="{path}" {fill} stroke="{marker.colour}" stroke-width="1.2"/>'


def _places(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Places in the panel: one scale for both axes, since only distances count."""
    low, high = ([bound(axis) for axis in zip(*points, strict=True)] for bound in (min, max))
    span = max(top - bottom for bottom, top in zip(low, high, strict=True)) or 1.0
    scale = (SIDE - 2 * EDGE) / span
    middle = [(bottom + top) / 2 for bottom, top in zip(low, high, strict=True)]
    return [(SIDE / 2 + scale * (x - middle[0]), SIDE / 2 - scale * (y - middle[1])) for x, y in points]
