"""Score against amount: one figure a measure, one small panel a model, as inline SVG.

    math, lab.math:  single source  k=1/64 .01 ... k=1 .87     (only that ability's source, RQ1)
                     mixed          k=1/64 .02 ... k=1 .71     (k of every source, RQ2)
                     DMT            k=1/64 .24 ... k=1 .93     (k in stage 2)

Each series has its own colour, dash and marker and its name at the end of its line, so that no reader needs
the colour. The axis of k is logarithmic. `drawing.py` draws.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from mixgrid.report.drawing import (
    DODGE,
    LEFT,
    RIGHT,
    STYLES,
    WIDTH,
    Curve,
    Scale,
    Style,
    axes,
    end_labels,
    figure_of,
    line,
    named,
    panel_of,
    round_ticks,
)  # fmt: skip
from mixgrid.result_cells import Cell, Measure, Value, find_models

AS_PRINTED = "as the paper printed it"


@dataclass(frozen=True, kw_only=True)
class Series:
    """One line of a figure: which cells it joins, and how it is drawn."""

    name: str
    meaning: str
    experiment: str
    style: Style
    holds: Callable[[Cell, str], bool]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One question to the cells: its series, drawn for every measure and model where they have a point.

    `only_with`: a figure that is about this series is drawn only where it has points.
    """

    name: str
    title: str
    caption: str
    series: tuple[Series, ...]
    only_with: Series | None = None


def _is_single(cell: Cell, ability: str) -> bool:
    return cell.strategy == "single" and [name for stage in cell.stages for name, _ in stage] == [ability]


def _is_even_mix(cell: Cell, _ability: str) -> bool:
    amounts = {k for stage in cell.stages for _, k in stage}
    return cell.strategy == "multi_task" and amounts == {cell.proportion} and not cell.is_filtered


def _is_ratio(*, general_full: bool) -> Callable[[Cell, str], bool]:
    """Arms a and b of rq3: one kind of data in full, k of the other, in one stage."""
    arm = "a" if general_full else "b"

    def holds(cell: Cell, _: str) -> bool:
        if (
            cell.strategy != "multi_task"
            or cell.is_filtered
            or "rq3" not in cell.experiments
            or cell.proportion is None
        ):
            return False
        amounts = [k for _, k in cell.stages[0]]
        full = amounts.count(Fraction(1))
        few = full <= len(amounts) // 2
        return cell.is_full or (amounts.count(cell.proportion) + full == len(amounts) and few == (arm == "a"))

    return holds


ALONE = Series(
    name="single", meaning="only this ability’s source, k of it", experiment="rq1",
    style=STYLES[0], holds=_is_single,
)  # fmt: skip
MIXED = Series(
    name="mixed", meaning="k of every source, in one stage", experiment="rq2",
    style=STYLES[1], holds=_is_even_mix,
)  # fmt: skip
DMT = Series(
    name="DMT", meaning="specialised first; k of it again in stage 2", experiment="dmt",
    style=STYLES[2], holds=lambda cell, _: cell.strategy == "dmt",
)  # fmt: skip
FILTERED_MIX = Series(
    name="filtered", meaning="the same, the general source without what looks like the specialised",
    experiment="ablation", style=STYLES[2],
    holds=lambda cell, _: cell.strategy == "multi_task" and cell.is_filtered,
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
                style=STYLES[0], holds=_is_ratio(general_full=True),
            ),
            Series(
                name="k gen.", meaning="all specialised data and k of the general", experiment="rq3",
                style=STYLES[1], holds=_is_ratio(general_full=False),
            ),
        ),
    ),
    Figure(
        name="ablation", title="Look-alikes in the general source", series=(ALONE, MIXED, FILTERED_MIX),
        caption="The paper’s ablation: mixing, with what looks like the specialised abilities kept in the general"
        " source or removed from it.", only_with=FILTERED_MIX,
    ),
)  # fmt: skip


def render_figure(figure: Figure, measure: Measure, cells: Sequence[Cell], printed: Sequence[Cell] = ()) -> str:
    """The measure's figure, one panel a model; empty text when no curve has a point.

    `printed` are a publication's cells of the same models: each has a panel beside the model's, on the same scale.
    """
    models = find_models([*cells, *printed])
    sides = {"": cells, AS_PRINTED: printed} if printed else {"": cells}
    curves = {
        (model, side): [_curve(measure, of, model, series) for series in figure.series]
        for model in models for side, of in sides.items()
    }  # fmt: skip
    bases = {(c.model, ""): c.values[measure] for c in cells if c.strategy == "base" and measure in c.values}
    values = [value for of_panel in curves.values() for curve in of_panel for value in curve.values()]
    about = [curve for of_panel in curves.values() for series, curve in zip(figure.series, of_panel, strict=True)
             if series is figure.only_with and curve]  # fmt: skip
    if not values or (figure.only_with and not about):
        return ""
    ks = sorted({k for of_panel in curves.values() for curve in of_panel for k in curve})
    scale = Scale(ks=tuple(ks), ticks=round_ticks(measure, [*values, *bases.values()]))
    shown = [panel for panel in curves if any(curves[panel])]
    panels = [_panel(figure, measure, scale, panel, curves[panel], bases.get(panel)) for panel in shown]
    return figure_of(measure, panels, pairs=bool(printed))


def _curve(measure: Measure, cells: Sequence[Cell], model: str, series: Series) -> Curve:
    """The series' value at each k; of several cells at one k, the one of the series' own experiment."""
    held = [c for c in cells if c.model == model and measure in c.values and series.holds(c, measure.ability)]
    held.sort(key=lambda c: (series.experiment in c.experiments, sum(map(len, c.stages)), len(c.seeds)))
    return {c.proportion: c.values[measure] for c in held if c.proportion is not None and c.proportion > 0}


def _panel(
    figure: Figure, measure: Measure, scale: Scale, panel: tuple[str, str], curves: Sequence[Curve], base: Value | None
) -> str:
    parts, ends = [axes(measure, scale, "amount k")], []
    if base:
        y = scale.y(measure.scaled(base.summary.mean))
        parts.append(f'<line class="base" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        ends.append((y, "base", "#5c6470"))
    for offset, series, curve in zip((-DODGE, 0, DODGE), figure.series, curves, strict=False):
        if not curve:
            continue
        linked = panel[1] == ""
        parts.append(line(measure, scale, series.style, curve, offset, name=series.name, linked=linked))
        last = max(curve)
        y = scale.y(measure.scaled(curve[last].summary.mean))
        if last == scale.ks[-1]:
            ends.append((y, series.name, series.style.colour))
        else:  # its name would seem to belong to a point that is not there
            parts.append(named(scale.x(last) + offset + 9, y, series.name, series.style.colour))
    model, side = panel
    name = f"{model}, {side}" if side else model
    title = f"{name}: {measure.ability}, {measure.benchmark} against the amount k"
    return panel_of(model, title, "".join(parts) + end_labels(ends), label=f" <span>{side}</span>" if side else "")
