"""The report's section on benchmarks that are out of domain: how far what was learned reaches.

    math: hendrycks_math      base 2.9   multi-task, k = 1/4  4.8   multi-task 4.5

They stand apart: the trained sources were not made for them, and no finding, law or recommendation rests on them.
"""

from collections.abc import Sequence

from mixgrid.report.charts import FIGURES, render_figure
from mixgrid.report.drawing import render_legend
from mixgrid.report.tables import render_ways
from mixgrid.report.text import escape
from mixgrid.result_cells import Cell, Measure, find_models

READING = (
    "Benchmarks of the same abilities that none of the sources was made for, asked of some cells only. They tell how"
    " far an ability reaches beyond its data; the findings and the recommendation do not rest on them."
)


def render_out_of_domain(measures: Sequence[Measure], cells: Sequence[Cell]) -> str:
    """A table a model and the scores against amount; empty text where no such benchmark has a score."""
    asked = [cell for cell in cells if any(measure in cell.values for measure in measures)]
    if not asked:
        return ""
    tables = "".join(
        f"<h3>{escape(model)}</h3>"
        + render_ways(f"Out of domain, {model}", measures, [cell for cell in asked if cell.model == model])
        for model in find_models(asked)
    )
    figure = FIGURES[0]
    drawn = "".join(render_figure(figure, measure, asked) for measure in measures)
    legend = render_legend((series.name, series.meaning, series.style) for series in figure.series)
    curves = f"{legend}{drawn}" if drawn else ""
    return f"<section><h2>Out of domain</h2><p>{READING}</p>{tables}{curves}</section>"
