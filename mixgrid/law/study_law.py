"""The laws of a whole study: one a model and measure, with what each is worth, and the trade-off between abilities.

laws = fit_study(rows, sizes={"math": 512, "code": 512, "general": 512})
laws.document()["laws"][0]
    -> {"model": "lab.small", "ability": "math", "benchmark": "lab.math", "cells": 71, "parameters": {...},
        "left_out": {"inside": 0.96, "mean_error": {"law": 0.025, "nearest": 0.053, ...}}, "crossing": {...}}
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixgrid.law.crossing import crossing
from mixgrid.law.curve import is_enough
from mixgrid.law.designs import Designs, designs_of, of_one_recipe
from mixgrid.law.forecast import Forecast, fit
from mixgrid.law.front import fronts
from mixgrid.law.observations import observe
from mixgrid.law.validation import validate
from mixgrid.result_cells import Cell, Measure, Row, build_cells, find_measures, find_models, unique_rows


@dataclass(frozen=True, kw_only=True)
class StudyLaw:
    """Forecasts by model and measure; where there are too few cells, why there is none."""

    sizes: Mapping[str, int]
    cells: tuple[Cell, ...]
    designs: Designs
    forecasts: Mapping[tuple[str, Measure], Forecast]
    refused: Mapping[tuple[str, Measure], str]
    notes: tuple[str, ...]

    @property
    def models(self) -> list[str]:
        """The models in the study's order."""
        return find_models(self.cells)

    def headline(self, model: str) -> dict[str, Forecast]:
        """One forecast an ability: its first benchmark with a law; a loss where there is no other."""
        found: dict[str, Forecast] = {}
        for (of, measure), forecast in self.forecasts.items():
            if of == model:
                found.setdefault(measure.ability, forecast)  # measures come with losses last
        return found

    def document(self) -> dict[str, Any]:
        """All of it as JSON values, figures to six digits."""
        laws = [_entry(model, measure, forecast, self.sizes) for (model, measure), forecast in self.forecasts.items()]
        refused = [
            {"model": model, "ability": m.ability, "benchmark": m.benchmark, "reason": reason}
            for (model, m), reason in self.refused.items()
        ]
        front = {model: fronts(self.headline(model), self.designs, self.sizes) for model in self.models}
        notes = list(self.notes)
        return {"sizes": dict(self.sizes), "laws": laws, "refused": refused, "fronts": front, "notes": notes}


def fit_study(rows: Sequence[Row], *, sizes: Mapping[str, int]) -> StudyLaw:
    """Fit every law of a study from the rows of its results; `sizes` are each ability's training rows.

    Cells of other sources than the abilities' own, such as filtered ones, are left out: theirs are other amounts.
    """
    unique = unique_rows(rows)
    measures = find_measures(unique)
    built = build_cells(unique, measures)
    own = [cell for cell in built if {name for stage in cell.stages for name, _ in stage} <= {*sizes}]
    others = sorted({name for cell in built if cell not in own for name in cell.experiments})
    cells, left_out = of_one_recipe(own)
    forecasts, refused = {}, {}
    for model in find_models(cells):
        own = [cell for cell in cells if cell.model == model]
        for measure in measures:
            seen = observe(own, measure, sizes=sizes)
            reason = is_enough(seen)
            if reason is None:
                forecasts[model, measure] = fit(seen)
            else:
                refused[model, measure] = reason
    notes = [f"left out, trained with another recipe: {', '.join(left_out)}"] if left_out else []
    notes += [f"left out, trained on other sources: {', '.join(others)}"] if others else []
    return StudyLaw(
        sizes=dict(sizes), cells=tuple(cells), designs=designs_of(cells, tuple(sizes)), forecasts=forecasts,
        refused=refused, notes=tuple(notes),
    )  # fmt: skip


def _entry(model: str, measure: Measure, forecast: Forecast, sizes: Mapping[str, int]) -> dict[str, Any]:
    seen, curve, checked = forecast.observations, forecast.curve, validate(forecast)
    parameters = zip(curve.names, curve.parameters, curve.errors(seen, forecast.misfit), strict=True)
    return {
        "model": model,
        "ability": measure.ability,
        "benchmark": measure.benchmark,
        "lower_is_better": measure.lower_is_better,
        "top": seen.scale.top,
        "cells": len(seen),
        "parameters": {name: {"value": digits(p), "error": digits(e)} for name, p, e in parameters},
        "misfit": digits(forecast.misfit),
        "seed_error": {"value": digits(seen.seed_error), "measured": seen.seed_error_measured},
        "departures": {name: digits(value) for name, value in vars(forecast.departures).items()},
        "width": digits(forecast.width()),
        "left_out": {
            "inside": digits(checked.inside),
            "mean_error": {name: digits(error) for name, error in checked.errors.items()},
            "below_all_baselines": checked.beats_all,
        },
        "crossing": crossing(forecast, sizes),
    }


def digits(value: float) -> float:
    """Six digits: enough to read, and alike on machines whose last digits differ."""
    return float(f"{float(value):.6g}")
